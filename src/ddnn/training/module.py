"""What Lightning is told about training a network: the steps, what is logged, and how randomness follows from the seed.

All randomness of an epoch follows from the seed and the epoch's number, and where a run is saved within an epoch, what
has come of it so far is saved too. So a run that was cut short and resumed ends as if it had not been.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from ddnn.config import TrainConfig
from ddnn.data import Data
from ddnn.data.order import derive_seed
from ddnn.distributed.fsdp import divide, divide_model
from ddnn.distributed.processes import any_process, average
from ddnn.errors import DDNNError
from ddnn.families.modes import in_mode
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import Objective
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.draw import never_drawn
from ddnn.training.epoch_record import EpochRecord
from ddnn.training.epoch_state import EpochState
from ddnn.training.late_flag import LateFlag
from ddnn.training.lessons import plan_step
from ddnn.training.optimization import make_optimizer, schedule
from ddnn.training.progress import EpochObserver
from ddnn.training.step import TrainingStep, added
from ddnn.training.views import look
from ddnn.training.weight_average import WeightAverage

_PROCESS_STREAM = 4  # sets the seeds of dropout and the like apart, for all processes but the first
PROCESSES = "ddnn_processes"
"""Where a checkpoint has how many processes wrote it."""
FINITE_CHECK_STEPS = 50  # between two looks at the loss


class NonFiniteLossError(DDNNError):
    """The loss became infinite or no number, so the training was stopped."""


class DepthDynamicTraining(LightningModule):
    """Trains all nets of a network together, or in each step those that are drawn.

    A sub-net's running statistics change in the steps that it is drawn in, and in no other.

    Args:
        network: what is trained.
        objective: what an iteration minimises.
        data: where the images come from.
        config: the optimizer, the schedule and the rest.
        observers: called after each epoch with its number, losses, accuracies and seconds.
        partner: a second network of the same nets, which objectives that have a partner train too.
    """

    def __init__(
        self,
        network: DepthDynamicNetwork,
        objective: Objective,
        data: Data,
        config: TrainConfig,
        observers: Sequence[EpochObserver] = (),
        partner: DepthDynamicNetwork | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.partner = partner
        self.data = data
        self.config = config
        self.observers: tuple[EpochObserver, ...] = tuple(observers)
        self.trained: tuple[str, ...] = tuple(
            name for name in network.names if name not in never_drawn(network.names, objective.draw)
        )
        self.validation_accuracy: nn.ModuleDict = nn.ModuleDict(
            {f"net_{name}": MulticlassAccuracy(network.num_classes, average="micro") for name in self.trained}
        )
        self._objective = objective
        self.teacher: AveragedTeacher | None = (
            AveragedTeacher(network) if objective.learns_from_average(network.names) else None
        )
        self.average: WeightAverage | None = None if config.ema is None else WeightAverage(network, config.ema)
        self._step = TrainingStep(network, objective, config.compile, config.activation_checkpointing, partner,
                                  self.teacher, config.fork_gradients, config.label_smoothing_on == "all")  # fmt: skip
        self._record = EpochRecord()
        self._batches: Any = None
        self._steps_alone = 0
        self._finite = LateFlag()
        self._began = 0.0
        self._unfinished: EpochState | None = None
        self._divided = False

    def configure_model(self) -> None:
        """Divide the weights among the processes, where that is wanted."""
        if self.config.strategy == "fsdp" and self.trainer.world_size > 1 and not self._divided:
            self._divided = True
            mesh = self.device_mesh["data_parallel"]  # type: ignore[index]
            divide(self.network, mesh)
            if self.teacher is not None:
                divide_model(self.teacher.average, mesh)
            if self.average is not None:
                divide(self.average.network, mesh)

    def train_dataloader(self) -> Any:
        """The training images, on the device."""
        self._batches = self.data.batches(self.device, share=self._share, parts=self.config.accumulate)
        return self._batches

    def val_dataloader(self) -> Any:
        """The validation images, on the device."""
        batches = self.data.validation(self.device, share=self._share)
        return [] if batches is None else batches

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Nothing to do: loaders have put it there."""
        del device, dataloader_idx
        return batch

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> tuple[Tensor, ...]:
        """Give the images of a batch the memory format that the weights have."""
        if not self.config.channels_last:
            return batch
        return tuple(part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part for part in batch)

    @property
    def _share(self) -> tuple[int, int]:
        return self.global_rank, self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """See `ddnn.training.optimization`."""
        networks = [self.network] if self.partner is None else [self.network, self.partner]
        optimizer = make_optimizer(nn.ModuleList(networks), self.config)
        scheduler = LambdaLR(optimizer, schedule(self.config, self._steps_per_epoch))
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    @property
    def _steps_per_epoch(self) -> int:
        return max(1, int(self.trainer.estimated_stepping_batches) // self.config.epochs)

    @property
    def result(self) -> DepthDynamicNetwork:
        """What is scored and saved: the network, or the running average of its weights."""
        return self.network if self.average is None else self.average.network

    def on_train_start(self) -> None:
        """Set what depends on how long an epoch is, and go on in the middle of one, if the run was saved there."""
        if self.teacher is not None:
            self.teacher.decay = self._objective.teacher_decay(self._steps_per_epoch)
        self._steps_alone = round(self.config.subnets_from * self.config.epochs * self._steps_per_epoch)
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None:
            return
        self._batches.set_epoch(self.current_epoch, unfinished.batches)
        totals = {name: value.to(self.device) for name, value in unfinished.totals.items()}
        self._record = EpochRecord(totals, unfinished.steps_with)
        self._began = time.perf_counter() - unfinished.seconds
        unfinished.restore_random_states(derive_seed(self.config.seed, self.current_epoch, unfinished.batches))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how far the epoch is, unless it is whole."""
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        checkpoint[PROCESSES] = self.trainer.world_size
        if batches < self.trainer.num_training_batches:
            seconds, record = time.perf_counter() - self._began, self._record
            checkpoint[EpochState.KEY] = EpochState.of(batches, seconds, record.totals, record.steps_with).to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember how far the epoch was."""
        if EpochState.KEY in checkpoint:
            self._unfinished = EpochState(**checkpoint[EpochState.KEY])

    def on_train_epoch_start(self) -> None:
        """Make all randomness of the epoch follow from the seed and its number, and the process's where each is to
        draw on its own."""
        own = derive_seed(self.config.seed, self.current_epoch, self.global_rank, _PROCESS_STREAM)
        torch.manual_seed(own if self.global_rank else self.config.seed * 100_003 + self.current_epoch)
        self._batches.set_epoch(self.current_epoch)
        self._record = EpochRecord()
        self._began = time.perf_counter()

    def training_step(self, batch: tuple[Tensor, ...], batch_index: int) -> Tensor:
        """The loss of one batch."""
        self._record.images = batch[0]
        step, part = divmod(batch_index, self.config.accumulate)
        if part == 0:
            self._update_averages()
        steps = int(self.trainer.num_training_batches) // self.config.accumulate
        plan = plan_step(self.network.names, self.config, self._objective, self.current_epoch, step, steps)
        seen = look(batch, plan.side)
        epoch = torch.full((), self.current_epoch + step / steps, device=self.device)
        loss = added([self._step(*seen.by(lesson), epoch, *lesson) for lesson in plan.lessons])
        self._record.add({"loss": loss.total.detach(), **loss.parts})
        if (batch_index + 1) % FINITE_CHECK_STEPS == 0:
            self._look_at_loss()
        return loss.total

    def _look_at_loss(self) -> None:
        """Refuse a loss that is not finite; on a GPU, the one that the look before has seen."""
        if any_process(not self._finite.exchange(self._record.finite)):
            self._refuse_non_finite("loss", self._record.totals)

    def _update_averages(self) -> None:
        """Take in the weights that the last step has made."""
        if self.teacher is not None:
            self.teacher.update(self.network, self.global_step)
        if self.average is not None:
            self.average.update(self.network, self.global_step, self._steps_alone)

    def average_statistics(self) -> None:
        """Set running statistics to their means over all processes, each of which has seen other images. They are
        linear in what was seen, so that it does not matter when and how often that is done."""
        average(self.buffers())

    def on_validation_start(self) -> None:
        """Score what will be saved."""
        self._finish_averages()

    def _finish_averages(self) -> None:
        """After the last step of an epoch: all processes the same statistics, and the running average whole."""
        self.average_statistics()
        if self.average is not None:
            self.average.update(self.network, self.global_step, self._steps_alone)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means; runs after validation and before the checkpoint is written."""
        self._refuse_non_finite("loss", self._record.totals)
        self._finish_averages()
        self._check_network()
        seconds = time.perf_counter() - self._began
        means = {f"train/{name}": mean for name, mean in self._record.means(self.trainer.world_size).items()}
        optimizer: Any = self.optimizers()
        self.log_dict({**means, "lr": optimizer.param_groups[0]["lr"], "seconds": seconds})
        if self.trainer.is_global_zero:
            scored = self.trainer.callback_metrics
            accuracies = {name: float(scored[name]) for name in scored if name.startswith("accuracy/")}
            for observe in self.observers:
                observe({"epoch": self.current_epoch + 1, **means, **accuracies, "seconds": round(seconds, 3)})

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_index: int) -> None:
        """Count what each net gets right."""
        images, labels = batch
        for name, output in self.result.forward_all(images, self.trained).items():
            self._accuracy(name).update(output.logits, labels)

    def on_validation_epoch_end(self) -> None:
        """Log each net's accuracy."""
        for name in self.trained:
            self.log(f"accuracy/{name}", self._accuracy(name), prog_bar=True)

    def _accuracy(self, name: str) -> MulticlassAccuracy:
        metric = self.validation_accuracy[f"net_{name}"]
        assert isinstance(metric, MulticlassAccuracy)
        return metric

    def check_finite(self) -> None:
        """Raise, in all processes, if what a checkpoint would hold is spoilt: the loss so far, or a weight.

        Raises:
            NonFiniteLossError: it is; the message names what.
        """
        self._refuse_non_finite("loss", self._record.totals)
        self._refuse_non_finite("network", self._tensors())

    @torch.no_grad()
    def _check_network(self) -> None:
        """Look at what the last update of an epoch has made, which no loss has seen yet. A sub-net that has not begun
        has no statistics, and its logits may be anything."""
        assert self._record.images is not None
        not_begun = self.global_step <= self._steps_alone
        with in_mode(self.network, training=False):
            outputs = self.network.forward_all(self._record.images, self.trained[-1:] if not_begun else self.trained)
        logits = {name: output.logits for name, output in outputs.items()}
        self._refuse_non_finite("network", {**self._tensors(), **logits})

    def _tensors(self) -> dict[str, Tensor]:
        """Of all that is trained."""
        partner = {} if self.partner is None else self.partner.tensors()
        return self.network.tensors() | {f"the partner's {name}": tensor for name, tensor in partner.items()}

    def _refuse_non_finite(self, what: str, tensors: Mapping[str, Tensor]) -> None:
        """Raise if a tensor of any process is not finite, in all of them."""
        culprits = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if any_process(bool(culprits)):
            named = ", ".join(culprits[:5]) + (", ..." if len(culprits) > 5 else "") or "seen by another process"
            raise NonFiniteLossError(
                f"the {what} is not finite in epoch {self.current_epoch + 1} ({named}); try a smaller --lr, or --clip 1"
            )
