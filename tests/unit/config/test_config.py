from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddnn.config import (
    AugmentConfig,
    EKDConfig,
    EvaluateConfig,
    ExtractConfig,
    FamiliesConfig,
    PredictConfig,
    TrainConfig,
    from_fields,
)
from ddnn.errors import DDNNError
from ddnn_runtime.schema import unknown_keys


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (TrainConfig, {"subnets_per_step": 1.5}, r"^subnets_per_step must be an integer, not 1\.5$"),
        (TrainConfig, {"subnets_per_step": True}, "must be an integer, not True"),
        (TrainConfig, {"compile": "maybe"}, "must be true, false, reduce-overhead or max-autotune, not 'maybe'"),
        (TrainConfig, {"compile": 1}, "compile must be true, false"),
        (TrainConfig, {"channels_last": "yes"}, "channels_last must be true or false, not 'yes'"),
        (TrainConfig, {"optimizer": "adam"}, "optimizer must be sgd or adamw, not 'adam'"),
        (TrainConfig, {"epochs": None}, "epochs must be an integer, not None"),
        (TrainConfig, {"lr": "1e-3"}, "lr must be a number, not '1e-3'"),
        (TrainConfig, {"milestones": 0.5}, r"milestones must be a list of numbers, not 0\.5"),
        (TrainConfig, {"milestones": [0.5, "x"]}, r"^milestones\[1\] must be a number, not 'x'$"),
        (TrainConfig, {"subnets": 3}, "a list of texts, a mapping to lists of integers or text, not 3"),
        (TrainConfig, {"subnets": {"tiny": 3}}, r"^subnets\.tiny must be a list of integers, not 3"),
        (TrainConfig, {"subnets": {"tiny": [1, 1.5, 1]}}, r"^subnets\.tiny\[1\] must be an integer, not 1\.5"),
        (TrainConfig, {"subnets": ["resnet8", 14]}, r"^subnets\[1\] must be text, not 14"),
        (TrainConfig, {"ekd": 3}, "ekd must be an object of EKDConfig, not 3"),
        (TrainConfig, {"ekd": {"alpha": "x"}}, r"^ekd\.alpha must be a number"),
        (TrainConfig, {"batch_size": "64"}, "batch_size must be an integer"),
        (EKDConfig, {"teacher": "all"}, "teacher must be full, mean, next or average"),
        (EKDConfig, {"teach_full": "no"}, r"^ekd\.teach_full must be true or false, not 'no'"),
        (EKDConfig, {"memory": 0}, r"ekd\.memory must be above 0 epochs, not 0"),
        (EKDConfig, {"memory": 0.1, "decay": 0.9}, r"ekd\.decay 0\.9 and ekd\.memory 0\.1 .* leave one of the two out"),
        (EKDConfig, {"divergence": "chi"}, "divergence must be kl or alpha, not 'chi'"),
        (EKDConfig, {"clip_ratio": 1}, r"ekd\.clip_ratio must be above 1, not 1"),
        (TrainConfig, {"loss_weights": "all"}, "loss_weights must be a mapping to numbers, mean or sum, not 'all'"),
        (TrainConfig, {"loss_weights": {"resnet8": -1.0}}, r"^loss_weights\.resnet8 must be 0 or more, not -1\.0"),
        (
            TrainConfig,
            {"loss_weights": "sum", "objective": "adn"},
            "loss_weights goes with the objectives ekd and joint",
        ),
        (TrainConfig, {"subnets_from": 1}, r"subnets_from must be in \[0, 1\), not 1"),
        (TrainConfig, {"subnets_from": 0.5, "subnets_ramp": 0.6}, "together at most 1, not 0.5 and 0.6"),
        (TrainConfig, {"subnets_ramp": -0.1}, "0 or more and together at most 1"),
        (TrainConfig, {"subnets_from": 0.1, "objective": "inplace"}, "subnets_from goes with the objectives ekd and"),
        (TrainConfig, {"subnets_ramp": 0.1, "objective": "sampled"}, "subnets_ramp goes with the objectives ekd and"),
        (TrainConfig, {"subnets_from": 0.1, "strategy": "fsdp"}, "fsdp does not go with subnets_from"),
        (AugmentConfig, {"crop": 1.0}, r"^augment\.crop must be an integer"),
        (EvaluateConfig, {"device": "tpu"}, "device must be auto, cpu, cuda or mps"),
        (ExtractConfig, {"subnet": 3}, "subnet must be text"),
        (PredictConfig, {"top": "five"}, "top must be an integer"),
        (FamiliesConfig, {"image_size": "x"}, "image_size must be an integer"),
    ],
)
def test_values_of_another_type_are_refused(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        from_fields(kind, values)


@pytest.mark.parametrize("milestones", [[0.75, 0.5], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [60, 120], [float("nan")]])
def test_milestones_are_ascending_shares_of_the_epochs(milestones: list[float]) -> None:
    with pytest.raises(DDNNError, match=r"^milestones must be shares of the epochs, ascending"):
        TrainConfig(milestones=milestones)


@pytest.mark.parametrize("gamma", [0.0, 1.0, -0.1, float("nan")])
def test_gamma_is_between_0_and_1(gamma: float) -> None:
    with pytest.raises(DDNNError, match=r"^gamma must be in \(0, 1\), not"):
        TrainConfig(gamma=gamma)


def test_an_integer_is_a_number_a_tuple_a_list_and_a_path_a_text() -> None:
    config = TrainConfig(lr=1, output=Path("run"), subnets={"tiny": (1, 1, 1)}, compile="reduce-overhead")  # type: ignore
    assert replace(config, compile=True, weights={"full": Path("a.pt")}, subnets=("resnet8",)).lr == 1  # type: ignore


def test_what_is_missing_has_its_default_and_what_is_unknown_is_named() -> None:
    values = {"epochs": 3, "ekd": {"alpha": 0.5, "gamma": 1}, "json": True}
    assert from_fields(TrainConfig, values) == TrainConfig(epochs=3, ekd=EKDConfig(alpha=0.5))
    assert unknown_keys(TrainConfig, values) == ["json", "ekd.gamma"]
