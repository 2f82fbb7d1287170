"""Which blocks go into int8, for all nets together: those that matter least first, as far as a bound asks or allows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ddnn.deployment.quantization.trials import Result, Trials
from ddnn.errors import DDNNError
from ddnn.reporting.progress import Progress


@dataclass(frozen=True)
class Sensitivity:
    """What int8 in one block alone does.

    Args:
        block: its name.
        results: of each net that has it.
    """

    block: str
    results: dict[str, Result]

    @property
    def divergence(self) -> float:
        """That of the net that changes most, in nats."""
        return max(result.divergence for result in self.results.values())

    @property
    def drop(self) -> float:
        """That of the net whose accuracy falls most."""
        return max(result.drop for result in self.results.values())


@dataclass(frozen=True)
class Attempt:
    """A choice that was tried.

    Args:
        int8: the blocks that were in int8.
        net: the one whose accuracy fell most; None where that was not looked at.
        drop: by how much.
        latency_ms: of the full net for one image; None where that was not measured.
        fits: whether the bound held.
    """

    int8: tuple[str, ...]
    net: str | None
    drop: float | None
    latency_ms: float | None
    fits: bool


def sensitivities(trials: Trials, progress: Progress) -> list[Sensitivity]:
    """Quantise each block alone, in every net that has it; the most sensitive first."""
    found = []
    for number, block in enumerate(trials.blocks, start=1):
        progress(f"block {number}/{len(trials.blocks)}: {block}")
        having = [name for name, net in trials.nets.items() if block in net.blocks]
        found.append(Sensitivity(block, {name: trials.result(name, [block]) for name in having}))
    return sorted(found, key=lambda one: one.divergence, reverse=True)


def within_drop(trials: Trials, ranked: Sequence[Sensitivity], bound: float, progress: Progress) -> list[Attempt]:
    """As many blocks as an accuracy bound allows.

    Starts with all blocks in int8 and puts the most sensitive ones back into float until the bound holds; then tries
    each of those in int8 once more, the least sensitive first, because not all of them may have been in the way.

    Returns:
        What was tried; the last one that fits is the choice.

    Raises:
        DDNNError: if no choice fits; the nearest is named.
    """
    kept: list[str] = []
    tried = [_try_drop(trials, kept, bound, progress)]
    for one in ranked[:-1]:
        if tried[-1].fits:
            break
        kept.append(one.block)
        tried.append(_try_drop(trials, kept, bound, progress))
    if not tried[-1].fits:
        raise _no_choice(tried, bound)
    for block in reversed(kept[:-1]):
        again = _try_drop(trials, [other for other in kept if other != block], bound, progress)
        tried.append(again)
        if again.fits:
            kept.remove(block)
    return tried


def within_latency(trials: Trials, ranked: Sequence[Sensitivity], bound: float, progress: Progress) -> list[Attempt]:
    """As few blocks as a bound on the full net's latency needs, the least sensitive first.

    Returns:
        What was tried; the last one fits.

    Raises:
        DDNNError: if the float net fits already, or no choice does; the nearest is named.
    """
    tried = [_try_latency(trials, [], bound, progress)]
    if tried[0].fits:
        raise DDNNError(
            f"the float net takes {tried[0].latency_ms:.3g} ms here, which is within {bound:g} ms: there is nothing to "
            "quantise for; export it with `ddnn export`, or give a lower --latency_ms"
        )
    chosen: list[str] = []
    for one in reversed(ranked):
        chosen.append(one.block)
        tried.append(_try_latency(trials, chosen, bound, progress))
        if tried[-1].fits:
            return tried
    nearest = min(tried, key=lambda attempt: attempt.latency_ms or 0.0)
    raise DDNNError(
        f"no choice of blocks brings the full net within {bound:g} ms here; the nearest, {_in_words(nearest)}, takes "
        f"{nearest.latency_ms:.3g} ms; give a higher --latency_ms, or choose a shallower net with `ddnn choose`"
    )


def chosen_of(tried: Sequence[Attempt]) -> Attempt:
    """The choice: the last attempt that fits."""
    return [attempt for attempt in tried if attempt.fits][-1]


def _try_drop(trials: Trials, kept: Collection[str], bound: float, progress: Progress) -> Attempt:
    int8 = tuple(block for block in trials.blocks if block not in kept)
    results = trials.results(int8)
    worst = max(results, key=lambda name: results[name].drop)
    drop = results[worst].drop
    progress(f"{len(int8)} of {len(trials.blocks)} blocks in int8: {worst} loses {100 * drop:.2f} points")
    return Attempt(int8, worst, drop, None, drop <= bound + 1e-9)


def _try_latency(trials: Trials, chosen: Collection[str], bound: float, progress: Progress) -> Attempt:
    int8 = tuple(block for block in trials.blocks if block in chosen)
    milliseconds = trials.latency(int8)
    progress(f"{len(int8)} of {len(trials.blocks)} blocks in int8: {milliseconds:.3g} ms")
    return Attempt(int8, None, None, milliseconds, milliseconds <= bound)


def _no_choice(tried: Sequence[Attempt], bound: float) -> DDNNError:
    nearest = min(tried, key=lambda attempt: attempt.drop or 0.0)
    return DDNNError(
        f"no choice of blocks keeps every net within {bound:g} of its float accuracy; the nearest, "
        f"{_in_words(nearest)}, costs {nearest.net} {nearest.drop:.4f}; give a higher --max_drop, or more "
        "--calibration_images"
    )


def _in_words(attempt: Attempt) -> str:
    if not attempt.int8:
        return "no block in int8"
    noun = "block" if len(attempt.int8) == 1 else "blocks"
    return f"{len(attempt.int8)} {noun} in int8 ({', '.join(attempt.int8[:4])}{', …' if len(attempt.int8) > 4 else ''})"
