"""What all stages have in common: their options, their time, and where each measurement goes when it is done."""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported by those who measure something
    from settings import Setting

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a stage is told.

    Args:
        out: the folder of all results.
        seconds: that the stage has.
        dry: toy sizes, on the CPU.
        data: the folder of train.parquet and test.parquet; None leaves out what needs them.
        runs: where the claim's run directories are.
        epochs: of each of them.
        part: of the stage, for those that start processes of their own.
    """

    out: Path
    seconds: float
    dry: bool
    data: Path | None
    runs: Path
    epochs: int
    part: str | None = None

    @classmethod
    def parse(cls) -> "Options":
        """From the command line."""
        parser = argparse.ArgumentParser()
        for name, kind in (("out", Path), ("runs", Path), ("data", Path), ("seconds", float), ("epochs", int)):
            parser.add_argument(f"--{name}", type=kind)
        parser.add_argument("--part")
        parser.add_argument("--dry", action="store_true")
        return cls(**vars(parser.parse_args()))

    def arguments(self, **changes: Any) -> list[str]:
        """The command line that gives the same, but for some changes."""
        values = {**vars(self), **changes}
        given = {name: value for name, value in values.items() if value is not None and name != "dry"}
        pairs = [text for name, value in given.items() for text in (f"--{name}", str(value))]
        return [*pairs, *(["--dry"] if self.dry else [])]

    @property
    def setting(self) -> "Setting":
        """As nets are trained on a GPU, in bfloat16 and channels-last; what is fast on a CPU where nothing is meant."""
        from settings import Setting

        return Setting() if self.dry else Setting(device="cuda", precision="bf16", channels_last=True)


class Record:
    """The measurements of a stage: a line of JSON each, on the disk as soon as it is made.

    What is there is not measured again; what failed is.

    Args:
        options: of the stage.
        stage: its name.
        facts: that stand in every line, such as the card.
    """

    def __init__(self, options: Options, stage: str, facts: Mapping[str, Any]) -> None:
        self.path = options.out / f"{stage}.jsonl"
        self._end = time.monotonic() + options.seconds
        self._facts = {"stage": stage, **facts}

    @property
    def left(self) -> float:
        """Seconds that the stage has."""
        return self._end - time.monotonic()

    def has(self, key: str) -> bool:
        """Whether a measurement was made."""
        return any(row["key"] == key and row["ok"] for row in rows(self.path))

    def get(self, key: str) -> Row | None:
        """A measurement that was made."""
        return next((row for row in rows(self.path) if row["key"] == key and row["ok"]), None)

    def measure(self, key: str, work: Callable[[], Row], needs: float = 0.0) -> None:
        """Make a measurement, unless it is there, or less time is left than it needs.

        Args:
            key: what it is called.
            work: makes it; what it raises is written down, too.
            needs: seconds.
        """
        if self.has(key) or self.left < needs:
            return
        began = time.monotonic()
        try:
            row = {"ok": True, **work()}
        except Exception as error:
            row = {
                "ok": False,
                "error": f"{type(error).__name__}: {error}"[:500],
                "trace": traceback.format_exc()[-3000:],
            }
        self.write({"key": key, **row, "took_s": round(time.monotonic() - began, 2)})
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()

    def write(self, row: Row) -> None:
        """Put a row on the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, **self._facts}, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"{row['key']}: {'done' if row['ok'] else row['error']}", flush=True)


def rows(path: Path) -> Iterator[Row]:
    """The measurements in a file; a line that was cut short is none."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
