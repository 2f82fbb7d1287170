"""Profile the nets of a network: the one function that runs every combination, and says what was found."""

import os
import platform
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ddnn.config import ProfileConfig, configured
from ddnn.errors import DDNNError
from ddnn.formats.arguments import path_of
from ddnn.formats.staging import reserved
from ddnn.measuring.devices import processor
from ddnn.profiles import memory
from ddnn.profiles.conditions import optional, plan
from ddnn.profiles.memory import Group, Memory
from ddnn.profiles.opening import open_subject
from ddnn.profiles.profile import Condition, Figures, Measured, Profile
from ddnn.profiles.report import folder_for, write_profile
from ddnn.profiles.subject import Accuracies, Subject
from ddnn.reporting.progress import Progress, steps
from ddnn_runtime.cores import cores
from ddnn_runtime.latency import Latency, interleaved_for, latencies


def profile(
    run: str | os.PathLike[str], config: ProfileConfig | None = None, *, progress: bool = True, **keys: Any
) -> Profile:
    """Measure every net of a network under every condition that was asked for.

    Times come from all nets in turns, memory from a process of its own for each. What was found is written into
    `config.output` too, or into a folder of the device's in the run.

    Args:
        run: a run directory, a saved network, or an export; or what `ddnn.train` returns.
        config: what to measure; None means the defaults.
        progress: show a bar (a line a step where there is no terminal) on standard error.
        keys: fields of `ddnn.ProfileConfig`, in place of the configuration's.

    Raises:
        DDNNError: if there is nothing to measure, it cannot be run so, or a key or value makes no sense.

    Example:
        ```python
        measured = ddnn.profile("runs/digits", threads=[1, 2], seconds=5).measured
        measured[0].condition.threads, measured[0].nets["resnet8"].median_ms
        ```
    """
    path, config = path_of(run, "run"), configured(ProfileConfig, config, keys)
    with open_subject(path, config.device) as subject:
        conditions = plan(config, subject)
        name = str(config.device_name or describe(subject))
        folder = folder_for(path, name, config.output)
        with reserved(folder):
            found = measured_profile(
                subject,
                conditions,
                os.fspath(run),
                name,
                config.seconds,
                optional_runtimes=optional(config, subject),
                progress=progress,
            )
            write_profile(folder, found)
            return found


def measured_profile(
    subject: Subject,
    conditions: Sequence[Condition],
    source: str,
    device_name: str,
    seconds: float,
    *,
    optional_runtimes: Sequence[str] = (),
    with_memory: bool = True,
    accuracies: Accuracies | None = None,
    progress: bool = True,
) -> Profile:
    """Measure a subject under conditions.

    Args:
        subject: what is measured.
        conditions: how it is run.
        source: what to call the subject.
        device_name: what to call the device.
        seconds: for the times of each condition.
        optional_runtimes: those that are left out, with a warning, if they cannot run the nets.
        with_memory: find out the memory too.
        accuracies: of the nets; None takes what the subject knows.
        progress: show how far it is.
    """
    known = accuracies or subject.accuracies()
    measured = _measured(subject, conditions, seconds, optional_runtimes, with_memory, progress)
    return Profile(
        source=source,
        weights=subject.weights,
        full=subject.full,
        nets={name: subject.facts(name, known.values.get(name) if known else None) for name in subject.names},
        image_size=subject.image_size,
        shared_file_bytes=subject.shared_file_bytes,
        accuracy_of=known.of if known else None,
        device_name=device_name,
        device=subject.device,
        software=software(subject),
        date=now(),
        measured=measured,
    )


def _measured(
    subject: Subject,
    conditions: Sequence[Condition],
    seconds: float,
    optional_runtimes: Sequence[str],
    with_memory: bool,
    progress: bool,
) -> list[Measured]:
    sizes = {condition.image_size for condition in conditions}
    macs = {size: {name: subject.macs(name, size) for name in subject.names} for size in sizes}
    groups = memory.groups(subject, conditions, subject.names) if with_memory else []
    with steps(len(conditions) + len(groups), progress) as step:
        times = _times(subject, conditions, seconds, optional_runtimes, step)
        peaks = _peaks(subject, [group for group in groups if set(group.conditions) <= times.keys()], step)
    return [
        Measured(
            condition,
            {
                name: _figures(condition, macs[condition.image_size][name], latency, peaks.get((condition, name)))
                for name, latency in found.items()
            },
        )
        for condition, found in times.items()
    ]


def _peaks(subject: Subject, groups: Sequence[Group], step: Progress) -> dict[tuple[Condition, str], Memory]:
    peaks = {}
    for group in groups:
        step(str(group))
        peaks.update({(condition, group.name): found for condition, found in memory.measure(subject, group)})
    return peaks


def timed(subject: Subject, condition: Condition, seconds: float) -> dict[str, Latency]:
    """The latency of every net of a subject, all of them in turns."""
    with subject.works(condition, subject.names) as works:
        return latencies(interleaved_for(works, seconds, subject.wait), subject.full)


def describe(subject: Subject) -> str:
    """The device in words."""
    if subject.device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return f"{processor()}, {cores()} cores"


def now() -> str:
    """The time, in UTC (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def software(subject: Subject) -> dict[str, str]:
    """Versions of what the figures depend on."""
    versions = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in ("ddnn", *subject.packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _times(
    subject: Subject, conditions: Sequence[Condition], seconds: float, optional_runtimes: Sequence[str], step: Progress
) -> dict[Condition, Mapping[str, Latency]]:
    times: dict[Condition, Mapping[str, Latency]] = {}
    for condition in conditions:
        step(str(condition))
        try:
            times[condition] = timed(subject, condition, seconds)
        except DDNNError as error:
            if condition.runtime not in optional_runtimes:
                raise
            warnings.warn(f"{condition.runtime} is left out: {error}", stacklevel=2)
    return times


def _figures(condition: Condition, macs: int, latency: Latency, peak: Memory | None) -> Figures:
    return Figures(
        macs=macs,
        median_ms=latency.median_ms,
        p95_ms=latency.p95_ms,
        ratio=latency.ratio,
        turns=latency.turns,
        images_per_second=1e3 * condition.batch_size / latency.median_ms,
        peak_memory_mb=peak.peak_mb if peak else None,
        library_memory_mb=peak.library_mb if peak else None,
    )
