"""The steps of an epoch as Lightning takes them, without what it asks at each of them and no run of ours answers.

Around each step, Lightning calls some thirty hooks of the module, the strategy and every callback, gathers what was
logged, and looks up how `training_step` wants to be called. Ours log at the end of an epoch, and only
`on_train_batch_end` has something to do. For small nets all that took as long as the step itself (docs/performance.md).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies import ParallelStrategy, Strategy
from torch import Tensor
from torch.optim import Optimizer

_KNOWN = "2.6."
"""The versions of Lightning whose steps are known: its loops are its own affair, and may change with any other."""

_NOTHING = nullcontext()


def shorten_steps(trainer: Trainer) -> None:
    """Have a trainer take shorter steps, if its Lightning is one that we know; with another it takes its own, which
    come to the same."""
    if lightning.__version__.startswith(_KNOWN):
        own = trainer.fit_loop.epoch_loop
        trainer.fit_loop.epoch_loop = EpochLoop(trainer, own.min_steps, own.max_steps)


class EpochLoop(_TrainingEpochLoop):
    """Does the same, number for number, as Lightning's loop with automatic optimisation, and counts the same, so that
    a checkpoint of one is a checkpoint of the other. What it leaves out: hooks of a step but `on_train_batch_end` of
    callbacks, logging in a step, and in several processes a message at each step about a SIGTERM, which
    `ddnn.training.checkpoints` sees to."""

    def advance(self, data_fetcher: Any) -> None:
        """Take one batch. The first one after a restart is Lightning's, which knows whether there is one."""
        if self.restarting:
            super().advance(data_fetcher)
            if not self._should_accumulate():
                self.trainer.optimizers[0].zero_grad()  # Lightning does before a step what we do after it
            return
        batch, _, _ = next(data_fetcher)
        progress, index = self.batch_progress, self.batch_progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = self.trainer.lightning_module.on_after_batch_transfer(batch, 0)
        progress.increment_ready()
        progress.increment_started()
        self._learn(batch, index)
        progress.increment_processed()
        if not self._should_accumulate():
            self._schedule()
        callbacks: list[Callback] = self.trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]  # set late
        for callback in callbacks:
            callback.on_train_batch_end(self.trainer, self.trainer.lightning_module, {}, batch, index)
        progress.increment_completed()

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Validate after the last batch."""
        if self.restarting or self._num_ready_batches_reached():
            super().on_advance_end(data_fetcher)
        elif not self._should_accumulate():
            self._batches_that_stepped += 1

    def on_iteration_done(self) -> None:
        """Nothing to do, but after a restart."""
        if self.restarting or self.is_resuming:
            super().on_iteration_done()

    def _learn(self, batch: tuple[Tensor, ...], index: int) -> None:
        """Forward, backward and, after the last part of a step, the update."""
        trainer, optimizer = self.trainer, self.trainer.optimizers[0]
        counts, unfinished = self.automatic_optimization.optim_progress.optimizer, self._should_accumulate()
        if not unfinished:
            counts.step.increment_ready()
        with _apart(trainer.strategy) if unfinished else _NOTHING:
            loss: Any = trainer.strategy.training_step(batch, index)
            self._backward(loss)
        if not unfinished:
            self._update(optimizer)
            counts.step.increment_completed()
            optimizer.zero_grad()  # at once: they are in the caches still, and the next forward pass has their memory
            counts.zero_grad.increment_ready()
            counts.zero_grad.increment_started()
            counts.zero_grad.increment_completed()

    def _backward(self, loss: Tensor) -> None:
        parts, strategy = self.trainer.accumulate_grad_batches, self.trainer.strategy
        loss = loss if parts == 1 else loss / parts
        if self._scales:
            strategy.backward(loss, None)
        else:
            loss.backward()

    def _update(self, optimizer: Optimizer) -> None:
        trainer, module = self.trainer, self.trainer.lightning_module
        if self._scales:
            trainer.strategy.optimizer_step(optimizer, lambda: True)  # nothing left to do before it; None would skip it
            return
        if trainer.gradient_clip_val is not None:
            module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        optimizer.step()

    @property
    def _scales(self) -> bool:
        """Whether gradients are scaled, in half precision."""
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None

    def _schedule(self) -> None:
        """Set the learning rate of the next step."""
        for config in self.trainer.lr_scheduler_configs:
            self.scheduler_progress.increment_ready()
            self.trainer.lightning_module.lr_scheduler_step(config.scheduler, None)
            self.scheduler_progress.increment_completed()

    def _on_before_fetch(self) -> None:
        """Nothing to profile."""

    def _on_after_fetch(self) -> None:
        """Nothing to profile."""


def _apart(strategy: Strategy) -> AbstractContextManager[None]:
    """Let each process keep its gradients: they are averaged after the last part of a step alone."""
    return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else _NOTHING
