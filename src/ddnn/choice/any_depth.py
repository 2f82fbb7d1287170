"""Choose among all depths: those that were trained, and those in between, which are calibrated and scored."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ddnn.choice.best import Candidate, choose_from, front
from ddnn.choice.circumstances import Circumstances
from ddnn.choice.decision import Decision, bounds_of
from ddnn.choice.depths import Bench, Found
from ddnn.choice.explored import Explored
from ddnn.choice.images import images_of
from ddnn.choice.report import write_depths
from ddnn.choice.search import require_optuna, search
from ddnn.choice.space import DepthSpace
from ddnn.choice.trained import condition_here
from ddnn.config import ChooseConfig
from ddnn.errors import DDNNError
from ddnn.formats.staging import check_new, reserved, staged
from ddnn.profiles.measure import describe, now, software
from ddnn.profiles.network_subject import NetworkSubject, open_network
from ddnn.profiles.profile import caveats
from ddnn.profiles.report import folder_for
from ddnn.reporting.progress import steps
from ddnn_runtime.manifest import is_export


def choose_any_depth(run: Path, config: ChooseConfig, progress: bool) -> Decision:
    """The best net of any depth that keeps to the bounds.

    Each depth is timed against the full net in the same turns, so that the times of all can be compared. At the end
    the front and the trained nets are timed again, all of them in turns, and that decides. What was found is written
    down, even if no net fits.

    Args:
        run: a run directory or a saved network.
        config: with `any_depth`.
        progress: show on standard error how far it is.

    Raises:
        DDNNError: if no net fits, or something that is needed is missing.
    """
    require_optuna()
    if is_export(run):
        raise DDNNError(f"{run} is an export, which has the trained depths alone; --any_depth needs the run itself")
    if config.output is not None:
        check_new(Path(config.output))
    with TemporaryDirectory(prefix="ddnn-") as workspace:
        subject = open_network(run, config.device, Path(workspace))
        folder = folder_for(run, describe(subject), config.report)
        with reserved(folder):
            bench, explored = _explored(subject, run, config, Path(workspace), progress)
            write_depths(folder, explored)
        return _decided(bench, explored, config, folder)


def _explored(
    subject: NetworkSubject, run: Path, config: ChooseConfig, workspace: Path, progress: bool
) -> tuple[Bench, Explored]:
    condition, space = condition_here(config, subject), DepthSpace.of(subject.network.depths, subject.full)
    images = images_of(subject.network, run, config, next(subject.network.parameters()).device)
    bench = Bench(subject, images, condition, config.seconds, config.memory_mb is not None, workspace)
    with steps(1 + min(config.trials, space.untrained), progress) as step:
        step("the trained nets")
        known = bench.trained()
        bounds_of(config).left(_candidate(known[-1], 1.0))  # memory that cannot be told is said before the search
        went = search(
            space,
            known,
            bench.untrained,
            trials=config.trials,
            time_budget=config.time_budget,
            seed=config.seed,
            step=step,
        )
    candidates = _timed_again(bench, [*known, *went.found], subject.full)
    circumstances = Circumstances(
        str(run),
        condition,
        describe(subject),
        software(subject),
        now(),
        None,
        f"{known[0].images} {images.scored_on}",
        caveats(condition, subject.image_size),
    )
    return bench, Explored(candidates, front(candidates), went, space.untrained, images.calibrated_on, circumstances)


def _timed_again(bench: Bench, found: Sequence[Found], full: str) -> list[Candidate]:
    """All nets with times of one scale: those of the front and the trained ones as measured together now, the others
    by their ratio to the full net."""
    best = {candidate.name for candidate in front([_candidate(one, one.ratio) for one in found])}
    times = bench.times([one.depth for one in found if one.name in best and not one.trained])
    candidates = []
    for one in found:
        latency = times.get(one.name)
        if latency is None:
            candidates.append(_candidate(one, times[full].median_ms * one.ratio))
        else:
            candidates.append(_candidate(one, latency.median_ms, latency.p95_ms))
    return candidates


def _candidate(one: Found, latency_ms: float, p95_ms: float | None = None) -> Candidate:
    return Candidate(one.name, one.depth, one.accuracy, latency_ms, one.memory_mb, one.trained, p95_ms)


def _decided(bench: Bench, explored: Explored, config: ChooseConfig, folder: Path) -> Decision:
    bounds = bounds_of(config)
    try:
        choice = choose_from(explored.candidates, bounds)
    except DDNNError as error:
        raise DDNNError(f"{error}; all that was found is in {folder}") from None
    chosen = choice.chosen
    network = bench.network if chosen.trained else bench.with_depth(chosen.depth)
    test = None if chosen.trained else bench.test_scores(network)
    if config.output is not None:
        with staged(Path(config.output)) as stage:
            network.save(stage)
    return Decision(choice, bounds, explored.candidates, explored.circumstances, explored, folder, test)
