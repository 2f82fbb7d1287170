"""Choose a net: the one function that finds the figures, here or in a profile, and decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddnn.choice.best import Bounds, Candidate, Choice, choose_from
from ddnn.choice.pick import candidates, check_same_nets, pick
from ddnn.config import ChooseConfig, ProfileConfig
from ddnn.errors import DDNNError
from ddnn.profiles.conditions import plan
from ddnn.profiles.export_subject import ExportSubject
from ddnn.profiles.measure import describe, measured_profile
from ddnn.profiles.memory import groups
from ddnn.profiles.opening import open_subject
from ddnn.profiles.profile import Condition, Profile, caveats
from ddnn.profiles.reading import read_profile
from ddnn.profiles.subject import Accuracies, Subject


@dataclass(frozen=True)
class Circumstances:
    """Where and how nets were measured.

    Args:
        source: the run, network or export.
        condition: how the nets were run.
        device_name: on what.
        software: versions, by the names of the packages.
        date: when, in UTC.
        profile: the file that the times come from; None if they were measured just now.
        accuracy_of: on what the accuracies were measured.
        caveats: in what they were measured otherwise than the times.
    """

    source: str
    condition: Condition
    device_name: str
    software: Mapping[str, str]
    date: str
    profile: str | None
    accuracy_of: str
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class Decision:
    """What was decided, and on what it stands.

    Args:
        choice: the chosen net.
        bounds: that it keeps to.
        candidates: all nets that it was chosen from.
        circumstances: where and how they were measured.
    """

    choice: Choice
    bounds: Bounds
    candidates: Sequence[Candidate]
    circumstances: Circumstances


def choose(run: str | Path, config: ChooseConfig, *, progress: bool = True) -> Decision:
    """The best trained net of a run that keeps to the bounds.

    Args:
        run: a run directory, a saved network, or an export.
        config: the bounds, and where the figures come from.
        progress: show on standard error what is measured.

    Raises:
        DDNNError: if no net fits (the message names the nearest), the accuracies are not known, or the profile is
            damaged, is about other nets, or leaves open which of its conditions is meant.

    Example:
        ```python
        decision = ddnn.choose("runs/digits", ddnn.ChooseConfig(latency_ms=20, on="profile.json"))
        decision.choice.chosen.name, decision.choice.left["latency_ms"]
        ```
    """
    assert not config.any_depth, "ddnn.choice.any_depth does that"
    with open_subject(Path(run), config.device) as subject:
        given = None if config.on is None else _read(config.on, subject)
        accuracies = _accuracies(subject, Path(run), config, given)
        profile = given or _measured(subject, str(run), config, accuracies, progress)
    measured = pick(profile, config)
    found, bounds = candidates(measured, profile, accuracies.values), bounds_of(config)
    circumstances = Circumstances(
        str(run),
        measured.condition,
        profile.device_name,
        profile.software,
        profile.date,
        config.on,
        accuracies.of,
        caveats(measured.condition, profile.image_size),
    )
    return Decision(choose_from(found, bounds), bounds, found, circumstances)


def bounds_of(config: ChooseConfig) -> Bounds:
    """The bounds of a configuration."""
    return Bounds(config.latency_ms, config.accuracy, config.memory_mb)


def condition_here(config: ChooseConfig, subject: Subject) -> Condition:
    """The one condition to measure under here and now.

    Raises:
        DDNNError: if the subject cannot be run so.
    """
    wanted = ProfileConfig(
        batch_sizes=config.batch_size or 1,
        image_sizes=config.image_size,
        threads=config.threads,
        precisions=config.precision,
        runtimes=config.runtime or subject.usual_runtimes[0],
    )
    (condition,) = plan(wanted, subject)
    if config.memory_mb is not None and not groups(subject, [condition], subject.names):
        raise DDNNError(
            "--memory_mb cannot be held against compiled nets on a CPU: compilers run in the same process, and take "
            "more than the net; choose by another --runtime, or leave the bound out"
        )
    return condition


def _read(on: str, subject: Subject) -> Profile:
    profile = read_profile(Path(on))
    check_same_nets(profile, subject, on)
    return profile


def _measured(subject: Subject, run: str, config: ChooseConfig, accuracies: Accuracies, progress: bool) -> Profile:
    return measured_profile(
        subject,
        [condition_here(config, subject)],
        run,
        describe(subject),
        config.seconds,
        with_memory=config.memory_mb is not None,
        accuracies=accuracies,
        progress=progress,
    )


def _accuracies(subject: Subject, run: Path, config: ChooseConfig, profile: Profile | None) -> Accuracies:
    """Of every net: measured on the data that was asked for; else what the run says, or the profile of these very
    weights; else measured on the run's own test images.

    Raises:
        DDNNError: if there is no way to know them.
    """
    known = subject.accuracies()
    if config.data is None and known is not None and known.values.keys() >= set(subject.names):
        return known
    if config.data is None and profile is not None and profile.weights == subject.weights and profile.accuracy_of:
        values = {name: net.accuracy for name, net in profile.nets.items() if net.accuracy is not None}
        if values.keys() == set(subject.names):
            return Accuracies(values, profile.accuracy_of)
    if isinstance(subject, ExportSubject):
        what = "cannot be scored with --data" if config.data else "does not say how accurate its nets are"
        raise DDNNError(f"{run} is an export, which {what}; choose from the run that it came from")
    from ddnn.choice.scoring import score

    return score(subject, run, config)
