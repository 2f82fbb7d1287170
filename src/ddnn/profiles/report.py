"""A profile as people and programs read it: tables on a terminal, and files."""

import csv
import re
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from ddnn.formats.staging import write_files
from ddnn.profiles.profile import PROFILE, Figures, Profile, caveats
from ddnn.reporting.tables import millions, percent, print_table, to_json

UNKNOWN = "–"
"""Stands for a figure that there is not."""
TABLE, PLOT = "profile.csv", "accuracy_over_latency.png"


def folder_for(run: str | Path, device_name: str, output: str | None) -> Path:
    """Where what is measured on a device goes: where it was asked for, else into a folder of the device's in the run.

    >>> folder_for("runs/digits", "Raspberry Pi 5, 4 cores", None)
    PosixPath('runs/digits/profiles/raspberry-pi-5-4-cores')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-")
    return Path(run) / "profiles" / (slug or "device") if output is None else Path(output)


def write_profile(folder: Path, profile: Profile) -> None:
    """Write `profile.json`, `profile.csv` and, if the accuracies are known, `accuracy_over_latency.png`.

    Args:
        folder: made if need be; files of these names in it are replaced.
        profile: any.
    """
    files = {PROFILE: (to_json(profile.to_json()) + "\n").encode(), TABLE: csv_text(_csv_rows(profile)).encode()}
    if profile.accuracy_of is not None:
        try:
            files[PLOT] = _plot(profile, profile.accuracy_of)
        except ImportError as error:  # a device that only runs nets may have no matplotlib
            warnings.warn(f"{PLOT} is left out: {error.name} is not installed", stacklevel=2)
    write_files(folder, files)


def csv_text(rows: Iterator[dict[str, Any]]) -> str:
    """Rows with the same keys as CSV, unrounded; None is empty."""
    text, (first, *others) = StringIO(), rows
    writer = csv.DictWriter(text, first, lineterminator="\n")
    writer.writeheader()
    writer.writerows([first, *others])
    return text.getvalue()


def show(profile: Profile) -> None:
    """Print a table for each condition on standard output."""
    columns = ["net", "depth", "params, M", "MACs, M", "file, MB", "accuracy, %", "median, ms", "p95, ms",
               f"of {profile.full}", "images/s", "peak MB", "of it the net"]  # fmt: skip
    for measured in profile.measured:
        title = f"{profile.source} on {profile.device_name}: {measured.condition}"
        print_table(title, columns, [_cells(profile, name, figures) for name, figures in measured.nets.items()])
    for sentence in _notes(profile):
        print(sentence)


def _cells(profile: Profile, name: str, figures: Figures) -> list[str]:
    facts = profile.nets[name]
    return [
        name,
        " ".join(map(str, facts.depth)),
        millions(facts.parameters),
        millions(figures.macs),
        f"{facts.file_bytes / 1e6:.2f}",
        UNKNOWN if facts.accuracy is None else percent(facts.accuracy),
        f"{figures.median_ms:.3g}",
        f"{figures.p95_ms:.3g}",
        f"{figures.ratio:.3f}",
        f"{figures.images_per_second:.{0 if figures.images_per_second >= 100 else 2}f}",
        megabytes(figures.peak_memory_mb),
        megabytes(figures.net_memory_mb),
    ]


def megabytes(size: float | None) -> str:
    """For a table."""
    return UNKNOWN if size is None else f"{size:.1f}"


def _notes(profile: Profile) -> Iterator[str]:
    own = "the net's own safetensors" if "torch" in profile.software else "the net's graph, without weights"
    yield f"file, MB: {own}; the weights of all nets in one file: {profile.shared_file_bytes / 1e6:.2f} MB"
    yield f"accuracy: {profile.accuracy_of or 'not known'}; times: all nets in turns, the ratio within each turn"
    if profile.accuracy_of is not None:
        found = (caveat for each in profile.measured for caveat in caveats(each.condition, profile.image_size))
        yield from dict.fromkeys(found)
    if any(figures.peak_memory_mb is not None for each in profile.measured for figures in each.nets.values()):
        whose = "its tensors on the GPU" if profile.device == "cuda" else "a process that loads and runs this net alone"
        yield f"peak MB: {whose}"


def _csv_rows(profile: Profile) -> Iterator[dict[str, Any]]:
    """One row a condition and net."""
    for measured in profile.measured:
        condition = measured.condition
        for name, figures in measured.nets.items():
            facts = profile.nets[name]
            yield {
                "device_name": profile.device_name,
                "runtime": condition.runtime,
                "precision": condition.precision,
                "batch_size": condition.batch_size,
                "image_height": condition.image_size[0],
                "image_width": condition.image_size[1],
                "threads": condition.threads,
                "net": name,
                "depth": " ".join(map(str, facts.depth)),
                "parameters": facts.parameters,
                "macs": figures.macs,
                "file_bytes": facts.file_bytes,
                "accuracy": facts.accuracy,
                "median_ms": figures.median_ms,
                "p95_ms": figures.p95_ms,
                "ratio": figures.ratio,
                "turns": figures.turns,
                "images_per_second": figures.images_per_second,
                "peak_memory_mb": figures.peak_memory_mb,
                "library_memory_mb": figures.library_memory_mb,
            }


def _plot(profile: Profile, accuracy_of: str) -> bytes:
    from ddnn.profiles.plot import Line, Spot, accuracy_over_latency

    lines = [
        Line(
            str(measured.condition),
            [
                Spot(name, figures.median_ms, accuracy)
                for name, figures in measured.nets.items()
                if (accuracy := profile.nets[name].accuracy) is not None
            ],
        )
        for measured in profile.measured
    ]
    return accuracy_over_latency(f"{profile.source} on {profile.device_name}", lines, accuracy_of)
