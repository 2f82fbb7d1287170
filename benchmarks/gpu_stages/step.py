"""What a training step costs: EKD's over those of the stock models and over adaptive depth's, in every way to run it.

Eager, as a CUDA graph, and in the loop of `ddnn train`, network by network; other processes compile meanwhile. One
process times at a time.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from filelock import FileLock

import ddnn
from ddnn import TrainConfig
from ddnn.config import EKDConfig
from ddnn.data import open_data
from gpu_stages.cases import ADN, Case, cases
from gpu_stages.record import Options, Record, Row
from gpu_stages.whole_step import MODES, Captured, busy_share, made
from reporting import machine
from steps import OURS, Maker, Problem
from timing import Work, interleaved, milliseconds, ratio

STAGE = "step"
TURNS, CALLS = 9, 5
SECONDS_A_GROUP = {False: 12.0, True: 0.0}  # that one of the larger networks may take, dry or not


def main(options: Options) -> None:
    """Measure until the time is over."""
    record = Record(options, STAGE, machine())
    lock = FileLock(options.out / "timing.lock")
    compiling = [] if options.part else _compile_elsewhere(options, record)
    try:
        for case in cases(options.dry):
            for mode, captured in MODES.items():
                work = partial(group, case, case.makers(), options, captured, lock)
                record.measure(f"{case.name}/{mode}", partial(_of, work, case, mode), SECONDS_A_GROUP[options.dry])
            if case.trained:
                work = partial(in_the_loop, case, options, record, lock)
                record.measure(f"{case.name}/ddnn train", work, SECONDS_A_GROUP[options.dry])
        for process in compiling:
            process.wait(max(1.0, record.left))
    except subprocess.TimeoutExpired:
        print("out of time: what is still compiled is left out", flush=True)
    finally:
        for process in compiling:
            process.kill()


def _compile_elsewhere(options: Options, record: Record) -> list[subprocess.Popen[bytes]]:
    """A process for each network that is compiled, which takes a minute or more."""
    wanted = [case for case in cases(options.dry) if case.compiled and not record.has(f"{case.name}/compiled")]
    command = [sys.executable, "-m", "gpu_stages.compiled"]
    return [subprocess.Popen([*command, *options.arguments(part=case.name)]) for case in wanted]


def _of(work: "partial[Row]", case: Case, mode: str) -> Row:
    return {"case": case.name, "mode": mode, "problem": str(case.problem), **work()}


def group(case: Case, makers: dict[str, Maker], options: Options, captured: Captured, lock: FileLock) -> Row:
    """The steps of one network, run in one way and timed in turns."""
    steps, peaks = {}, {}
    for name, make in makers.items():
        steps[name], peaks[name] = made(make, options.setting)
    works: dict[str, Work] = {name: captured(step) for name, step in steps.items()}
    with lock:
        seconds = interleaved(works, 3 if options.dry else TURNS, calls=1 if options.dry else CALLS)
        busy, share = busy_share(works[OURS])
    return {
        "setting": str(options.setting),
        "steps": {name: figures(taken, case.problem, peaks[name]) for name, taken in seconds.items()},
        "ekd_over": ratios(seconds, case.problem),
        "busy_s": busy,
        "busy_share": share,
    }


def figures(taken: list[float], problem: Problem, peak: float | None) -> Row:
    """Of one step."""
    return {**milliseconds(taken), "images_per_s": problem.batch / median(taken), "peak_mib": peak}


def ratios(seconds: dict[str, list[float]], problem: Problem) -> Row:
    """EKD's time over that of the others."""
    stock = [seconds[name] for name in problem.names if name in seconds]
    over = {"sum": stock, "full": [seconds[problem.full]]} if len(stock) == len(problem.names) else {}
    over |= {"adn": [seconds[ADN]]} if ADN in seconds else {}
    return {name: ratio(seconds[OURS], *others) for name, others in over.items()}


def in_the_loop(case: Case, options: Options, record: Record, lock: FileLock) -> Row:
    """Images a second in an epoch of `ddnn train`, the first one left out; what is not the card's work is waiting."""
    with tempfile.TemporaryDirectory() as folder:
        config = train_config(case, options, Path(folder, "run"))
        data = open_data(config, config.seed)
        with lock:
            run = ddnn.train(config, data=data, progress=False)
        seconds = [float(row["seconds"]) for row in run.directory.read_metrics()][-1]
        steps = len(data.training("cpu"))
    eager = record.get(f"{case.name}/eager")
    busy = None if eager is None else eager["busy_s"] * steps / seconds
    return {
        "case": case.name,
        "mode": "ddnn train",
        "images_per_s": steps * config.batch_size / seconds,
        "steps": steps,
        "seconds": seconds,
        "waits_share": None if busy is None else max(0.0, 1 - busy),
    }


def train_config(case: Case, options: Options, output: Path) -> TrainConfig:
    """Two epochs of EKD; on the bundled digits where there is no other data."""
    problem = case.problem
    return TrainConfig(
        full=problem.full,
        subnets=list(problem.subnets),
        model_options=dict(problem.options),
        ekd=EKDConfig(1.0, 0.0, 1.0),
        data="digits" if options.data is None else f"parquet:{options.data}",
        train_images=64 if options.dry else None,
        batch_size=32 if options.dry else problem.batch,
        validation=0.0,
        epochs=2,
        precision="32-true" if options.dry else "bf16-mixed",
        channels_last=not options.dry,
        device=options.setting.device,
        output=str(output),
    )


if __name__ == "__main__":
    main(Options.parse())
