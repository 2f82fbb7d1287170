"""How fast each depth answers, one image and many: in PyTorch, as a CUDA graph, compiled, and in onnxruntime."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ddnn.network import DepthDynamicNetwork
from gpu_stages.cases import Case, cases
from gpu_stages.record import Options, Record, Row
from gpu_stages.whole_step import captured
from reporting import machine
from settings import Setting
from timing import Work, interleaved, milliseconds

STAGE = "inference"
BATCHES, DRY_BATCHES = (1, 256), (1, 2)
TURNS, CALLS, DRY_TURNS = 15, 5, 3
SECONDS_TO_COMPILE, SECONDS_TO_EXPORT = 12.0, 8.0


def main(options: Options) -> None:
    """Measure until the time is over; what takes long to prepare comes last."""
    record = Record(options, STAGE, machine())
    asked = [case for case in cases(options.dry) if case.compiled]
    batches = DRY_BATCHES if options.dry else BATCHES
    networks = {case.name: _placed(case, options.setting) for case in asked}
    ways: dict[str, Callable[[Work], Work]] = {"eager": lambda work: work, "graph": captured}
    for case in asked:
        for batch in batches:
            for way, prepare in ways.items():
                work = partial(torch_rows, networks[case.name], case, batch, options.setting, prepare)
                record.measure(f"{case.name}/{way}/{batch}", partial(_named, work, case, way, batch))
    for case in asked:
        work = partial(onnx_rows, case, batches, options.dry)
        record.measure(f"{case.name}/onnxruntime", partial(_named, work, case, "onnxruntime", None), SECONDS_TO_EXPORT)
    if options.dry:
        torch.compiler.set_stance("force_eager")
    for case in asked:
        for batch in batches:
            work = partial(compiled_rows, networks[case.name], case, batch, options.setting)
            key = f"{case.name}/compiled/{batch}"
            record.measure(key, partial(_named, work, case, "compiled", batch), SECONDS_TO_COMPILE)


def _placed(case: Case, setting: Setting) -> DepthDynamicNetwork:
    """With all weights in the format that is asked for, as one deploys it, rather than converted in each call."""
    network = setting.place(case.problem.network().eval())
    return network.bfloat16() if setting.precision == "bf16" else network


def _named(work: "partial[Row]", case: Case, way: str, batch: int | None) -> Row:
    return {"case": case.name, "way": way, "batch": batch, **work()}


def torch_rows(
    network: DepthDynamicNetwork, case: Case, batch: int, setting: Setting, prepare: Callable[[Work], Work]
) -> Row:
    """Each net by itself."""
    images = setting.images(batch, case.problem.side).to(next(network.parameters()).dtype)
    with torch.inference_mode():
        return timed({name: prepare(partial(network, images, name)) for name in network.names}, batch)


def compiled_rows(network: DepthDynamicNetwork, case: Case, batch: int, setting: Setting) -> Row:
    """Each net compiled."""
    images = setting.images(batch, case.problem.side).to(next(network.parameters()).dtype)
    with torch.inference_mode():
        works: dict[str, Work] = {}
        for name in network.names:
            compiled: Any = torch.compile(network[name], dynamic=False)
            works[name] = partial(compiled, images)
            works[name]()
        return timed(works, batch)


def onnx_rows(case: Case, batches: tuple[int, ...], dry: bool) -> Row:
    """Each net's exported graph, images copied to the card and answers back, as a caller has it."""
    try:
        import onnxruntime

        from ddnn.deployment import export_onnx
    except ImportError as error:
        return {"left out": str(error)}
    wanted = "CPUExecutionProvider" if dry else "CUDAExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        return {"left out": f"onnxruntime has {', '.join(onnxruntime.get_available_providers())}"}
    network, side = case.problem.network().eval(), case.problem.side
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        manifest = export_onnx(network, Path(folder, "export"), torch.randn(2, 3, side, side), pieces=False).manifest
        sessions = {
            name: onnxruntime.InferenceSession(str(Path(folder, "export", net.graph.file)), providers=[wanted])
            for name, net in manifest.nets.items()
        }
        used = {name: session.get_providers()[0] for name, session in sessions.items()}
        for batch in batches:
            images = torch.randn(batch, 3, side, side).numpy()
            works: dict[str, Work] = {
                name: partial(session.run, None, {session.get_inputs()[0].name: images})
                for name, session in sessions.items()
            }
            rows[str(batch)] = timed(works, batch)["nets"]
    return {"batches": rows, "providers": used}


def timed(works: dict[str, Work], batch: int) -> Row:
    """Milliseconds of a call, and images a second."""
    seconds = interleaved(works, TURNS if torch.cuda.is_available() else DRY_TURNS, calls=CALLS)
    nets = {name: {**milliseconds(taken), "images_per_s": batch / median(taken)} for name, taken in seconds.items()}
    return {"nets": nets}


if __name__ == "__main__":
    main(Options.parse())
