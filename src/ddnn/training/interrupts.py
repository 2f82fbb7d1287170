"""How a training run is told to end: Ctrl-C, and SIGTERM, with which clusters take a machine away.

Python drops a KeyboardInterrupt that is raised while it cleans up an object, and the run would go on. So the key is
noted too, and the interrupt raised again after the step. SIGTERM ends a run on the spot as long as it has done nothing;
from its first step on it is only noted, so that the step, or the epoch that is being validated, is finished and saved.
A second one ends the process at once, and the last checkpoint stays.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from ddnn.distributed.processes import find_processes
from ddnn.errors import DDNNError

_SECONDS_TO_PASS_ON = 2.0


class Terminated(DDNNError):
    """A run was told to end by SIGTERM, and has saved what it needs to go on."""

    status: int = 128 + signal.SIGTERM


class EndedEarly(SystemExit):
    """A run was told to end before its first step: an exit, so that nothing on the way takes it for a wrong value."""

    status: int = Terminated.status

    def __init__(self) -> None:
        super().__init__(self.status)

    def __str__(self) -> str:
        return "ended by SIGTERM before the first step"


class Termination:
    """Whether this process was told to end.

    Attributes:
        asked: whether a SIGTERM has come.
    """

    def __init__(self) -> None:
        self.asked: bool = False
        self._asked_at = 0.0
        self._steps = False

    @contextmanager
    def noted(self, left: str) -> Iterator[None]:
        """Handle SIGTERM for a while.

        Args:
            left: what there is before the first step, in words.

        Raises:
            Terminated: it came before the first step, in the first process; the others end without a word.
        """
        before = signal.getsignal(signal.SIGTERM)
        self.handle()
        try:
            yield
        except EndedEarly as error:
            if not find_processes().first:
                raise SystemExit(error.status) from None
            raise Terminated(f"{error}; {left}") from None
        finally:
            if before is not None and _in_main_thread():
                signal.signal(signal.SIGTERM, before)

    def handle(self) -> None:
        """Take over the signal, where that is possible."""
        if _in_main_thread():
            signal.signal(signal.SIGTERM, self.note)

    def begin_steps(self) -> None:
        """From now on there is something to save, so that a signal is only noted."""
        self._steps = True
        if self.asked:  # and Python has dropped the exit
            raise EndedEarly

    def note(self, *_: Any) -> None:
        """Handle the signal."""
        if self.asked and not self._is_passed_on():
            os._exit(Terminated.status)
        if self.asked:
            return
        self.asked = True
        self._asked_at = time.monotonic()
        if not self._steps:
            raise EndedEarly

    def _is_passed_on(self) -> bool:
        """Whether this is the first signal once more: a cluster sends it to all processes, and the launcher, which is
        one of them, to those that it has started."""
        return "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self._asked_at < _SECONDS_TO_PASS_ON


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Interruptible(Callback):
    """Stops a run in which an interrupt was dropped, and notes SIGTERM.

    Args:
        termination: what is told of SIGTERM.
    """

    def __init__(self, termination: Termination) -> None:
        self._pressed = False
        self._termination = termination

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note from now on that Ctrl-C was pressed, besides what happens anyway."""
        handle: Any = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: Any) -> None:
            self._pressed = True
            handle(number, frame)

        if callable(handle) and _in_main_thread():
            signal.signal(signal.SIGINT, note)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note SIGTERM from now on, in place of Lightning's handler, which has the processes talk to each other in the
        middle of whatever they do and can wait for ever."""
        self._termination.handle()
        self._termination.begin_steps()

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Stop where the interrupt did not."""
        if self._pressed:
            raise KeyboardInterrupt
