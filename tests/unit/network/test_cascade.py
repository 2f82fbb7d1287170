"""A cascade against the nets called one by one, and what it computes, counted."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.network.cascade import confidence

SUBNETS = {"tiny": (1, 1, 1), "middle": (2, 2, 2)}


def build(full: str = "resnet20", private: bool | list[str] = False) -> ddnn.DepthDynamicNetwork:
    """A network whose nets disagree, and are sure of some images and not of others."""
    torch.manual_seed(0)
    network = ddnn.build(full, SUBNETS, num_classes=5, private_norms=private).double().train()
    with torch.no_grad():
        network.forward_all(images(32))
        for name in network.names:
            for parameter in network[name].parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@torch.no_grad()
def middling(network: ddnn.DepthDynamicNetwork, x: Tensor, *names: str) -> dict[str, float]:
    """Thresholds between the confidences, so that rounding decides nothing: about half of the images are left."""
    found = {}
    for name in names:
        ordered = confidence(network(x, name)).sort().values
        found[name] = float((ordered[len(x) // 2 - 1] + ordered[len(x) // 2]) / 2)
    return found


def one_by_one(
    network: ddnn.DepthDynamicNetwork, x: Tensor, thresholds: dict[str, float], names: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """What the definition says, image by image: logits, and who answered."""
    logits, who = [], []
    for image in x:
        for place, name in enumerate(names):
            answer = network(image[None], name)
            if name not in thresholds or float(answer.softmax(1).max()) >= thresholds[name]:
                logits.append(answer)
                who.append(place)
                break
    return torch.cat(logits), torch.tensor(who)


@torch.no_grad()
@pytest.mark.parametrize("asked", [("tiny",), ("tiny", "middle")])
def test_with_a_share_each_net_adds_what_was_said_before_it(asked: tuple[str, ...]) -> None:
    network, x, share = build(), images(24), 0.4
    names = (*asked, "resnet20")
    said: list[Tensor] = []
    for name in names:
        said.append(network(x, name) + (share * said[-1] if said else 0.0))
    thresholds = {}
    for name, logits in zip(asked, said, strict=False):
        ordered = confidence(logits).sort().values
        thresholds[name] = float((ordered[11] + ordered[12]) / 2)
    output = network.cascade(x, thresholds, boost=share)
    for image, who in enumerate(output.answered_by.tolist()):
        sure = [float(said[place][image].softmax(0).max()) >= thresholds[name] for place, name in enumerate(asked)]
        assert who == ([*sure, True]).index(True)
        torch.testing.assert_close(output.logits[image], said[who][image])
    assert set(output.answered_by.tolist()) == set(range(len(names)))


@torch.no_grad()
def test_without_a_share_nothing_changes(network: ddnn.DepthDynamicNetwork) -> None:
    thresholds = middling(network, images(12), "tiny", "middle")
    plain, zero = (network.cascade(images(12), thresholds, **more) for more in ({}, {"boost": 0.0}))
    assert torch.equal(plain.logits, zero.logits)


@pytest.mark.parametrize("boost", [-0.1, 1.5, float("nan"), "fit", True])
def test_a_share_that_is_none_is_refused(network: ddnn.DepthDynamicNetwork, boost: Any) -> None:
    with pytest.raises(ddnn.DDNNError, match=r"boost must be a share in \[0, 1\], not"):
        network.cascade(images(1), {"tiny": 0.5}, boost=boost)


@pytest.fixture(scope="module")
def network() -> ddnn.DepthDynamicNetwork:
    return build()


@pytest.fixture
def counted(network: ddnn.DepthDynamicNetwork) -> Iterator[Counter[nn.Module]]:
    """How many images each convolution has seen."""
    rows: Counter[nn.Module] = Counter()
    handles = [
        module.register_forward_hook(lambda module, inputs, _: rows.update({module: len(inputs[0])}))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    yield rows
    for handle in handles:
        handle.remove()


@torch.no_grad()
@pytest.mark.parametrize(
    ("asked", "private"),
    [
        (("tiny",), False),
        (("middle",), False),
        (("tiny", "middle"), False),
        (("tiny", "middle"), True),
        (("tiny", "middle"), ["middle"]),
    ],
    ids=str,
)
def test_it_is_what_its_definition_says(asked: tuple[str, ...], private: bool | list[str]) -> None:
    network, x = build(private=private), images(24)
    thresholds = middling(network, x, *asked)
    output = network.cascade(x, thresholds)
    logits, who = one_by_one(network, x, thresholds, (*asked, "resnet20"))
    assert output.names == (*asked, "resnet20")
    assert output.answered_by.dtype == torch.int64
    assert torch.equal(output.answered_by, who)
    assert set(who.tolist()) == set(range(len(output.names))), "each net answers some"
    torch.testing.assert_close(output.logits, logits)


@torch.no_grad()
def test_each_net_takes_only_what_is_left_and_goes_on_from_where_it_parts(
    network: ddnn.DepthDynamicNetwork, counted: Counter[nn.Module]
) -> None:
    x = images(24)
    thresholds = middling(network, x, "tiny", "middle")
    who = one_by_one(network, x, thresholds, network.names)[1]
    second, third = int((who >= 1).sum()), int((who >= 2).sum())
    counted.clear()
    network.cascade(x, thresholds)
    expected: dict[nn.Module, int] = {}
    for name, left in (("tiny", 24), ("middle", second), ("resnet20", third)):
        for module in network[name].modules():
            if isinstance(module, nn.Conv2d):
                expected.setdefault(module, left)  # a shared one ran for the shallowest net already
    assert dict(counted) == expected
    stem = network["tiny"].get_submodule("conv1")
    assert counted[stem] == 24
    assert network["resnet20"].get_submodule("layer1.1.conv1") is network["middle"].get_submodule("layer1.1.conv1")


@torch.no_grad()
def test_nothing_deeper_runs_once_all_are_answered(
    network: ddnn.DepthDynamicNetwork, counted: Counter[nn.Module]
) -> None:
    output = network.cascade(images(4), {"tiny": 0, "middle": 0.5})
    assert output.answered_by.tolist() == [0] * 4
    assert set(counted) <= set(network["tiny"].modules())
    assert torch.equal(output.logits, network(images(4), "tiny"))


@torch.no_grad()
def test_a_net_may_be_left_out_and_another_may_come_last(
    network: ddnn.DepthDynamicNetwork, counted: Counter[nn.Module]
) -> None:
    x = images(12)
    output = network.cascade(x, middling(network, x, "tiny"), last="middle")
    assert output.names == ("tiny", "middle")
    assert sorted(set(output.answered_by.tolist())) == [0, 1]
    assert not set(counted) & (set(network["resnet20"].modules()) - set(network["middle"].modules()))
    alone = network.cascade(x, {}, last="middle")
    assert alone.names == ("middle",)
    assert torch.equal(alone.logits, network(x, "middle"))


@torch.no_grad()
def test_the_order_of_the_thresholds_does_not_matter(network: ddnn.DepthDynamicNetwork) -> None:
    x = images(12)
    thresholds = middling(network, x, "tiny", "middle")
    backwards = dict(reversed(thresholds.items()))
    assert torch.equal(network.cascade(x, thresholds).answered_by, network.cascade(x, backwards).answered_by)


@torch.no_grad()
def test_one_image_and_none(network: ddnn.DepthDynamicNetwork) -> None:
    assert network.cascade(images(1), {"tiny": 1}).logits.shape == (1, 5)
    assert network.cascade(images(2)[:0], {"tiny": 1}).logits.shape == (0, 5)


def test_gradients_go_through_who_answered(network: ddnn.DepthDynamicNetwork) -> None:
    x = images(12).requires_grad_()
    network.cascade(x, middling(network, x.detach(), "tiny")).logits.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.flatten(1).any(dim=1).all())


@torch.no_grad()
def test_values_between_steps_may_be_lists() -> None:
    torch.manual_seed(0)
    depths = {"tiny": (2, 1, 1), "middle": (3, 2, 1)}
    network = ddnn.build("densenet40_bc", depths, num_classes=5, growth=4).double().train()
    network.forward_all(images(32))
    network.eval()
    x = images(16)
    thresholds = middling(network, x, "tiny", "middle")
    output = network.cascade(x, thresholds)
    logits, who = one_by_one(network, x, thresholds, network.names)
    assert torch.equal(output.answered_by, who)
    torch.testing.assert_close(output.logits, logits)
    assert isinstance(network.segments()[0].run(network["tiny"], x), list)


class Branching(nn.Module):
    """A model that cannot be told apart into steps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        value = self.stem(x)
        for block in self.blocks:
            value = block(value) if float(value.sum()) < 1e9 else value
        return self.head(value.mean(dim=(2, 3)))


@torch.no_grad()
def test_nets_that_are_no_steps_run_whole() -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="one by one"):
        network = ddnn.from_model(Branching(), ["blocks"], {"one": (1,)}).double().eval()
    assert [segment.source for segment in network.segments()] == [None, None]
    x = images(12)
    thresholds = middling(network, x, "one")
    output = network.cascade(x, thresholds)
    logits, who = one_by_one(network, x, thresholds, network.names)
    assert torch.equal(output.answered_by, who)
    torch.testing.assert_close(output.logits, logits)


class Transposed(nn.Module):
    """A model whose blocks have the images second."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Linear(48, 48) for _ in range(3)))
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        value = self.blocks(x.flatten(2).transpose(0, 1))
        return self.head(value.mean(dim=0))


@torch.no_grad()
def test_blocks_that_do_not_have_the_images_first_are_refused() -> None:
    torch.manual_seed(0)
    model = Transposed()
    model.blocks[0] = nn.Linear(256, 48)
    example = images(2).float()
    network = ddnn.from_model(model, ["blocks"], {"one": (1,)}, example=example).double().eval()
    with pytest.raises(ddnn.DDNNError, match="first size is not the number of images, 12"):
        network.cascade(images(12), middling(network, images(12), "one"))


@pytest.mark.parametrize(
    ("thresholds", "last", "message"),
    [
        ({}, None, "needs a threshold for at least one net before resnet20; choose from tiny, middle"),
        ({"tinny": 0.5}, None, "no net 'tinny'.*did you mean tiny"),
        ({"tiny": 0.5}, "resnet8", "no net 'resnet8' that could come last"),
        ({"resnet20": 0.5}, None, "resnet20 cannot have a threshold.*ends with resnet20.*that can: tiny, middle"),
        ({"middle": 0.5}, "middle", "middle cannot have a threshold in a cascade that ends with middle"),
        (
            {"tiny": 1.01},
            None,
            r"threshold of tiny must be a probability in \[0, 1\], not 1.01; to ask it never, leave",
        ),
        ({"tiny": -0.1}, None, "not -0.1"),
        ({"tiny": float("nan")}, None, "not nan"),
        ({"tiny": "0.5"}, None, "not '0.5'"),
        (0.5, None, "mapping from nets to confidences"),
    ],
)
def test_what_cannot_be_a_cascade_is_refused(
    network: ddnn.DepthDynamicNetwork, thresholds: dict[str, float], last: str | None, message: str
) -> None:
    with pytest.raises(ddnn.DDNNError, match=message):
        network.cascade(images(1), thresholds, last=last)


def test_training_mode_is_refused() -> None:
    network = build().train()
    with pytest.raises(ddnn.DDNNError, match=r"net\.eval\(\)"):
        network.cascade(images(1), {"tiny": 0.5})
