"""Ctrl-C ends a training run, whenever it comes.

Python drops a KeyboardInterrupt that is raised while it cleans up an object, and the run would go on. So the key is
noted too, and the interrupt raised again after the step.
"""

import signal
import threading
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Interruptible(Callback):
    """Stops a run in which an interrupt was dropped."""

    def __init__(self) -> None:
        self._pressed = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note from now on that Ctrl-C was pressed, besides what happens anyway."""
        handle: Any = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: Any) -> None:
            self._pressed = True
            handle(number, frame)

        if callable(handle) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, note)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Stop where the interrupt did not."""
        if self._pressed:
            raise KeyboardInterrupt
