"""The highest memory that each net takes in a process of its own.

One process loads one net and runs it under all conditions that differ in the batch alone, small to large: the highest
memory of a process so far is that of the largest batch so far.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddnn.errors import DDNNError
from ddnn.profiles.profile import Condition
from ddnn.profiles.subject import Subject


@dataclass(frozen=True)
class Memory:
    """Memory of a process that has loaded and run one net, in MB (see `ddnn.profiles.profile.Figures`)."""

    peak_mb: float | None = None
    library_mb: float | None = None


@dataclass(frozen=True)
class Group:
    """What one process finds out: one net, under conditions that differ in the batch alone, small to large."""

    name: str
    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        first = self.conditions[0]
        plural = "" if first.threads == 1 else "s"
        return f"memory of {self.name}, {first.runtime}, {first.precision}, {first.threads} thread{plural}"


def groups(subject: Subject, conditions: Sequence[Condition], names: Sequence[str]) -> list[Group]:
    """The processes that are needed for all nets under all conditions; none where memory cannot be told."""
    alike: dict[tuple[str, str, int, tuple[int, int] | None], list[Condition]] = {}
    for condition in conditions:
        if condition.runtime == "compiled" and subject.device != "cuda":
            continue  # compilers run in the same process, and take more than the net
        fixed = condition.image_size if condition.runtime == "onnx" else None  # a graph takes images of one size
        alike.setdefault((condition.runtime, condition.precision, condition.threads, fixed), []).append(condition)
    return [Group(name, tuple(sorted(each, key=_pixels))) for each in alike.values() for name in names]


def measure(subject: Subject, group: Group) -> Iterator[tuple[Condition, Memory]]:
    """Start the process of a group, and give what it finds for each condition.

    Raises:
        DDNNError: if it fails.
    """
    first = group.conditions[0]
    task = {
        **subject.probe(group.name, first),
        "name": group.name,
        "device": subject.device,
        "threads": first.threads,
        "compile": first.runtime == "compiled",
        "shapes": [(each.batch_size, subject.channels, *each.image_size) for each in group.conditions],
    }
    found = _run(task, str(group))
    for condition, peak in zip(group.conditions, found["peaks"], strict=True):
        yield condition, Memory(_mb(peak), _mb(found["library"]))


def _run(task: Mapping[str, Any], title: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ddnn.profiles.probe"]
    ended = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or [f"it ended with status {ended.returncode}"])[-1]
        raise DDNNError(f"the process for the {title} failed: {reason}")
    return json.loads(ended.stdout.splitlines()[-1])


def _mb(held: int | None) -> float | None:
    return None if held is None else held / 1e6


def _pixels(condition: Condition) -> int:
    return condition.batch_size * condition.image_size[0] * condition.image_size[1]
