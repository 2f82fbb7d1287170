"""How a training run is told to end: Ctrl-C, and SIGTERM, with which clusters take a machine away.

Python drops a KeyboardInterrupt that is raised while it cleans up an object, and the run would go on. So the key is
noted too, and the interrupt raised again after the step. SIGTERM is only noted, so that the step is finished and saved;
a second one ends the process at once, and the last checkpoint stays.
"""

import os
import signal
import threading
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from ddnn.errors import DDNNError


class Terminated(DDNNError):
    """A run was told to end by SIGTERM, and has saved what it needs to go on."""

    status = 128 + signal.SIGTERM


class Termination:
    """Whether this process was told to end.

    Attributes:
        asked: whether a SIGTERM has come.
    """

    def __init__(self) -> None:
        self.asked = False

    def note(self, *_: Any) -> None:
        """Handle the signal."""
        if self.asked:
            os._exit(Terminated.status)
        self.asked = True


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

        if callable(handle) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, note)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note SIGTERM from now on, in place of Lightning's handler, which has the processes talk to each other in the
        middle of whatever they do and can wait for ever."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._termination.note)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Stop where the interrupt did not."""
        if self._pressed:
            raise KeyboardInterrupt
