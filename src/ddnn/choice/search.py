"""Go through the depths that were not trained, with optuna: all of them where they are few, else towards the front.

The two aims, accuracy and time, are kept apart, so that one search serves every bound.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ddnn.choice.depths import Found
from ddnn.choice.space import Depth, DepthSpace, NoSuchDepth
from ddnn.errors import DDNNError
from ddnn.reporting.progress import Progress

_REPEATS = 50
"""So many suggestions in a row that are known already end a search."""


@dataclass
class Search:
    """How a search went.

    Args:
        found: of the depths that it tried.
        refused: depths that no net can have.
        ended: why it ended.
        sampler: how it went through them.
    """

    found: list[Found] = field(default_factory=list)
    refused: list[Depth] = field(default_factory=list)
    ended: str = ""
    sampler: str = ""


def require_optuna() -> ModuleType:
    """The module optuna; a DDNNError says how to install it."""
    try:
        import optuna
    except ImportError:
        raise DDNNError(
            "optuna is not installed, which --any_depth searches with: pip install 'ddnn[search]'"
        ) from None
    return optuna


def search(
    space: DepthSpace,
    known: Sequence[Found],
    attempt: Callable[[Depth], Found],
    *,
    trials: int,
    time_budget: float,
    seed: int,
    step: Progress = lambda _: None,
) -> Search:
    """Try depths until all are known, or so many were tried, or the time is over, or Ctrl-C is pressed.

    Args:
        space: the depths.
        known: what is known of the trained ones.
        attempt: finds out about one, or raises NoSuchDepth.
        trials: the most depths to try.
        time_budget: in seconds; a depth that was begun is finished.
        seed: of the order.
        step: is told which depth is tried.

    Raises:
        DDNNError: if optuna is not installed.
    """
    optuna = require_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings have the traceback of a Ctrl-C
    sampler = _sampler(optuna.samplers, space.untrained <= trials, seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    going = _Going(optuna, space, known, attempt, trials, step)
    for one in known:
        study.add_trial(going.finished(one))
    going.search.sampler = type(sampler).__name__
    try:
        if space.untrained:
            study.optimize(going.objective, timeout=time_budget, callbacks=[going.after])
    except KeyboardInterrupt:
        going.search.ended = "interrupted"
    going.search.ended = going.search.ended or going.outcome(time_budget)
    return going.search


def _sampler(samplers: Any, few: bool, seed: int) -> Any:
    """One that goes through all depths, or one that learns where it pays to look."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both are called experimental, for years now
        return samplers.BruteForceSampler(seed=seed) if few else samplers.TPESampler(seed=seed, multivariate=True)


class _Going:
    """A search that goes on: optuna's objective, and what is known so far."""

    def __init__(
        self,
        optuna: Any,
        space: DepthSpace,
        known: Sequence[Found],
        attempt: Callable[[Depth], Found],
        trials: int,
        step: Progress,
    ) -> None:
        self.search = Search()
        self._optuna, self._space, self._attempt = optuna, space, attempt
        self._trials, self._step, self._repeats = trials, step, 0
        self._known = {one.depth: one for one in known}
        self._stages = {
            f"stage {number}": optuna.distributions.IntDistribution(low, high)
            for number, (low, high) in enumerate(zip(space.low, space.high, strict=True), start=1)
        }

    def finished(self, one: Found) -> Any:
        """What is known of a depth, as a trial that is over."""
        values = [one.accuracy, one.ratio]
        params = dict(zip(self._stages, one.depth, strict=True))
        return self._optuna.trial.create_trial(values=values, params=params, distributions=self._stages)

    def objective(self, trial: Any) -> tuple[float, float]:
        """Accuracy and time of the depth that optuna suggests."""
        depth = tuple(trial.suggest_int(name, each.low, each.high) for name, each in self._stages.items())
        self._repeats = self._repeats + 1 if depth in self._known or depth in self.search.refused else 0
        if depth in self.search.refused:
            raise self._optuna.TrialPruned
        if depth not in self._known:
            self._try(depth)
        return self._known[depth].accuracy, self._known[depth].ratio

    def after(self, study: Any, _: Any) -> None:
        """End the search when it has gone far enough."""
        if self._tried >= min(self._trials, self._space.untrained) or self._repeats >= _REPEATS:
            study.stop()

    def outcome(self, time_budget: float) -> str:
        """Why the search ended, if nobody interrupted it."""
        if self._tried >= self._space.untrained:
            return "all depths were tried"
        if self._tried >= self._trials:
            return f"{self._trials} depths were tried"
        if self._repeats >= _REPEATS:
            return "nothing new was suggested any more"
        return f"the {time_budget:g} seconds were over"

    @property
    def _tried(self) -> int:
        return len(self.search.found) + len(self.search.refused)

    def _try(self, depth: Depth) -> None:
        self._step(f"depth {' '.join(map(str, depth))}")
        try:
            self._known[depth] = self._attempt(depth)
        except NoSuchDepth:
            self.search.refused.append(depth)
            raise self._optuna.TrialPruned from None
        self.search.found.append(self._known[depth])
