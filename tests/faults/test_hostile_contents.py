"""Networks and exports whose JSON says anything at all, under a checksum that is right: they work, or are refused with
one message, and no memory is filled on the way."""

import json
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import ddnn
from ddnn import DDNNError
from ddnn.deployment import Runtime, export_onnx
from ddnn.network.storage import checksum
from ddnn_runtime.manifest import File
from ddnn_runtime.sealed_json import sealed, unsealed
from tests.end_to_end.command import refused, run
from tests.faults.contents import spoilt
from tests.repeats import environment_number

ROOM = 3 << 30
"""Bytes of address space that a test may take besides what it has."""
IMAGES = np.zeros((2, 1, 8, 8), dtype=np.float32)
COUNTS = [60, pytest.param(environment_number("DDNN_CONTENTS", 3000), marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that knows its data, and its export with pieces and a cascade."""
    from ddnn_runtime.cascade_spec import CalibratedOn, CascadeSpec, Expected

    folder = tmp_path_factory.mktemp("made")
    network = ddnn.build("resnet14", ["resnet8"], num_classes=4, in_channels=1, private_norms=True).eval()
    network.data_spec = ddnn.DataSpec(1, (8, 8), (0.5,), (0.2,), tuple("abcd"))
    network.save(folder / "network")
    expected = Expected(0.9, 1e6, "macs", {"resnet8": 0.5, "resnet14": 0.5})
    cascade = CascadeSpec({"resnet8": 0.5}, "resnet14", {"accuracy": 0.9}, CalibratedOn("x", "y", 3), expected)
    export_onnx(network, folder / "export", torch.randn(2, 1, 8, 8), cascade=cascade, accuracies={"resnet8": 0.5})
    return folder


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Whatever asks for more is refused by the system, and fails the test."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(do: Callable[[], Any]) -> str:
    """Whether it works or is refused; anything else is an error."""
    try:
        do()
    except DDNNError as error:
        message = str(error)
    else:
        return "works"
    assert len(message.splitlines()) == 1, message
    assert len(message) < 2000, message
    assert "allocate" not in message, message
    return "refused"


def use_network(path: Path) -> None:
    network = ddnn.load(path)
    for name in network.names:
        network(torch.zeros(2, network.in_channels, 8, 8), name)
    network.extract(network.names[0])


def use_export(path: Path) -> None:
    runtime = Runtime(path, threads=1)
    for name in runtime.names:
        assert runtime(IMAGES, name).shape == (2, 4)
    runtime.cascade(IMAGES)
    runtime.cascade(IMAGES, dict.fromkeys(runtime.names[:-1], 1.0))


def fuzz(document: dict[str, Any], file: Path, use: Callable[[], Any], count: int) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=count < 100, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(spoilt(document))
    def each(changed: dict[str, Any]) -> None:
        file.write_text(sealed(changed))
        outcomes[outcome(use)] += 1

    each()
    print(f"\n{outcomes.total()} contents of {file.name}: {dict(outcomes)}")
    assert outcomes["refused"] > count // 3


@pytest.mark.parametrize("count", COUNTS)
def test_any_content_of_a_network_works_or_is_refused(
    count: int, made: Path, tmp_path: Path, little_memory: None
) -> None:
    path = Path(shutil.copytree(made / "network", tmp_path / "network"))
    fuzz(unsealed((path / "config.json").read_text()), path / "config.json", lambda: use_network(path), count)


@pytest.mark.parametrize("count", COUNTS)
def test_any_content_of_an_export_works_or_is_refused(
    count: int, made: Path, tmp_path: Path, little_memory: None
) -> None:
    path = Path(shutil.copytree(made / "export", tmp_path / "export"))
    fuzz(unsealed((path / "export.json").read_text()), path / "export.json", lambda: use_export(path), count)


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "a huge depth": (
        {"depths": {"resnet8": [1, 1, 1], "resnet14": [10**18, 2, 2]}},
        "resnet14 has 1000000000000000004 blocks, and the weights are",
    ),
    "many blocks": ({"depths": {"resnet8": [1, 1, 1], "resnet14": [80, 80, 80]}}, "resnet14 has 240 blocks"),
    "a large width": ({"options": {"shortcut": "A", "width": 10**5}}, "width must be a whole number from 1 to 1000"),
    "a huge width": ({"options": {"shortcut": "A", "width": 10**9}}, "width must be a whole number from 1 to 1000"),
    "an infinite width": ({"options": {"shortcut": "A", "width": 10**400}}, "is damaged"),
    "many classes": ({"num_classes": 10**9, "data": None}, "num_classes is 1000000000, and the weights are"),
    "other classes": ({"num_classes": 5, "data": None}, "tensors differ, such as fc.bias"),
    "many channels": ({"in_channels": 70_000, "data": None}, "tensors differ, such as conv1.weight"),
    "a path": ({"full": "../resnet14", "depths": {"../resnet14": [2, 2, 2]}}, "a name of letters, digits, - and _"),
    "another family": ({"family": "vgg", "options": {}}, "is damaged"),
    "a name that is none": ({"depths": {"resnet8": [1, 1, 1]}}, "its full net resnet14 is not among its depths"),
    "a twin": ({"depths": {"resnet8": [2, 2, 2], "resnet14": [2, 2, 2]}}, "is damaged"),
    "a deeper sub-net": ({"depths": {"resnet8": [3, 1, 1], "resnet14": [2, 2, 2]}}, "is damaged"),
    "many nets": ({"depths": {"resnet14": [2, 2, 2], **{f"n{n}": [1, 1, 1] for n in range(2000)}}}, "1 to 1000 nets"),
    "an unknown field": ({"extra": 1}, "it has 'extra', which this version of ddnn does not know"),
    "an unknown option": ({"options": {"depth": 3}}, "unknown option 'depth'"),
}
DATA: dict[str, tuple[dict[str, Any], str]] = {
    "class names": ({"class_names": ["a", "b"]}, "2 class names and 1 channels, and the network 4 classes"),
    "a huge image": ({"size": [10**6, 10**6]}, "size[0] must be a whole number from 1 to 4096"),
    "no deviation": ({"std": [0]}, "std[0] must be a finite number"),
    "a mean that is no number": ({"mean": [float("nan")]}, "mean[0] must be a finite number, not nan"),
    "means for others": ({"mean": [0.5, 0.5]}, "1 channels need as many means and standard deviations, not 2 and 1"),
}


@pytest.mark.parametrize("lie", [*LIES, *DATA])
def test_what_a_network_says_of_itself_must_fit_its_weights(
    lie: str, made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], little_memory: None
) -> None:
    path = Path(shutil.copytree(made / "network", tmp_path / "network"))
    config = unsealed((path / "config.json").read_text())
    changes, message = LIES[lie] if lie in LIES else ({"data": {**config["data"], **DATA[lie][0]}}, DATA[lie][1])
    (path / "config.json").write_text(sealed({**config, **changes}))
    for command in (
        ("evaluate", path, "--data", "digits"),
        ("predict", path, path),
        ("extract", path),
        ("export", path),
    ):
        assert message in refused(run(capfd, *command)), command


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: {**tensors, "fc.bias": tensors["fc.bias"].long()}, "holds torch.int64 for fc.bias"),
        (lambda tensors: {**tensors, "fc.bias": tensors["fc.bias"].to(torch.complex64)}, "holds torch.complex64"),
        (lambda tensors: {**tensors, "fc.bias": tensors["fc.bias"].to(torch.float8_e4m3fn)}, "holds torch.float8"),
        (lambda tensors: {**tensors, "fc.bias": tensors["fc.bias"] / 0}, "is spoilt: fc.bias"),
        (lambda tensors: {**tensors, "fc.bias": tensors["fc.bias"][:2]}, "tensors differ, such as fc.bias"),
        (lambda tensors: {**tensors, "more": torch.zeros(3)}, "tensors differ, such as more"),
        (lambda tensors: {key: value for key, value in tensors.items() if key != "fc.bias"}, "such as fc.bias"),
        (
            lambda tensors: {
                key: value.double() if value.is_floating_point() else value for key, value in tensors.items()
            },
            "",
        ),
    ],
)
def test_weights_must_be_of_the_kind_that_the_net_has(
    change: Callable[..., Any], message: str, made: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(made / "network", tmp_path / "network"))
    save_file(change(load_file(path / "model.safetensors")), path / "model.safetensors")
    config = unsealed((path / "config.json").read_text())
    config["weights"]["sha256"] = checksum(path / "model.safetensors")
    (path / "config.json").write_text(sealed(config))
    if not message:
        return use_network(path)
    with pytest.raises(DDNNError, match=message):
        ddnn.load(path)


def resealed(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Write the manifest of an export anew: sums of the files as they are, and what else is changed."""
    values = unsealed((path / "export.json").read_text())
    entries = [values["weights"], *(net["graph"] for net in values["nets"].values())]
    for entry in [*entries, *(piece["graph"] for piece in values["pieces"])]:
        entry.update(vars(File.of(path, entry["file"])))
    change(values)
    (path / "export.json").write_text(sealed(values))


ROUTES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a cycle": (lambda values: values["pieces"][0].update(source=0), "the source of a piece must be"),
    "a piece that comes later": (lambda values: values["pieces"][0].update(source=2), "the source of a piece must be"),
    "an unknown value": (
        lambda values: values["pieces"][1].update(inputs=["x"]),
        "takes what no piece before it gives",
    ),
    "a leaf twice": (
        lambda values: values["pieces"][1].update(leaf="resnet14"),
        "do not end in the logits of each net",
    ),
    "an unknown leaf": (lambda values: values["pieces"][1].update(leaf="resnet20"), "of nets that are not there"),
    "the wrong order": (
        lambda values: values.update(nets=dict(reversed(values["nets"].items()))),
        "the full net is not the last of its nets",
    ),
    "a huge image": (
        lambda values: values.update(input_shape=[1, 10**9, 10**9]),
        r"input_shape\[1\] must be a whole number from 1 to 4096",
    ),
    "an accuracy": (
        lambda values: values["nets"]["resnet8"].update(accuracy=float("nan")),
        r"nets\.resnet8\.accuracy must be in \[0, 1\], not nan",
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_pieces_and_nets_of_an_export_must_fit_each_other(route: str, made: Path, tmp_path: Path) -> None:
    path, (change, message) = Path(shutil.copytree(made / "export", tmp_path / "export")), ROUTES[route]
    resealed(path, change)
    with pytest.raises(DDNNError, match=message):
        Runtime(path)


@pytest.mark.parametrize("what", ["another net", "no graph", "a cut graph", "another output", "a file elsewhere"])
def test_another_graph_in_the_place_of_one_is_refused(what: str, made: Path, tmp_path: Path) -> None:
    import onnx

    path = Path(shutil.copytree(made / "export", tmp_path / "export"))
    graph = path / "resnet8.onnx"
    model = onnx.load(graph, load_external_data=False)
    match what:
        case "another net":
            other = ddnn.build("resnet8", num_classes=5, in_channels=1).eval()
            export_onnx(other, tmp_path / "other", torch.randn(2, 1, 8, 8), pieces=False)
            whole = onnx.load(tmp_path / "other" / "resnet8.onnx")
            onnx.save(whole, graph)
        case "no graph":
            graph.write_bytes(b"no graph")
        case "a cut graph":
            graph.write_bytes(graph.read_bytes()[:-100])
        case "another output":
            model.graph.output[0].name = model.graph.node[0].output[0]
            onnx.save(model, graph)
        case "a file elsewhere":
            (tmp_path / "secret.bin").write_bytes((path / "weights.bin").read_bytes())
            for tensor in model.graph.initializer:
                for entry in tensor.external_data:
                    if entry.key == "location":
                        entry.value = "../secret.bin"
            onnx.save(model, graph)
    resealed(path)
    runtime = Runtime(path, threads=1)
    with pytest.raises(DDNNError, match=r"resnet8\.onnx (is another graph|cannot be opened)"):
        runtime(IMAGES, "resnet8")
    assert runtime(IMAGES, "resnet14").shape == (2, 4)


def test_damaged_json_of_any_depth_is_one_message(made: Path, tmp_path: Path) -> None:
    for folder, file, use in (("network", "config.json", use_network), ("export", "export.json", use_export)):
        path = Path(shutil.copytree(made / folder, tmp_path / folder))
        for text in ("[" * 10**6, '{"a":' * 10**5, "9" * 10**5, json.dumps([1]), "\x00", '{"format": NaN}'):
            (path / file).write_text(text)
            assert outcome(lambda path=path, use=use: use(path)) == "refused"
        (path / file).write_bytes(b"\xff\xfe")
        assert outcome(lambda path=path, use=use: use(path)) == "refused"


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=200))
def test_weights_that_are_any_bytes_are_refused(
    made: Path, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "network"
    shutil.copytree(made / "network", path)
    (path / "model.safetensors").write_bytes(content)
    config = unsealed((path / "config.json").read_text())
    config["weights"]["sha256"] = checksum(path / "model.safetensors")
    (path / "config.json").write_text(sealed(config))
    assert outcome(lambda: use_network(path)) == "refused"
