"""What is measured of a network is what its stock models do and take."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ddnn
from ddnn.errors import DDNNError
from ddnn.families.cifar_resnet import CifarResNet
from ddnn.profiles import memory
from ddnn.profiles.measure import measured_profile
from ddnn.profiles.memory import Group
from ddnn.profiles.network_subject import NetworkSubject, open_network
from ddnn.profiles.profile import Condition


@pytest.fixture(scope="module")
def network() -> ddnn.DepthDynamicNetwork:
    return ddnn.build("resnet14", ["resnet8"], num_classes=10).eval()


@pytest.fixture
def subject(network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> NetworkSubject:
    return NetworkSubject(network, tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[int, ...], torch.dtype, int]]:
    """Blocks, shape and type of the images, and threads of each call of a model."""
    seen = []
    forward = CifarResNet.forward

    def noted(model: CifarResNet, x: torch.Tensor) -> torch.Tensor:
        blocks = sum(len(stage) for stage in (model.layer1, model.layer2, model.layer3))  # type: ignore[arg-type]
        seen.append((blocks, tuple(x.shape), x.dtype, torch.get_num_threads()))
        return forward(model, x)

    monkeypatch.setattr(CifarResNet, "forward", noted)
    return seen


def test_each_name_runs_its_own_net_under_the_condition(subject: NetworkSubject, calls: list) -> None:
    before = torch.get_num_threads()
    with subject.works(Condition("eager", "bf16", 3, (16, 16), 2), subject.names) as works:
        calls.clear()
        for name in ("resnet14", "resnet8"):
            works[name]()
    assert calls == [(6, (3, 3, 16, 16), torch.bfloat16, 2), (3, (3, 3, 16, 16), torch.bfloat16, 2)]
    assert torch.get_num_threads() == before
    assert next(subject.network.parameters()).dtype == torch.float32


def test_facts_are_those_of_the_stock_model(subject: NetworkSubject, tmp_path: Path) -> None:
    stock = CifarResNet((1, 1, 1), num_classes=10)
    facts = subject.facts("resnet8", 0.5)
    assert facts.parameters == sum(parameter.numel() for parameter in stock.parameters())
    (file,) = tmp_path.rglob("resnet8.safetensors")
    assert file.stat().st_size == facts.file_bytes
    stock.load_state_dict(load_file(file), strict=True)
    assert (facts.depth, facts.accuracy) == ((1, 1, 1), 0.5)


def test_macs_grow_with_the_image(subject: NetworkSubject) -> None:
    """All of a small net's, written out: convolutions over the area, the classifier once."""
    area = 32 * 32
    convolutions = area * (3 * 16 + 2 * 16 * 16) * 9 + area // 4 * (16 * 32 + 32 * 32) * 9
    convolutions += area // 16 * (32 * 64 + 64 * 64) * 9
    assert subject.macs("resnet8", (32, 32)) == convolutions + 64 * 10
    assert subject.macs("resnet8", (64, 64)) == 4 * convolutions + 64 * 10


def test_images_that_a_net_cannot_take_are_refused(tmp_path: Path) -> None:
    subject = NetworkSubject(ddnn.build("densenet40_bc", num_classes=2).eval(), tmp_path)
    with pytest.raises(DDNNError, match="densenet40_bc cannot take images of 2x2 pixels"):
        subject.macs("densenet40_bc", (2, 2))


def test_what_cannot_be_run_is_said_in_a_line(subject: NetworkSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such kernel\nand much more")

    monkeypatch.setattr(CifarResNet, "forward", fail)
    with (
        pytest.raises(DDNNError, match=r"resnet8 cannot be run \(eager, fp32.*\): no such kernel$"),
        subject.works(Condition("eager", "fp32", 1, (8, 8), 1), subject.names),
    ):
        pytest.fail("that came too late")


def test_a_run_says_how_accurate_it_is(network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> None:
    run = tmp_path / "run"
    network.save(run / "network")
    assert open_network(run, "cpu", tmp_path).accuracies() is None
    (run / "results.json").write_text('{"nets": {"resnet8": {"accuracy": 0.5}, "resnet14": {"accuracy": 0.75}}}')
    known = open_network(run, "cpu", tmp_path).accuracies()
    assert known is not None
    assert known.values == {"resnet8": 0.5, "resnet14": 0.75}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process holds")
def test_memory_is_that_of_the_net_alone(tmp_path: Path) -> None:
    """The weights of the net that is looked at are there, and those of the others are not."""
    network = ddnn.build("resnet14", {"small": (1, 1, 1)}, num_classes=10, width=12).eval()
    condition = Condition("eager", "fp32", 1, (8, 8), 1)
    weights = {name: sum(p.numel() * 4 / 1e6 for p in network.extract(name).parameters()) for name in network.names}
    ((_, found),) = memory.measure(NetworkSubject(network, tmp_path), Group("small", (condition,)))
    assert found.peak_mb is not None
    assert found.library_mb is not None
    assert weights["small"] < found.peak_mb - found.library_mb < weights["resnet14"]


def test_conditions_that_differ_in_the_batch_share_a_process(subject: NetworkSubject) -> None:
    conditions = [Condition("eager", "fp32", batch, (8, 8), 1) for batch in (8, 1)]
    conditions += [Condition("onnx", "fp32", 1, (side, side), 1) for side in (8, 16)]
    conditions += [Condition("compiled", "fp32", 1, (8, 8), 1)]
    groups = memory.groups(subject, conditions, ["resnet8"])
    assert [[each.batch_size for each in group.conditions] for group in groups] == [[1, 8], [1], [1]]
    assert [group.conditions[0].runtime for group in groups] == ["eager", "onnx", "onnx"]


def test_an_optional_runtime_that_fails_is_left_out(subject: NetworkSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: NetworkSubject, image_size: tuple[int, int]) -> None:
        raise DDNNError("this family cannot be exported")

    monkeypatch.setattr(NetworkSubject, "_exported", fail)
    conditions = [Condition(runtime, "fp32", 1, (8, 8), 1) for runtime in ("eager", "onnx")]
    with pytest.warns(UserWarning, match="onnx is left out: this family cannot be exported"):
        found = measured_profile(
            subject, conditions, "x", "here", 0.01, optional_runtimes=["onnx"], with_memory=False, progress=False
        )
    assert [measured.condition.runtime for measured in found.measured] == ["eager"]
    with pytest.raises(DDNNError, match="cannot be exported"):
        measured_profile(subject, conditions, "x", "here", 0.01, with_memory=False, progress=False)


def test_the_network_is_left_as_it_was(network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in network.tensors().items()}
    subject = NetworkSubject(network, tmp_path)
    with subject.works(Condition("eager", "fp32", 2, (8, 8), 1), subject.names) as works:
        for work in works.values():
            work()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.tensors().items())
    assert isinstance(network, nn.Module)
    assert not network.training
