"""From a profile to candidates: which of its conditions is meant, and whether it is about these nets at all."""

from collections.abc import Mapping

from ddnn.choice.best import Candidate
from ddnn.config import ChooseConfig
from ddnn.errors import DDNNError, ModelFileError
from ddnn.profiles.profile import Measured, Profile
from ddnn.profiles.subject import Subject

_KEYS = ("runtime", "precision", "batch_size", "image_size", "threads")


def pick(profile: Profile, config: ChooseConfig) -> Measured:
    """What was measured under the one condition that the configuration means.

    Raises:
        DDNNError: if the profile has no such condition, or several; the message names those that there are.
    """
    wanted = {key: value for key in _KEYS if (value := getattr(config, key)) is not None}
    fitting = [measured for measured in profile.measured if _keys(measured).items() >= wanted.items()]
    if len(fitting) == 1:
        return fitting[0]
    there = "; ".join(str(measured.condition) for measured in (fitting or profile.measured))
    if not fitting:
        raise DDNNError(f"the profile has nothing for {_in_words(wanted)}; what it has: {there}")
    open_keys = [key for key in _KEYS if len({_keys(measured)[key] for measured in fitting}) > 1]
    raise DDNNError(
        f"the profile has {len(fitting)} conditions that could be meant; pick one with "
        f"{', '.join(f'--{key}' for key in open_keys)}: {there}"
    )


def candidates(measured: Measured, profile: Profile, accuracies: Mapping[str, float]) -> list[Candidate]:
    """The nets of a profile under one condition, shallow to deep."""
    return [
        Candidate(
            name,
            profile.nets[name].depth,
            accuracies[name],
            figures.median_ms,
            figures.peak_memory_mb,
            p95_ms=figures.p95_ms,
        )
        for name, figures in measured.nets.items()
    ]


def check_same_nets(profile: Profile, subject: Subject, path: str) -> None:
    """Refuse a profile of other nets than those at hand.

    Raises:
        ModelFileError: if names, depths or numbers of parameters differ.
    """
    there = {name: (facts.depth, facts.parameters) for name, facts in profile.nets.items()}
    facts = {name: subject.facts(name, None) for name in subject.names}
    here = {name: (net.depth, net.parameters) for name, net in facts.items()}
    if there != here:
        differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        raise ModelFileError(
            f"{path} is a profile of other nets: {', '.join(differing)} differ (it has {_listed(there)}; these are "
            f"{_listed(here)}); make one of these with `ddnn profile`"
        )


def _keys(measured: Measured) -> dict[str, object]:
    """What a condition is picked by; an image that is not square has no size to pick it by."""
    condition = measured.condition
    height, width = condition.image_size
    return {**{key: getattr(condition, key) for key in _KEYS}, "image_size": height if height == width else None}


def _in_words(wanted: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in wanted.items())


def _listed(nets: Mapping[str, tuple[tuple[int, ...], int]]) -> str:
    return ", ".join(
        f"{name} of depth {' '.join(map(str, depth))} with {parameters} parameters"
        for name, (depth, parameters) in nets.items()
    )
