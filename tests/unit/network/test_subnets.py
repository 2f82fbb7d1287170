import pytest
import torch

import ddnn
from ddnn.errors import DDNNError
from ddnn.families import family_of
from ddnn.network.subnets import named_depths, resolve_subnets, with_private_norms

FULL = (3, 3, 3)
FAMILY = family_of("resnet20")


def resolve(wanted: dict[str, tuple[int, ...]], **held: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return resolve_subnets(FAMILY, "resnet20", {"resnet20": FULL, **held}, named_depths(wanted))


def test_names_say_depths() -> None:
    found = resolve_subnets(FAMILY, "resnet20", {"resnet20": FULL}, named_depths(["resnet8", "resnet14"]))
    assert list(found.items()) == [("resnet8", (1, 1, 1)), ("resnet14", (2, 2, 2))]


@pytest.mark.parametrize(
    ("wanted", "held", "message"),
    [
        ({"a": (1, 1, 1), "b": (1, 1, 1)}, {}, "a and b have the same depth"),
        ({"a": (1, 1, 1)}, {"b": (1, 1, 1)}, "a has the depth .* of b, which is in the network already"),
        ({"b": (1, 1, 2)}, {"b": (1, 1, 1)}, "a net named b already; names in use: b, resnet20"),
        ({"b": (1, 1, 2)}, {"b": (1, 1, 1), "a": (1, 2, 1)}, "names in use: b, a, resnet20"),
        ({"resnet20": (1, 1, 2)}, {}, "name of another net"),
        ({"too/odd": (1, 1, 2)}, {}, "letters"),
        ({"whole": FULL}, {}, "full net itself"),
    ],
)
def test_refuses(wanted: dict[str, tuple[int, ...]], held: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        resolve(wanted, **held)


def test_the_shallowest_alone_gets_private_norms() -> None:
    subnets = {"deep": (2, 2, 2), "late": (1, 2, 1), "early": (1, 1, 2)}
    assert with_private_norms("shallowest", subnets) == ["early"]
    assert with_private_norms("shallowest", {}) == []
    assert ddnn.build("resnet20", subnets, num_classes=2, private_norms="shallowest").private_norms == ("early",)


def test_a_name_that_cannot_be_is_refused_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(FAMILY), "build", lambda *_: pytest.fail("that came too late"))
    with pytest.raises(DDNNError, match="letters"):
        ddnn.build("resnet20", {"too/odd": (1, 1, 2)}, num_classes=2)


def test_one_network_is_built_for_an_objective_with_private_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddnn.config import TrainConfig
    from ddnn.data import open_data
    from ddnn.training.setup import make_network

    config, built, build = TrainConfig(objective="adn"), [], type(FAMILY).build

    def counted(*arguments: object) -> torch.nn.Module:
        built.append(arguments[1])
        return build(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(type(FAMILY), "build", counted)
    assert make_network(config, open_data(config, 0)).private_norms == ("resnet8",)
    assert built == [FULL, (2, 2, 2), (1, 1, 1)]
