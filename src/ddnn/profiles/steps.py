"""What a person sees of a measurement while it goes on: a bar on a terminal, else a line a step, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str], None]
"""Is told what begins now."""


@contextmanager
def steps(total: int, progress: bool) -> Iterator[Step]:
    """Show how far a measurement is.

    Args:
        total: how many steps there will be.
        progress: show anything at all.

    Yields:
        What to call when a step begins.
    """
    if not progress:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total) as step:
            yield step
    else:
        yield _lines(total)


def _lines(total: int) -> Step:
    begun = 0

    def step(title: str) -> None:
        nonlocal begun
        begun += 1
        print(f"{begun}/{total}  {title}", file=sys.stderr, flush=True)

    return step


@contextmanager
def _bar(total: int) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        line, begun = bar.add_task("starting", total=total), 0

        def step(title: str) -> None:
            nonlocal begun
            bar.update(line, completed=begun, description=title)
            begun += 1

        yield step
        bar.update(line, completed=total)
