"""Networks made of models that this library does not know."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

import ddnn
from ddnn.errors import DDNNError, ModelFileError


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x)).relu()


class Mine(nn.Module):
    """Stages in ModuleLists, a parameter outside of any module, and code between the stages."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.first = nn.ModuleList(Residual(8) for _ in range(blocks))
        self.down = nn.Conv2d(8, 16, 2, stride=2)
        self.second = nn.ModuleList(Residual(16) for _ in range(blocks))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.scale
        for block in self.first:
            x = block(x)
        x = self.down(x)
        for block in self.second:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


class Branching(Mine):
    """Takes another way for some inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


class Skipping(Mine):
    """Uses the first block's output past the second."""

    def forward(self, x: Tensor) -> Tensor:
        first = self.first[0](self.stem(x))
        x = first
        for block in list(self.first)[1:]:
            x = block(x)
        x = self.down(x + first)
        for block in self.second:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


class Plain(nn.Module):
    """No shortcuts, and activations in place, as in VGG."""

    def __init__(self) -> None:
        super().__init__()
        layers = [layer for _ in range(3) for layer in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True))]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
        self.head(torch.zeros(1, 3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def check_against_separate_models(network: ddnn.DepthDynamicNetwork) -> None:
    for training in (True, False):
        network.train(training)
        alone = {name: network.extract(name) for name in network.names}
        outputs = network.forward_all(X)
        for name, model in alone.items():
            torch.testing.assert_close(outputs[name].logits, model(X))
            torch.testing.assert_close(dict(network[name].named_buffers()), dict(model.named_buffers()))


def test_finds_the_common_prefix_of_a_model_of_ones_own() -> None:
    model = Mine()
    network = ddnn.from_model(model, ["first", "second"], {"half": (2, 2), "tiny": (1, 1)}, example=X)
    assert network["full"] is model
    assert network.shares_prefix
    assert network.num_classes == 5
    assert network["half"].first[1] is model.first[1]
    assert network["half"].second[0] is not model.second[0]
    assert network["half"].down.weight is model.down.weight
    assert len(list(network.parameters())) == len(list(model.parameters()))
    check_against_separate_models(network)
    features = network.forward_all(X)["tiny"].features
    assert [tuple(feature.shape[1:]) for feature in features] == [(8, 8, 8), (16, 4, 4)]


def test_ties_what_the_forward_pass_does_not_use() -> None:
    model = Mine()
    model.spare = nn.Linear(2, 2)
    network = ddnn.from_model(model, ["first", "second"], {"half": (2, 2)}, example=X)
    assert network.shares_prefix
    assert network["half"].spare.weight is model.spare.weight


def test_passes_a_block_what_it_takes_besides_the_value_before_it() -> None:
    class Scaled(Residual):
        def forward(self, x: Tensor, scale: Tensor, times: int = 1) -> Tensor:
            return super().forward(x) * scale * times

    class WithScale(Mine):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.ModuleList(Scaled(16) for _ in range(3))

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            x = self.stem(x) * self.scale if mask is None else mask
            for block in self.first:
                x = block(x)
            x = self.down(x)
            for block in self.second:
                x = block(x, x.mean(), times=2)
            return self.head(nn.functional.dropout(x.mean(dim=(2, 3)), 0.0, self.training))

    network = ddnn.from_model(WithScale(), ["first", "second"], {"half": (2, 2)}, example=X)
    assert network.shares_prefix
    check_against_separate_models(network)


def test_agrees_with_the_family_that_describes_its_steps_by_hand() -> None:
    model = torchvision.models.resnet34(num_classes=3)
    stages = ["layer1", "layer2", "layer3", "layer4"]
    own = ddnn.from_model(model, stages, {"resnet18": (2, 2, 2, 2)}, name="resnet34")
    built = ddnn.build("resnet34", ["resnet18"], num_classes=3)
    built["resnet34"].load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    for name, output in built.train().forward_all(x).items():
        mine = own.train().forward_all(x)[name]
        torch.testing.assert_close(mine.logits, output.logits)
        assert [f.shape for f in mine.features] == [f.shape for f in output.features]


@pytest.mark.parametrize(("kind", "reason"), [(Branching, "torch.fx cannot follow"), (Skipping, "used past a block")])
def test_says_when_it_cannot_be_described_as_steps_and_still_works(kind: type[Mine], reason: str) -> None:
    with pytest.warns(UserWarning, match=reason):
        network = ddnn.from_model(kind(), ["first", "second"], {"half": (2, 2)}, example=X)
    assert not network.shares_prefix
    check_against_separate_models(network)
    assert len(network.forward_all(X)["half"].features) == 2


def test_blocks_that_write_into_their_input_do_not_spoil_each_other() -> None:
    network = ddnn.from_model(Plain(), ["body"], {"ends_in_a_convolution": (3,), "half": (4,)}, example=X)
    assert network.shares_prefix
    check_against_separate_models(network)


def test_a_block_that_changes_the_shape_cannot_be_left_out() -> None:
    model = nn.Sequential(
        nn.Sequential(Residual(3), nn.Conv2d(3, 6, 1), Residual(6)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)),
    )
    with pytest.raises(DDNNError, match=r"0\.1, which cannot be left out: .* 3x8x8 to 6x8x8; keep at least 2 blocks"):
        ddnn.from_model(model, ["0"], {"half": (1,)}, example=X)
    assert ddnn.from_model(model, ["0"], {"half": (2,)}, example=X).names == ("half", "full")


@pytest.mark.parametrize(
    ("stages", "subnets", "message"),
    [
        (["third"], {"half": (1,)}, "no module 'third'.*first, second"),
        (["stem"], {"half": (1,)}, "stem is a Conv2d"),
        ([], {"half": ()}, "stages is empty"),
        (["first", "second"], {"half": (1,)}, "2 stages"),
        (["first", "second"], {"half": (4, 1)}, "does not nest"),
        (["first", "second"], {"full": (1, 1)}, "full net"),
    ],
)
def test_refuses_with_a_reason(stages: list[str], subnets: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        ddnn.from_model(Mine(), stages, subnets, example=X)


def test_refuses_images_that_the_model_does_not_take() -> None:
    with pytest.raises(DDNNError, match=r"does not run on images of shape \(2, 1, 8, 8\)"):
        ddnn.from_model(Mine(), ["first"], {"half": (1,)}, example=torch.zeros(2, 1, 8, 8))
    with pytest.raises(DDNNError, match="must give logits"):
        ddnn.from_model(nn.Sequential(nn.Sequential(Residual(3), Residual(3))), ["0"], {"half": (1,)}, example=X)


def test_saves_and_loads_with_a_model_of_the_same_class(tmp_path: Path) -> None:
    network = ddnn.from_model(Mine(), ["first", "second"], {"half": (2, 1)}, example=X).eval()
    network.save(tmp_path / "mine")
    with pytest.raises(ModelFileError, match="model of the same class"):
        ddnn.load(tmp_path / "mine")
    again = ddnn.load(tmp_path / "mine", model=Mine()).eval()
    assert torch.equal(again(X, "half"), network(X, "half"))


class Counting(Mine):
    """Asks for its blocks by number."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first[2](self.first[1](self.first[0](self.stem(x))))
        x = self.second[2](self.second[1](self.second[0](self.down(x))))
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.filterwarnings("ignore:.*steps")
def test_refuses_a_model_that_needs_all_its_blocks() -> None:
    with pytest.raises(DDNNError, match=r"half with depth \(2, 2\) does not run"):
        ddnn.from_model(Counting(), ["first", "second"], {"half": (2, 2)}, example=X)


class Spoiling(nn.Module):
    """Counts on its activation having changed what the shortcut takes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.act(x)) + x


def test_refuses_a_block_that_counts_on_writing_into_its_input() -> None:
    model = nn.Sequential(nn.Sequential(Spoiling(), Spoiling()), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(DDNNError, match=r"0\.0, 0\.1 write into their input"):
        ddnn.from_model(model, ["0"], {"half": (1,)}, example=X)


def test_loading_repeats_what_was_switched_off(tmp_path: Path) -> None:
    network = ddnn.from_model(Plain(), ["body"], {"half": (3,)}, example=X).eval()
    network.save(tmp_path / "plain")
    again = ddnn.load(tmp_path / "plain", model=Plain())
    for name, output in again.forward_all(X).items():
        assert torch.equal(output.logits, network(X, name))


def test_a_stage_may_end_the_model() -> None:
    tail = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    network = ddnn.from_model(
        nn.Sequential(nn.Sequential(Residual(3), Residual(3)), tail), ["0", "1"], {"half": (1, 3)}, example=X
    )
    assert network.shares_prefix
    check_against_separate_models(network)
