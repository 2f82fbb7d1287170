"""What was given is known, also where it is the default."""

from copy import deepcopy
from dataclasses import replace
from pickle import dumps, loads

import pytest

from ddnn.config import TrainConfig, from_fields
from ddnn.errors import DDNNError


def test_a_default_that_was_given_is_told_from_one_that_was_not() -> None:
    default = TrainConfig().epochs
    assert TrainConfig().given == frozenset()
    assert TrainConfig(epochs=default).given == {"epochs"}
    assert from_fields(TrainConfig, {"epochs": default, "lr": 0.1}).given == {"epochs", "lr"}
    assert TrainConfig("digits", epochs=default).given == {"data", "epochs"}


def test_it_takes_no_part_in_what_a_configuration_is() -> None:
    config = TrainConfig(epochs=20)
    assert config == TrainConfig()
    assert config.with_given(["lr"]).given == {"lr"}
    assert config.given == {"epochs"}
    assert "epochs" in replace(TrainConfig(), lr=0.1).given
    for other in (deepcopy(config), loads(dumps(config))):
        assert (other, other.given) == (config, config.given)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"keep": "first"}, "keep must be last, best:mean, or best:NAME"),
        ({"keep": "best:"}, "keep must be last"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"class_weights": "balanced", "sampler": "balanced"}, "exclude each other"),
        ({"class_weights": {"0": 0.0}}, "all 0"),
        ({"class_weights": {"0": -1.0}}, "class_weights"),
        ({"class_weights": "rare"}, "class_weights must be"),
        ({"sampler": "random"}, "sampler must be"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        TrainConfig(**keys)  # type: ignore[arg-type]
