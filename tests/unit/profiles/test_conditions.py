"""Which combinations are measured."""

import pytest

from ddnn.config import ProfileConfig, cores
from ddnn.errors import DDNNError
from ddnn.profiles import conditions
from ddnn.profiles.conditions import plan
from tests.unit.profiles.samples import Sample

NETWORK = {"eager": ("fp32", "bf16"), "compiled": ("fp32", "bf16"), "onnx": ("fp32",)}


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cores, conditions):
        monkeypatch.setattr(module, "cores", lambda: 8)


def programs(config: ProfileConfig, nets: Sample) -> list[tuple[str, str]]:
    return list(dict.fromkeys((each.runtime, each.precision) for each in plan(config, nets)))


def test_by_default_the_usual_runtimes_on_all_cores() -> None:
    found = plan(ProfileConfig(), Sample(NETWORK))
    assert [(each.runtime, each.precision, each.batch_size, each.image_size, each.threads) for each in found] == [
        ("eager", "fp32", 1, (32, 32), 8),
        ("onnx", "fp32", 1, (32, 32), 8),
    ]


def test_every_combination_is_there_once() -> None:
    config = ProfileConfig([1, 8], [32, 64], [1, 4], runtimes="eager,compiled")
    found = plan(config, Sample(NETWORK))
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2
    assert {each.image_size for each in found} == {(32, 32), (64, 64)}


def test_a_precision_goes_with_the_runtimes_that_have_it() -> None:
    assert programs(ProfileConfig(precisions="fp32,bf16"), Sample(NETWORK)) == [
        ("eager", "fp32"),
        ("eager", "bf16"),
        ("onnx", "fp32"),
    ]


def test_what_is_not_installed_is_left_out_with_a_warning_unless_it_was_asked_for() -> None:
    nets = Sample(NETWORK, missing=["onnx"])
    with pytest.warns(UserWarning, match="onnx is left out: onnx is not installed"):
        assert programs(ProfileConfig(), nets) == [("eager", "fp32")]
    with pytest.raises(DDNNError, match="onnx is not installed"):
        plan(ProfileConfig(runtimes="onnx"), nets)


def test_an_export_has_its_own_precision() -> None:
    export = Sample({"onnx": ("int8",)})
    export.usual_runtimes = ("onnx",)
    assert programs(ProfileConfig(), export) == [("onnx", "int8")]
    with pytest.raises(DDNNError, match="cannot be run in fp32 here; on cpu they can be run in: onnx: int8"):
        plan(ProfileConfig(precisions="fp32"), export)
    with pytest.raises(DDNNError, match="eager cannot run these nets on cpu; what can: onnx"):
        plan(ProfileConfig(runtimes="eager"), export)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ProfileConfig(threads=9), "at most the 8 cores"),
        (ProfileConfig(precisions="fp16"), "cannot be run in fp16 here"),
        (ProfileConfig(precisions="int8"), "ddnn quantize"),
        (ProfileConfig(runtimes="eager,onnx", precisions="bf16"), "onnx cannot run these nets in bf16"),
    ],
)
def test_what_cannot_be_is_refused(config: ProfileConfig, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        plan(config, Sample(NETWORK))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sizes": 0}, "batch_sizes must be at least 1, not 0"),
        ({"batch_sizes": "1,x"}, "batch_sizes must be whole numbers such as 1,8, not '1,x'"),
        ({"batch_sizes": "4,4"}, "4 is given twice among the batch_sizes"),
        ({"image_sizes": []}, "image_sizes is empty"),
        ({"threads": "-1"}, "threads must be whole numbers"),
        ({"runtimes": "egaer"}, "did you mean eager"),
        ({"precisions": "fp23"}, "did you mean fp32"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"device_name": " "}, "device_name is empty"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        ProfileConfig(**values)  # type: ignore[arg-type]
