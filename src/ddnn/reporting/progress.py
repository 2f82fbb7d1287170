"""What a person sees of long work while it goes on: a bar on a terminal, else lines; always on standard error, so that
standard output holds results alone.

Everything that shows progress asks this module whether a bar suits and writes through it. The one bar that is not drawn
here is Lightning's, which its training loop moves.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]
"""Is told what begins now."""
Move = Callable[[int, str], None]
"""Is told how much is done, and what to write beside the bar."""


def shows_bar(progress: bool) -> bool:
    """Whether a bar suits: progress is wanted, and standard error is a terminal."""
    return progress and sys.stderr.isatty()


def say(text: str) -> None:
    """Write a line at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def steps(total: int, progress: bool) -> Iterator[Progress]:
    """Show how far work is that has several steps.

    Args:
        total: how many steps there will be.
        progress: show anything at all.

    Yields:
        What to call when a step begins.
    """
    if not progress:
        yield lambda _: None
    elif shows_bar(progress):
        with bar(total) as move:
            yield _counted(total, lambda begun, text: move(begun - 1, text))
            move(total, f"{total}/{total}")
    else:
        yield _counted(total, lambda _, text: say(text))


@contextmanager
def bar(total: int) -> Iterator[Move]:
    """A bar with the time that has passed, and about the time that is left.

    Args:
        total: the amount of work.

    Yields:
        What to call when more is done.
    """
    from rich.console import Console  # here, because most commands end before anybody could look at a bar
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    text = TextColumn("{task.description}", markup=False)  # names are the user's
    columns = BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), text
    with Bar(*columns, console=Console(stderr=True)) as shown:
        line = shown.add_task("starting", total=total)
        yield lambda done, description: shown.update(line, completed=done, description=description)


def _counted(total: int, show: Move) -> Progress:
    begun = 0

    def step(title: str) -> None:
        nonlocal begun
        begun += 1
        show(begun, f"{begun}/{total}  {title}")

    return step
