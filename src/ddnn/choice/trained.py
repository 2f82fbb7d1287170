"""Choose among the nets that were trained: the figures are found here or in a profile, and decide."""

from pathlib import Path

from ddnn.choice.best import choose_from
from ddnn.choice.circumstances import Circumstances
from ddnn.choice.decision import Decision, bounds_of
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


def choose_trained(run: Path, config: ChooseConfig, progress: bool) -> Decision:
    """The best trained net of a run that keeps to the bounds; see `ddnn.choose`."""
    with open_subject(run, config.device) as subject:
        given = None if config.on is None else _read(config.on, subject)
        accuracies = _accuracies(subject, run, config, given)
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
