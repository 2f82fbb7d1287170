"""What a GPU does with this project: is it right, how fast is it, does the claim hold; one command, for minutes.

python benchmarks/gpu.py --minutes 9 --out DIR [--only step,claim] [--data DIR] [--runs DIR] [--epochs 30] [--dry]

Stages, one after the other, each in processes of its own that are ended when their time is over: smoke (every family
against the CPU), step (what a training step costs), claim (the nets against themselves trained alone, on CIFAR-10) and
inference. Each measurement is a line in DIR/STAGE.jsonl as soon as it is made. What is there is not made again, so the
same command goes on. docs/gpu.md says how to read it.

Nothing is installed, and nothing is read but this repository and `--data`. Torch is not imported here.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("smoke", "step", "claim", "inference")
SHARES = {"smoke": 0.12, "step": 0.22, "inference": 0.09}
"""Of the time; the claim has the rest."""
SECONDS_TO_BEGIN = 15.0  # until a stage's own clock runs: torch is imported
SECONDS_TO_END = 10.0  # of all: the summary


def main() -> int:
    """Run the stages; the number of those that failed."""
    options = _options()
    end = time.monotonic() + 60 * options.minutes - SECONDS_TO_END
    options.out.mkdir(parents=True, exist_ok=True)
    with _environment() as environment:
        failed = []
        for number, stage in enumerate(options.only):
            left = end - time.monotonic()
            later = sum(SHARES.get(other, 0.0) for other in options.only[number + 1 :]) * 60 * options.minutes
            wanted = SHARES.get(stage, 1.0) * 60 * options.minutes if len(options.only) > 1 else left
            seconds = min(wanted, left - later)
            print(f"\n{stage}: {seconds:.0f} s", flush=True)
            if seconds <= 0 or not _run(stage, options, seconds, environment):
                failed.append(stage)
        _run("summary", options, SECONDS_TO_END, environment)
    if failed:
        print(f"failed, or out of time: {', '.join(failed)}", flush=True)
    return len(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything")
    parser.add_argument("--out", type=Path, required=True, help="the folder of all results")
    parser.add_argument("--only", default=",".join(STAGES), help="stages, with commas between them")
    parser.add_argument("--data", type=Path, help="folder with CIFAR-10's train.parquet and test.parquet")
    parser.add_argument(
        "--runs", type=Path, help="the claim's run directories, which hold weights; OUT/runs if not given"
    )
    parser.add_argument("--epochs", type=int, default=30, help="of each run of the claim")
    parser.add_argument("--dry", action="store_true", help="toy sizes, on the CPU")
    options = parser.parse_args()
    options.only = [name for name in STAGES if name in options.only.split(",")]
    if not options.only:
        parser.error(f"--only takes {', '.join(STAGES)}")
    if options.data is not None and not (options.data / "train.parquet").is_file():
        parser.error(f"--data {options.data} has no train.parquet; benchmarks/gpu_stages/pack.py makes it")
    options.out = options.out.resolve()
    options.data = options.data and options.data.resolve()
    options.runs = (options.runs or options.out / "runs").resolve()
    return options


def _run(stage: str, options: argparse.Namespace, seconds: float, environment: dict[str, str]) -> bool:
    """Run a stage to its end, or to that of its time, in a session of its own, so that all it has started ends too."""
    command = [sys.executable, "-m", f"gpu_stages.{stage}", "--out", str(options.out), "--runs", str(options.runs)]
    command += ["--seconds", f"{max(5.0, seconds - (0 if options.dry else SECONDS_TO_BEGIN)):.1f}"]
    command += ["--epochs", str(options.epochs), *(["--dry"] if options.dry else [])]
    command += [] if options.data is None else ["--data", str(options.data)]
    process = subprocess.Popen(command, env=environment, cwd=options.out, start_new_session=True)
    try:
        status = process.wait(seconds + SECONDS_TO_END / 2)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    print(f"{stage}: {'ended in time' if status == 0 else f'status {status}' if status is not None else 'cut short'}")
    return status == 0


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Where the processes find this repository, installed or not."""
    with tempfile.TemporaryDirectory() as folder:
        places = [str(ROOT / "benchmarks"), str(ROOT / "src"), str(ROOT), folder, os.environ.get("PYTHONPATH", "")]
        _say_version(Path(folder))
        path = os.pathsep.join(place for place in places if place)
        yield {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TORCHINDUCTOR_COMPILE_THREADS": "4"}


def _say_version(folder: Path) -> None:
    """The package asks for its own version; where it is not installed, nothing knows it but pyproject.toml."""
    try:
        version("ddnn")
    except PackageNotFoundError:
        number = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        facts = folder / f"ddnn-{number}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ddnn\nVersion: {number}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
