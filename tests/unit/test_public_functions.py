"""Whatever is wrong with what a public function is given, it says so by a `DDNNError`, and by nothing else.

Each argument of each function is replaced by every value of a table, the others being right. The call may do its work,
if the value happens to make sense there; else it raises a `DDNNError` with one message. A missing argument, or one that
a function does not have, is Python's own `TypeError`, and not looked at here.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import ddnn
from ddnn.errors import DDNNError
from ddnn.runs.run_directory import RunDirectory

NAN, INF = float("nan"), float("inf")
WRONG: dict[str, Any] = {
    "None": None,
    "true": True,
    "negative": -1,
    "zero": 0,
    "integer": 3,
    "huge": 2**70,
    "fraction": 1.5,
    "nan": NAN,
    "infinity": INF,
    "empty text": "",
    "text": "no such thing",
    "null byte": "a\0b",
    "surrogate": "\ud800",
    "long text": "x" * 5000,
    "bytes": b"resnet8",
    "path": Path("nowhere"),
    "empty list": [],
    "list": [1, 2],
    "list of texts": ["no", "such"],
    "nested list": [["resnet8"]],
    "mapping": {"no": "such"},
    "mapping of numbers": {1: 2},
    "object": object(),
    "class": int,
    "function": len,
    "scalar": torch.tensor(1.0),
    "vector": torch.zeros(3),
    "no images": torch.zeros(0, 3, 16, 16),
    "other channels": torch.zeros(2, 5, 16, 16),
    "whole numbers": torch.zeros(2, 3, 16, 16, dtype=torch.int64),
    "tiny images": torch.zeros(2, 3, 1, 1),
    "five axes": torch.zeros(1, 2, 3, 16, 16),
    "meta": torch.zeros(2, 3, 16, 16, device="meta"),
    "sparse": torch.zeros(2, 3).to_sparse(),
    "module": nn.Linear(2, 2),
}
IMAGES = torch.zeros(2, 3, 16, 16)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def network(training: bool = False) -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet14", ["resnet8"], num_classes=3).train(training)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stage(x).mean((2, 3))


def own(**arguments: Any) -> Any:
    given = {"model": Own(), "stages": ["stage"], "subnets": {"half": (1,)}, "example": IMAGES, **arguments}
    return ddnn.from_model(**given)


def wrongly(function: Callable[..., Any], right: Mapping[str, Any], **more: Any) -> Iterator[tuple[str, Any]]:
    """Calls of a function with one argument replaced, and what they are called."""
    for argument in (*right, *more):
        for what, value in WRONG.items():
            given = {**right, argument: value}
            yield f"{function.__name__}({argument}={what})", partial(function, **given)


def check(calls: Iterable[tuple[str, Callable[[], Any]]], *, refused: bool = False) -> None:
    """Fail with all calls that end in another error than ours, and in which; or that go well, if all are to fail."""
    wrong = []
    for title, call in calls:
        try:
            call()
            if refused:
                wrong.append(f"{title}: went well")
        except DDNNError as error:
            if not str(error) or "Traceback" in str(error):
                wrong.append(f"{title}: no message")
        except Exception as error:
            wrong.append(f"{title}: {type(error).__name__}: {str(error)[:100]}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_building() -> None:
    right = {"full": "resnet14", "subnets": ["resnet8"], "num_classes": 3, "in_channels": 3}
    more = {"weights": None, "private_norms": None, "zero_init": None, "width": 2, "stem": "x"}
    check(wrongly(ddnn.build, right, **more))
    depths = {f"depth {what}": {"tiny": value} for what, value in WRONG.items()}
    depths |= {f"block {what}": {"tiny": (1, 1, value)} for what, value in WRONG.items()}
    with suppress(TypeError):
        depths |= {f"name {what}": {value: (1, 1, 1)} for what, value in WRONG.items() if value.__hash__ is not None}
    calls = ((what, partial(ddnn.build, "resnet14", subnets, num_classes=3)) for what, subnets in depths.items())
    check(calls)


def test_building_from_a_model() -> None:
    keys = ("model", "stages", "subnets", "name", "example", "private_norms")
    calls = [(f"{key}={what}", partial(own, **{key: value})) for key in keys for what, value in WRONG.items()]
    calls += [(f"depth {what}", partial(own, subnets={"half": value})) for what, value in WRONG.items()]
    calls += [(f"stage {what}", partial(own, stages=[value])) for what, value in WRONG.items()]
    check(calls)


def test_loading_and_saving() -> None:
    net, saved = network(), Path("saved")
    net.save(saved)
    Path("file").write_text("no folder")
    calls = [*wrongly(ddnn.load, {"path": saved}, model=None), *wrongly(net.save, {"path": Path("other")})]
    calls += [("save over a file", partial(net.save, "file")), ("save in a file", partial(net.save, "file/net"))]
    calls += [("load a file", partial(ddnn.load, "file")), ("load in a file", partial(ddnn.load, "file/net"))]
    check(calls)
    assert ddnn.load(saved).names == net.names


@pytest.mark.parametrize("training", [False, True])
def test_calling_a_network(training: bool) -> None:
    net = network(training)
    for title, function, right in (
        ("net", net, {"x": IMAGES, "name": "resnet8"}),
        ("forward_all", net.forward_all,
         {"x": IMAGES, "names": ["resnet8"], "fork_gradients": "sum", "teaching": (), "recompute": False}),
        ("cascade", net.cascade, {"x": IMAGES, "thresholds": {"resnet8": 0.5}, "last": "resnet14", "boost": 0.0}),
    ):  # fmt: skip
        calls = (
            (f"{title}({argument}={what})", partial(function, **{**right, argument: value}))
            for argument in right
            for what, value in WRONG.items()
        )
        check(calls)
    thresholds = (
        (what, partial(net.cascade, IMAGES, {"resnet8": value})) for what, value in WRONG.items()
    )  # fmt: skip
    check(thresholds)


def test_asking_a_network() -> None:
    net = network()
    calls = [(f"net[{what}]", partial(net.__getitem__, value)) for what, value in WRONG.items()]
    calls += [(f"{what} in net", partial(net.__contains__, value)) for what, value in WRONG.items()]
    calls += [*wrongly(net.extract, {"name": "resnet8"}), *wrongly(net.segments, {"names": ["resnet8"]})]
    check(calls)
    assert not any(value in net for value in WRONG.values())


def test_adding_a_subnet() -> None:
    net = network()

    def add(**changed: Any) -> None:
        nonlocal net
        net.add_subnet(**{"name": "tiny", "depth": (1, 1, 2), "calibrate_with": [IMAGES], **changed})
        net = network()  # the next one is added to a network that has none

    keys = ("name", "depth", "calibrate_with", "private_norms")
    check((f"{key}={what}", partial(add, **{key: value})) for key in keys for what, value in WRONG.items())
    check((f"batch {what}", partial(add, calibrate_with=[value])) for what, value in WRONG.items())


CONFIGURATIONS = [getattr(ddnn, name) for name in ddnn.__all__ if name.endswith("Config")]


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_configurations(kind: type) -> None:
    right = {"latency_ms": 1.0} if kind is ddnn.ChooseConfig else {}
    calls = (
        (f"{item.name}={what}", partial(kind, **{**right, item.name: value}))
        for item in fields(kind)
        for what, value in WRONG.items()
    )
    check(calls)


RUN_FUNCTIONS = {
    ddnn.evaluate: ddnn.EvaluateConfig,
    ddnn.profile: ddnn.ProfileConfig,
    ddnn.choose: ddnn.ChooseConfig,
    ddnn.cascade: ddnn.CascadeConfig,
    ddnn.export: ddnn.ExportConfig,
    ddnn.quantize: ddnn.QuantizeConfig,
    ddnn.extract: ddnn.ExtractConfig,
    ddnn.predict: ddnn.PredictConfig,
    ddnn.web: ddnn.WebConfig,
}
BOUND: dict[Callable[..., Any], dict[str, Any]] = {ddnn.choose: {"latency_ms": 1.0}, ddnn.predict: {"images": "a.png"}}
"""What some need besides."""


@pytest.mark.parametrize("function", RUN_FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_of_a_run(function: Callable[..., Any]) -> None:
    bound = BOUND.get(function, {})
    keys = [item.name for item in fields(RUN_FUNCTIONS[function])]
    calls = [(f"run={what}", partial(function, value, **bound)) for what, value in WRONG.items()]
    calls += [(f"config={what}", partial(function, "nowhere", **bound, config=value)) for what, value in WRONG.items()]
    calls += [
        (f"{key}={what}", partial(function, "nowhere", **{**bound, key: value}))
        for key in keys
        for what, value in WRONG.items()
    ]
    calls.append(("no such key", partial(function, "nowhere", **bound, no_such_key=1)))
    check(calls, refused=True)


def test_training_and_comparing() -> None:
    config = ddnn.TrainConfig(output="run")
    calls = [(f"config={what}", partial(function, value)) for function in (ddnn.train, ddnn.compare)
             for what, value in WRONG.items()]  # fmt: skip
    calls += [(f"{key}={what}", partial(ddnn.train, config, **{key: value})) for key in ("network", "data")
              for what, value in WRONG.items() if value is not None]  # fmt: skip
    check(calls)
    assert not list(Path().iterdir())


@pytest.fixture
def run() -> Path:
    """A run whose network has learnt nothing."""
    config = ddnn.TrainConfig(full="resnet14", subnets="resnet8", train_images=100)
    net = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1).eval()
    net.data_spec = ddnn.DataSpec(1, (8, 8), (0.3,), (0.4,), tuple("0123456789"))
    net.save("run/network")
    return RunDirectory(Path("run")).create(config).path


DATA = ("", "no such", "digit", "folder:", "folder:nowhere", "folder:a\0b", f"folder:{'x' * 5000}", "parquet:nowhere",
        "shards:nowhere", "shards:ftp://nowhere", "shards:a\0b", "folder:run/config.yaml", "parquet:run")  # fmt: skip


def test_wrong_data_and_outputs_of_a_run_that_is_right(run: Path) -> None:
    Path("file").write_text("no folder")
    calls: list[tuple[str, Callable[[], Any]]] = [
        (f"evaluate(data={data!r:.20})", partial(ddnn.evaluate, run, data=data)) for data in DATA
    ]
    for function in (ddnn.choose, ddnn.cascade, ddnn.export, ddnn.quantize):
        bound = {"latency_ms": 1e-9} if function is ddnn.choose else {}
        calls.append((function.__name__, partial(function, run, data="folder:nowhere", **bound)))
    calls += [(f"images={what}", partial(ddnn.predict, run, value)) for what, value in WRONG.items()]
    outputs = {**WRONG, "file": "file", "in a file": "file/x"}
    calls += [(f"output={what}", partial(ddnn.export, run, value, data="no such")) for what, value in outputs.items()]
    nets = {what: value for what, value in WRONG.items() if value is not None}
    calls += [(f"extract(subnet={what})", partial(ddnn.extract, run, subnet=value)) for what, value in nets.items()]
    calls += [(f"extract(output={what})", partial(ddnn.extract, run, output)) for what, output in
              {"file": "file", "in a file": "file/x", "null byte": "a\0b", "integer": 3}.items()]  # fmt: skip
    check(calls, refused=True)


def test_a_net_and_its_predictions_by_functions_alone(run: Path) -> None:
    Image.new("L", (8, 8), 128).save("one.png")
    Path("broken.png").write_text("no image")
    found = ddnn.predict(run, ["one.png", Path("broken.png"), "one.png"], subnet="resnet8", top=2)
    assert (found.subnet, [each.image for each in found.read]) == ("resnet8", ["one.png", "one.png"])
    assert all(len(each.labels) == 2 and 0 < sum(each.probabilities) <= 1 for each in found.read)
    assert found.read[0] == ddnn.predict(run, "one.png", ddnn.PredictConfig("resnet8"), top=2).read[0]
    assert ["broken.png" in why for why in found.unreadable] == [True]
    with pytest.raises(DDNNError, match=r"broken\.png"):
        found.require_all()
    with pytest.raises(DDNNError, match=r"broken\.png"):
        ddnn.predict(run, "broken.png")
    extracted = ddnn.extract(run, "own.safetensors", subnet="resnet8")
    assert (extracted.subnet, extracted.output) == ("resnet8", Path("own.safetensors"))
    assert extracted.bytes == extracted.output.stat().st_size
    net = ddnn.load(run).extract("resnet8")
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in load_file("own.safetensors").items())


def test_choosing_among_all_depths_without_a_configuration(run: Path) -> None:
    decision = ddnn.choose(
        run, any_depth=True, latency_ms=1e4, trials=1, seconds=0.01, threads=1, calibration_images=10, progress=False
    )
    assert decision.explored is not None
    assert decision.folder is not None
    assert decision.choice.chosen.latency_ms <= 1e4


@pytest.mark.parametrize("kind", [ddnn.EKD, ddnn.Joint])
def test_objectives(kind: type) -> None:
    """What is no tensor is refused here before it comes to the objective: tests check its annotations."""
    outputs, labels = network().forward_all(IMAGES), torch.zeros(2, dtype=torch.int64)
    for value in (-0.1, 1.5, NAN, INF):
        with pytest.raises(DDNNError, match="label_smoothing"):
            kind(label_smoothing=value)
    tensors = {what: value for what, value in WRONG.items() if isinstance(value, torch.Tensor) and what != "sparse"}
    for what, value in tensors.items():
        with pytest.raises(DDNNError):
            pytest.fail(f"labels {what}: {kind()(outputs, value)}")
    assert kind()(outputs, labels).total.isfinite()


def test_what_is_known_of_data() -> None:
    right = {"channels": 1, "size": (8, 8), "mean": (0.3,), "std": (0.4,), "class_names": ("a", "b")}
    check(wrongly(ddnn.DataSpec, right))


def test_serving() -> None:
    right = {"export": "nothing", "config": None, "port": 0}
    check(wrongly(ddnn.serve, right, as_json=False), refused=True)


def test_every_public_function_is_here() -> None:
    functions = {name for name in ddnn.__all__ if inspect.isfunction(getattr(ddnn, name))}
    called = {function.__name__ for function in RUN_FUNCTIONS}
    called |= {"build", "from_model", "load", "train", "compare", "serve"}
    assert functions == called
