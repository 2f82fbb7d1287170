"""What a person sees of a comparison while it goes on: a bar over all epochs, else a line for each complete run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ddnn.comparison.experiment import Experiment
from ddnn.comparison.methods import Task, config_of
from ddnn.config import CompareConfig
from ddnn.reporting.progress import Move, bar, say, shows_bar

Watch = Callable[[Sequence[Task], Sequence[Task]], None]


@contextmanager
def watching(tasks: Sequence[Task], config: CompareConfig, experiment: Experiment, progress: bool) -> Iterator[Watch]:
    """Show how far the tasks are.

    Args:
        tasks: those that will run.
        config: of the comparison.
        experiment: its results folder, whose metrics say how many epochs a run has behind it.
        progress: show anything at all.

    Yields:
        What to call now and then, with the tasks that run and those that are complete.
    """
    if not progress:
        yield lambda running, complete: None
    elif shows_bar(progress):
        epochs = {task: config_of(task, config).epochs for task in tasks}
        with bar(sum(epochs.values())) as move:
            yield _moving(move, epochs, experiment)
    else:
        yield _lines(tasks, experiment)


def _lines(tasks: Sequence[Task], experiment: Experiment) -> Watch:
    told: set[Task] = set()

    def watch(running: Sequence[Task], complete: Sequence[Task]) -> None:
        for task in complete:
            if task not in told:
                told.add(task)
                run = experiment.scores(task)
                assert run is not None
                figures = "  ".join(f"{name} {100 * score.accuracy:.1f}%" for name, score in run.scores.items())
                say(f"{len(told)}/{len(tasks)}  {task}: {figures}  ({run.seconds:.1f} s)")

    return watch


def _moving(move: Move, epochs: dict[Task, int], experiment: Experiment) -> Watch:
    def watch(running: Sequence[Task], complete: Sequence[Task]) -> None:
        done = sum(epochs[task] for task in complete)
        done += sum(len(experiment.run_directory(task).read_metrics()) for task in running)
        names = "; ".join(map(str, running)) or "writing the report"
        move(done, f"{len(complete)}/{len(epochs)} runs  {names}")

    return watch
