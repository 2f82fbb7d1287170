"""The claim: each net of a network against the same net trained alone, by `ddnn compare`, seed by seed.

Both comparisons go on side by side, each in processes of its own, until the time is over; then those seeds that are
whole are reported. What a comparison has come to is kept: the next call goes on. All that is small of it is copied to
the results as soon as it is there, so the run directories, which hold weights, may be elsewhere and may be lost.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_stages.record import Options, Record

if TYPE_CHECKING:
    from ddnn import CompareConfig

STAGE = "claim"
SEEDS = (0, 1, 2)
FIRST, THEN = ("alone", "joint", "ekd"), ("pruned", "adn")
SMALL_FILES = ("*.json", "*.yaml", "*.csv", "*.html", "*.png")
SECONDS_TO_REPORT = 20.0


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Args:
        name: of its results folder.
        full: the full net.
        subnets: its sub-nets.
        jobs: runs at once on one card: small nets leave most of it idle.
        options: of the family.
    """

    name: str
    full: str
    subnets: tuple[str, ...]
    jobs: int
    options: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, the full net last."""
        return (*self.subnets, self.full)


REAL = (
    Comparison("cifar10-resnet56", "resnet56", ("resnet20", "resnet32"), 5, {}),
    Comparison("cifar10-resnet34", "resnet34", ("resnet18",), 2, {"stem": "small"}),
)
TOYS = (Comparison("digits-resnet14", "resnet14", ("resnet8",), 1, {}),)


def main(options: Options) -> None:
    """Run both comparisons until the time is over, then report."""
    record = Record(options, STAGE, {})
    if options.data is None and not options.dry:
        print("the claim needs --data, a folder with CIFAR-10's train.parquet and test.parquet", flush=True)
        return
    wanted = TOYS if options.dry else REAL
    for comparison in wanted:
        _copy(options.out / "results" / comparison.name, options.runs / comparison.name, SMALL_FILES)
    running = [_start(options, comparison.name) for comparison in wanted]
    try:
        while any(process.poll() is None for process in running) and record.left > SECONDS_TO_REPORT:
            time.sleep(1.0)
            for comparison in wanted:
                _note_new(options, comparison, record)
    finally:
        for process in running:
            _end(process)
    cut_short = [known for known, process in zip(wanted, running, strict=True) if process.returncode != 0]
    for process in [_start(options, f"report {comparison.name}") for comparison in cut_short]:
        try:
            process.wait(max(5.0, record.left))
        except subprocess.TimeoutExpired:
            _end(process)
    for comparison in wanted:
        _note_new(options, comparison, record)


def _start(options: Options, part: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "gpu_stages.claim", *options.arguments(part=part)])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """A comparison; its runs end with it, and go on from their last checkpoints the next time."""
    process.kill()
    process.wait()


def _note_new(options: Options, comparison: Comparison, record: Record) -> None:
    """Copy what is small and new to the results, and write a line for each run that is complete."""
    source = options.runs / comparison.name
    _copy(source, options.out / "results" / comparison.name, SMALL_FILES)
    for file in sorted(source.glob("scores/*.json")):
        key = f"{comparison.name}/{file.stem}"
        if not record.has(key):
            found = json.loads(file.read_text(encoding="utf-8"))
            accuracies = {name: score["accuracy"] for name, score in found["scores"].items()}
            facts = {name: found[name] for name in ("seconds", "peak_memory_mb", "device")}
            record.write({"key": key, "ok": True, "accuracies": accuracies, **facts})


def _copy(source: Path, target: Path, patterns: Sequence[str]) -> None:
    """Files that are new, or newer than what is there."""
    for pattern in patterns:
        for file in source.rglob(pattern):
            path = file.relative_to(source)
            copy = target / path
            if "network" in path.parts or (copy.exists() and copy.stat().st_mtime >= file.stat().st_mtime):
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            partial = copy.with_name(f"{copy.name}.partial")
            shutil.copy2(file, partial)
            os.replace(partial, copy)


def whole_seeds(folder: Path, comparison: Comparison, methods: Sequence[str]) -> list[int]:
    """Those for which all runs of the methods are complete."""
    from ddnn.comparison.methods import tasks_of  # with torch, which takes long and only reports need
    from ddnn.config import Method

    return [
        seed
        for seed in SEEDS
        if all(
            (folder / "scores" / f"{task.key}.json").is_file()
            for method in methods
            for task in tasks_of(Method(method), seed, comparison.names, epochs=1)
        )
    ]


def configuration(
    options: Options, comparison: Comparison, methods: Sequence[str], seeds: Sequence[int]
) -> "CompareConfig":
    """The recipe of the claim: the full net teaches, cross-entropy and divergence one to one, temperature 1."""
    from ddnn.config import CompareConfig, EKDConfig, TrainConfig

    dry = options.dry
    train = TrainConfig(
        full=comparison.full,
        subnets=list(comparison.subnets),
        model_options=dict(comparison.options),
        ekd=EKDConfig(alpha=1.0, beta=0.0, temperature=1.0, teacher="full"),
        data="digits" if dry else f"parquet:{options.data}",
        train_images=32 if dry else None,
        batch_size=32 if dry else 256,
        validation=0.0,
        epochs=options.epochs,
        checkpoint_epochs=10,
        precision="32-true" if dry else "bf16-mixed",
        channels_last=not dry,
        device="cpu" if dry else "cuda",
    )
    folder = options.runs / comparison.name
    return CompareConfig(list(methods), list(seeds), str(folder), jobs=comparison.jobs, train=train)


def compare(options: Options, comparison: Comparison, methods: Sequence[str], seeds: Sequence[int]) -> None:
    """Make what is missing, and report."""
    import ddnn

    ddnn.compare(configuration(options, comparison, methods, seeds), command="python benchmarks/gpu.py --only claim")


def part(options: Options, what: str) -> None:
    """What a process of this stage does: a comparison, or the report of what is whole of it."""
    name = what.removeprefix("report ")
    comparison = next(known for known in (*REAL, *TOYS) if known.name == name)
    try:
        if what == name:
            whole_comparison(options, comparison)
        else:
            report(options, comparison)
    except Exception as error:  # the runs that failed are named; the others are kept
        row = {"key": what, "ok": False, "error": str(error)[:500], "trace": traceback.format_exc()[-3000:]}
        Record(options, STAGE, {}).write(row)
        sys.exit(1)


def whole_comparison(options: Options, comparison: Comparison) -> None:
    """First what the claim is about, for all seeds, then the others."""
    seeds, first = (SEEDS[:1], FIRST[:2]) if options.dry else (SEEDS, FIRST)
    compare(options, comparison, first, seeds)
    if not options.dry:
        compare(options, comparison, (*FIRST, *THEN), seeds)


def report(options: Options, comparison: Comparison) -> None:
    """Of the seeds that are whole by all methods that have one, and by the methods that have all those seeds."""
    folder = options.runs / comparison.name
    first = [method for method in FIRST if whole_seeds(folder, comparison, [method])]
    seeds = whole_seeds(folder, comparison, first)
    methods = [known for known in (*FIRST, *THEN) if set(seeds) <= set(whole_seeds(folder, comparison, [known]))]
    if first and seeds:
        compare(options, comparison, methods, seeds)


if __name__ == "__main__":
    given = Options.parse()
    if given.part is None:
        main(given)
    else:
        part(given, given.part)
