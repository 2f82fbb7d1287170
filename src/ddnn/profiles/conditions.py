"""How the nets are run: from what was asked for to the combinations that can be."""

import warnings
from collections.abc import Sequence

from ddnn.config import ProfileConfig
from ddnn.config.cores import check_threads
from ddnn.errors import DDNNError
from ddnn.profiles.profile import Condition
from ddnn.profiles.subject import Subject
from ddnn_runtime.cores import cores


def plan(config: ProfileConfig, subject: Subject) -> list[Condition]:
    """All combinations that the subject can be run in, in the order that they were asked for.

    A runtime that nobody asked for by name, and whose libraries are missing, is left out with a warning.

    Raises:
        DDNNError: if a runtime or a precision that was asked for can be in no combination, or there are fewer cores
            than threads.
    """
    sizes = [(side, side) for side in config.image_size_list or ()] or [subject.image_size]
    threads = config.thread_list or [cores()]
    for number in threads:
        check_threads(number)
    return [
        Condition(runtime, precision, batch_size, size, number)
        for runtime, precision in _programs(config, subject)
        for number in threads
        for size in sizes
        for batch_size in config.batch_size_list
    ]


def _programs(config: ProfileConfig, subject: Subject) -> list[tuple[str, str]]:
    """Runtimes and precisions that go together."""
    known = _runtimes(config, subject)
    wanted = config.precision_list
    pairs = [
        (runtime, precision)
        for runtime, possible in known.items()
        for precision in (possible[:1] if wanted is None else wanted)
        if precision in possible
    ]
    what = f"on {subject.device} they can be run in: " + "; ".join(
        f"{runtime}: {', '.join(possible)}" for runtime, possible in known.items()
    )
    for precision in wanted or ():
        if precision not in {paired for _, paired in pairs}:
            raise DDNNError(f"these nets cannot be run in {precision} here; {what}{_int8_hint(precision)}")
    for runtime in config.runtime_list or ():
        if runtime not in {paired for paired, _ in pairs}:
            raise DDNNError(f"{runtime} cannot run these nets in {', '.join(wanted or ())}; {what}")
    return pairs


def _runtimes(config: ProfileConfig, subject: Subject) -> dict[str, Sequence[str]]:
    """The runtimes, and the precisions that each of them can run the subject in."""
    if config.runtime_list is not None:
        known = {runtime: subject.precisions(runtime) for runtime in config.runtime_list}
        for runtime, possible in known.items():
            if not possible:
                usual = ", ".join(subject.usual_runtimes)
                raise DDNNError(f"{runtime} cannot run these nets on {subject.device}; what can: {usual}")
        return dict(known)
    found: dict[str, Sequence[str]] = {}
    for runtime in subject.usual_runtimes:
        try:
            found[runtime] = subject.precisions(runtime)
        except DDNNError as error:
            if runtime not in optional(config, subject):
                raise
            warnings.warn(f"{runtime} is left out: {error}", stacklevel=2)
    return found


def optional(config: ProfileConfig, subject: Subject) -> tuple[str, ...]:
    """The runtimes that are left out, with a warning, where they cannot run."""
    return subject.usual_runtimes[1:] if config.runtimes is None else ()


def _int8_hint(precision: str) -> str:
    return "; for int8, profile an export that `ddnn quantize` wrote" if precision == "int8" else ""
