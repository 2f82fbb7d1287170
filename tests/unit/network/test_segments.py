"""The tree of what nets share: drawn by hand for small cases, and by running every path of it."""

import pytest
import torch
from torch import nn

import ddnn
from ddnn.families.family import Step
from ddnn.network.recent import KEPT, Recent
from ddnn.network.segments import Segment, segments, whole_nets


def path(keys: str) -> list[Step]:
    return [Step(key, ()) for key in keys.split()]


def drawn(found: tuple[Segment, ...]) -> list[tuple[int | None, str, str, str | None]]:
    """Source, steps, nets and leaf of each."""
    return [
        (segment.source, " ".join(step.key for step in segment.steps), " ".join(segment.nets), segment.leaf)
        for segment in found
    ]


def test_three_nets_that_part_one_after_the_other() -> None:
    found = segments({"a": path("stem 1 x head"), "b": path("stem 1 2 x head"), "c": path("stem 1 2 3 x head")})
    assert drawn(found) == [
        (None, "stem 1", "a b c", None),
        (0, "x head", "a", "a"),
        (0, "2", "b c", None),
        (2, "x head", "b", "b"),
        (2, "3 x head", "c", "c"),
    ]
    assert [segment.index for segment in found] == [0, 1, 2, 3, 4]
    assert [segment.owner for segment in found] == ["a", "a", "b", "b", "c"]


def test_nets_that_meet_again_in_name_share_nothing_there() -> None:
    found = segments({"a": path("stem 1 x"), "b": path("stem 1 2 x")})
    assert drawn(found)[1:] == [(0, "x", "a", "a"), (0, "2 x", "b", "b")]


def test_three_that_part_at_one_place() -> None:
    found = segments({"a": path("stem a"), "b": path("stem b"), "c": path("stem c")})
    assert [segment.source for segment in found] == [None, 0, 0, 0]


def test_a_net_may_end_where_another_goes_on() -> None:
    found = segments({"a": path("1 2"), "b": path("1 2 3")})
    assert drawn(found) == [(None, "1 2", "a b", "a"), (0, "3", "b", "b")]


def test_nets_without_a_common_beginning_start_from_the_images() -> None:
    assert [segment.source for segment in segments({"a": path("1 3"), "b": path("2 3")})] == [None, None]


def test_one_net_is_one_segment() -> None:
    assert drawn(segments({"a": path("1 2 3")})) == [(None, "1 2 3", "a", "a")]
    assert segments({}) == ()


def test_a_net_that_may_share_less_leaves_earlier() -> None:
    paths = {"a": path("stem 1 x head"), "b": path("stem 1 x 3 head"), "full": path("stem 1 2 x 3 head")}
    assert drawn(segments(paths))[1] == (0, "x", "a b", None)
    found = segments(paths, {"a": 2})
    assert drawn(found)[:2] == [(None, "stem 1", "a b full", None), (0, "x head", "a", "a")]
    assert drawn(found)[2:] == [(0, "x 3 head", "b", "b"), (0, "2 x 3 head", "full", "full")]


def test_whole_nets_are_called() -> None:
    first, second = whole_nets(("a", "b"))
    calls: list[nn.Module] = []
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda module, *_: calls.append(module))
    x = torch.ones(1, 2)
    assert torch.equal(first.run(model, x), model.forward(x))
    assert calls == [model]
    assert (second.source, second.owner, second.nets, second.leaf) == (None, "b", ("b",), "b")


@pytest.mark.parametrize("private", [False, ["b"]])
def test_every_path_gives_its_net_s_logits(private: bool | list[str]) -> None:
    torch.manual_seed(0)
    subnets = {"a": (1, 1, 1), "b": (2, 1, 2), "c": (2, 2, 2)}
    network = ddnn.build("resnet20", subnets, num_classes=3, private_norms=private).train()
    network.forward_all(torch.randn(8, 3, 16, 16))  # running statistics of each net's own
    x = torch.randn(2, 3, 16, 16)
    network.eval()
    values: list[torch.Tensor] = []
    for segment in network.segments():
        before = x if segment.source is None else values[segment.source]
        values.append(segment.run(network[segment.owner], before))
    leaves = {segment.leaf: values[segment.index] for segment in network.segments() if segment.leaf}
    assert leaves.keys() == set(network.names)
    for name, logits in leaves.items():
        assert torch.equal(logits, network(x, name))


def test_segments_of_some_nets_go_by_depth_and_unknown_ones_are_named() -> None:
    network = ddnn.build("resnet20", ["resnet8", "resnet14"], num_classes=3)
    assert network.segments() is network.segments(network.names)
    assert network.segments(["resnet20", "resnet8"])[0].nets == ("resnet8", "resnet20")
    network.add_subnet("tiny", (1, 1, 2))
    assert network.segments()[0].nets == ("resnet8", "tiny", "resnet14", "resnet20")
    with pytest.raises(ddnn.DDNNError, match="no sub-net 'resnet9'"):
        network.segments(["resnet9"])


def test_what_was_asked_for_lately_is_kept() -> None:
    made: list[int] = []
    recent = Recent[int, int]()

    def ask(key: int) -> int:
        return recent.get(key, lambda: made.append(key) or -key)

    assert [ask(0), ask(0), made] == [0, 0, [0]]
    for key in range(1, KEPT):
        ask(key)
    ask(0)
    ask(KEPT)  # the oldest, now 1, makes room
    assert made == list(range(KEPT + 1))
    ask(0)
    ask(1)
    assert made == [*range(KEPT + 1), 1]
