"""The nets of a network, run by PyTorch, or exported for the occasion and run by onnxruntime.

What is measured is the stock model of each depth, taken out of the network: the one that is shipped.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from ddnn.deployment.extraction import extract_to_file
from ddnn.engines.torch_engine import TYPES, TorchEngine, torch_threads
from ddnn.errors import DDNNError, first_line
from ddnn.measuring.devices import pick_device
from ddnn.measuring.macs import cost
from ddnn.network import DepthDynamicNetwork, storage
from ddnn.network.loading import load, network_directory
from ddnn.profiles.export_subject import graph_works
from ddnn.profiles.profile import Condition, NetFacts
from ddnn.profiles.subject import Accuracies, Subject
from ddnn.runs.run_directory import RunDirectory
from ddnn_runtime.latency import Work

_PROGRAMS = 1000  # torch compiles eight of one class at most, and runs the rest uncompiled, unless it is told


class NetworkSubject(Subject):
    """A network in memory.

    Args:
        network: on the device, in evaluation mode.
        workspace: a folder for what is written for the occasion; whoever made it removes it.
        run: the directory that the network was read from, if it was.
    """

    packages: tuple[str, ...] = ("torch", "onnxruntime", "numpy")

    def __init__(self, network: DepthDynamicNetwork, workspace: Path, run: Path | None = None) -> None:
        self.network = network
        self._workspace, self._run = Path(tempfile.mkdtemp(dir=workspace)), run
        self._models = {name: network.extract(name).eval() for name in network.names}
        self._engine = TorchEngine(network, models=self._models)
        self._exports: dict[tuple[int, int], Path] = {}
        self.device: str = self._engine.device
        self.names: tuple[str, ...] = self._engine.names
        channels, *size = self._engine.input_shape
        self.channels: int = channels
        self.image_size: tuple[int, int] = (size[0], size[1])
        self.usual_runtimes: tuple[str, ...] = ("eager", "onnx") if self.device == "cpu" else ("eager",)
        directory = None if run is None else network_directory(run)
        self.weights: str = "" if directory is None else storage.read_config(directory)["weights"]["sha256"]
        self.shared_file_bytes: int = 0 if directory is None else (directory / storage.WEIGHTS).stat().st_size

    def accuracies(self) -> Accuracies | None:
        """Those that the run wrote down."""
        if self._run is None:
            return None
        run = RunDirectory(self._run)
        known = run.read_accuracies()
        of = f"test images of {run.read_config().data}" if run.config_file.is_file() else "the run's test images"
        of = run.read_tested_on(of)
        return Accuracies({name: known[name] for name in self.names if name in known}, of) if known else None

    def facts(self, name: str, accuracy: float | None) -> NetFacts:
        """Counted; the file is what `ddnn extract` writes."""
        parameters = sum(parameter.numel() for parameter in self._models[name].parameters())
        file = self._workspace / f"{name}.safetensors"
        if not file.exists():
            extract_to_file(self.network, name, file)
        return NetFacts(self.network.depths[name], parameters, file.stat().st_size, accuracy)

    def macs(self, name: str, image_size: tuple[int, int]) -> int:
        """Counted in a call for one image."""
        try:
            return cost(self._models[name], (self.channels, *image_size)).macs
        except (RuntimeError, ValueError, AssertionError) as error:
            side = "x".join(map(str, image_size))
            raise DDNNError(f"{name} cannot take images of {side} pixels: {first_line(error)}") from None

    def precisions(self, runtime: str) -> tuple[str, ...]:
        """PyTorch converts to what the device has; graphs are exported as the weights are."""
        if runtime == "onnx":
            from ddnn.deployment.graphs import require_onnx

            if self.device == "cpu":
                require_onnx()
            return ("fp32",) if self.device == "cpu" else ()
        return ("fp32", "bf16", "fp16") if self.device == "cuda" else ("fp32", "bf16")

    @contextmanager
    def works(self, condition: Condition, names: Sequence[str]) -> Iterator[Mapping[str, Work]]:
        """Calls of the stock models, or of their graphs."""
        limits = torch._dynamo.config.patch(recompile_limit=_PROGRAMS, accumulated_recompile_limit=_PROGRAMS)
        with torch_threads(condition.threads), limits:
            if condition.runtime == "onnx":
                yield graph_works(self._exported(condition.image_size), condition, names)
            else:
                yield self._torch_works(condition, names)

    def probe(self, name: str, condition: Condition) -> dict[str, Any]:
        """An export, or a file with the stock model."""
        if condition.runtime == "onnx":
            return {"export": str(self._exported(condition.image_size))}
        file = self._workspace / f"{name}-{condition.precision}.pt"
        if not file.exists():
            torch.save(deepcopy(self._models[name]).to("cpu", TYPES[condition.precision]), file)
        return {"model": str(file), "module": type(self._models[name]).__module__}

    def wait(self) -> None:
        """Return when the GPU, if there is one, is done."""
        self._engine.wait()

    def _torch_works(self, condition: Condition, names: Sequence[str]) -> dict[str, Work]:
        kind, shape = TYPES[condition.precision], (condition.batch_size, self.channels, *condition.image_size)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        images = images.to(next(self.network.parameters()).device, kind)
        engine = TorchEngine(self.network, models={name: self._model(name, condition) for name in names})
        works = {name: engine.work(images, name) for name in names}
        for name, work in works.items():
            _try(work, f"{name} cannot be run ({condition})")
        return works

    def _model(self, name: str, condition: Condition) -> Any:
        """The stock model as a condition wants it."""
        model, kind = self._models[name], TYPES[condition.precision]
        model = model if kind == torch.float32 else deepcopy(model).to(kind)
        return torch.compile(model, dynamic=False) if condition.runtime == "compiled" else model

    def _exported(self, image_size: tuple[int, int]) -> Path:
        if image_size not in self._exports:
            from ddnn.deployment import export_onnx

            directory = self._workspace / f"onnx-{image_size[0]}x{image_size[1]}"
            export_onnx(self.network, directory, torch.randn(2, self.channels, *image_size), pieces=False)
            self._exports[image_size] = directory
        return self._exports[image_size]


def open_network(run: Path, device: str, workspace: Path) -> NetworkSubject:
    """The network of a run, or a saved one, on a device; see `open_subject`."""
    return NetworkSubject(load(run).to(pick_device(device)), workspace, run)


def _try(work: Work, failure: str) -> None:
    """The first call, in which whatever cannot be done shows: compilers, number formats, too little memory."""
    try:
        work()
    except Exception as error:
        raise DDNNError(f"{failure}: {first_line(error)}") from None
