"""A training run: the network, the objective, the optimizer, and how fast and on what it runs."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import comb
from typing import Annotated, Any, Literal

from msgspec import Meta

from ddnn.config.ekd import EKDConfig
from ddnn.config.ending import EndingConfig
from ddnn.config.limits import Below1, Count, Inside01, Positive, Seed, UpTo100, Weight
from ddnn_runtime.configuration import check

LARGEST_NUMBER_OF_PROGRAMS = 16  # each takes a minute or so to compile

_Decay = Annotated[float, Meta(gt=0, lt=1, description="a decay in (0, 1)")]
_Batches = Annotated[int, Meta(ge=1, description="at least 1 batch")]


@dataclass(frozen=True)
class TrainConfig(EndingConfig):
    """One training run. The fields of `DataConfig`, `ViewsConfig` and `EndingConfig` come first.

    Args:
        full: the full net; `ddnn families` lists them.
        subnets: names of smaller members of its family, as a list or with commas between them, or a depth for each
            name, such as {"tiny": [1, 1, 1]}.
        subnets_per_step: train the full net and so many of the sub-nets in each step, drawn anew at random; None
            trains all of them in each. For networks of many depths. A sub-net's batch-norm statistics are averages
            over the steps that it is drawn in.
        model_options: the family's own options, such as {"stem": "small"}.
        weights: what the full net starts from: a state dict (.safetensors, or .pt with tensors alone), the name of
            torchvision's weights, such as IMAGENET1K_V1, or timm/NAME; or a mapping from names of nets to those.
        private_norms: sub-nets with norm weights of their own past the common prefix: true for all, or their names;
            None means none, and with the objective adn the smallest.
        zero_init: let the last norm of every residual branch of a fresh network start at zero, so that all nets of a
            ResNet start as one function; see `ddnn.build`.
        objective: ekd; joint, which is cross-entropy on every net without distillation; or the objective of a peer:
            inplace (universally slimmable networks), adn (adaptive depth networks; nets between the smallest and the
            full net are calibrated only), sampled (once-for-all) or cooperative (two networks that teach each other).
            `ddnn.objectives` has the formulas.
        ekd: options of the objective ekd. By default the running average of the full net's weights teaches all nets,
            the full net too, with alpha 1, temperature 2 and no attention term.
        subnets_from: train the full net alone for this share of the epochs, and the sub-nets from there on, for ekd
            and joint; 0.1 of 20 is two epochs.
        subnets_ramp: the weight of the sub-nets' part of the loss grows from 0 over this share of the epochs, for ekd
            and joint.
        loss_weights: weights of the losses of nets by their names, for ekd and joint. Without one, the full net has 1,
            and each sub-net 1 over the number of sub-nets. Or a rule for all: mean is this, and sum gives each 1.
        fork_gradients: what flows back from the nets into what they have in common: the sum of their gradients, or the
            mean (gradient equilibrium, `ddnn.network.fork_gradients`).
        alternate: the full net and its sub-nets learn in turn, a step each: the first step trains the full net alone,
            the second the sub-nets, and so on. Where the full net teaches, it runs without a gradient in the steps of
            its sub-nets. Weights of nets that do not learn in a step stay as they are.
        epochs: passes over the training images.
        optimizer: sgd (with Nesterov momentum) or adamw.
        lr: peak learning rate; None means 0.1 for sgd, more in proportion for batches above 128, 0.001 for adamw.
        momentum: of sgd.
        weight_decay: of all weights but norms and biases.
        schedule: cosine to zero, or step: the learning rate drops at the milestones.
        milestones: of the schedule step: shares of the epochs, ascending, in (0, 1); 0.3 of 200 is after 60 epochs.
            Empty, it keeps the learning rate.
        gamma: of the schedule step: the learning rate is multiplied by it at each milestone.
        warmup_epochs: the learning rate grows from 0 over so many epochs.
        label_smoothing: share of the label spread over all classes.
        clip: largest norm of the gradient; None does not clip.
        seed: of the initial weights, the order and the augmentation of the images.
        output: the run directory, which must not exist; None makes one under runs/.
        resume: a run directory to go on with, with its own configuration. Some keys may be given besides, such as
            epochs and lr: the schedule then goes on from where the run is. Others are refused.
        ema: decay of a running average of all weights and statistics, such as 0.9998, which is then what is scored and
            saved; None keeps the last step's weights.
        checkpoint_epochs: save at the end of every so many epochs, and of the last one; 1 saves each. Where epochs take
            seconds, writing takes a notable part of them.
        checkpoint_minutes: save within an epoch, too, every so many minutes.
        checkpoint_steps: also save within an epoch every so many steps.
        keep_checkpoints: how many checkpoints stay, the newest ones.
        device: where to train; auto takes CUDA or MPS if there is one.
        precision: Lightning's name of the number format; auto is bf16-mixed where the device computes with bfloat16
            (GPUs since Ampere, processors with AMX or AVX512-BF16), which is said then, else 32-true.
        compile: compile the joint step (all nets and the objective, forward and backward) with torch.compile, once
            for each set of sub-nets that may be drawn; or the torch.compile mode to do so with. It needs a C++
            compiler. torch.compile on CUDA has not been tried with this project.
        channels_last: keep weights and images in torch's channels-last memory format while training.
        activation_checkpointing: keep only what goes into each block, and compute the rest again in the backward
            pass: less memory for more time.
        devices: processes on this machine, one a device; None means one, or as many as torchrun or srun has started.
        strategy: how several processes train together: ddp, each with the whole network; or fsdp (FSDP2), each with a
            share of the weights, gradients and optimizer state, for networks that do not fit.
        sync_norm: batch norm over the images of all processes instead of each one's own.
        accumulate: compute each batch in so many parts, one after another: less memory for more time. Batch norm sees
            a part at a time.
        limit: at most so many batches an epoch, and of validation and test images; to try out a long run.
    """

    full: str = "resnet20"
    subnets: list[str] | dict[str, list[int]] | str = "resnet8,resnet14"
    subnets_per_step: int | None = None
    model_options: dict[str, Any] = field(default_factory=dict)
    weights: str | dict[str, str] | None = None
    private_norms: bool | list[str] | None = None
    zero_init: bool = False
    objective: Literal["ekd", "joint", "inplace", "adn", "sampled", "cooperative"] = "ekd"
    ekd: EKDConfig = field(default_factory=lambda: EKDConfig(alpha=1.0, beta=0.0, temperature=2.0, teacher="average"))
    subnets_from: Below1 = 0.0
    subnets_ramp: float = 0.0
    loss_weights: dict[str, Weight] | Literal["mean", "sum"] | None = None
    fork_gradients: Literal["sum", "mean"] = "sum"
    alternate: bool = False
    epochs: Count = 20
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive | None = None
    momentum: Below1 = 0.9
    weight_decay: Weight = 5e-4
    schedule: Literal["cosine", "step"] = "cosine"
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])
    gamma: Inside01 = 0.1
    warmup_epochs: Weight = 1.0
    label_smoothing: Below1 = 0.0
    clip: Positive | None = None
    seed: Seed = 0
    output: str | None = None
    resume: str | None = None
    ema: _Decay | None = None
    checkpoint_epochs: Count = 1
    checkpoint_minutes: Positive = 10.0
    checkpoint_steps: Count | None = None
    keep_checkpoints: UpTo100 = 2
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    compile: bool | Literal["reduce-overhead", "max-autotune"] = False
    channels_last: bool = False
    activation_checkpointing: bool = False
    devices: Count | None = None
    strategy: Literal["ddp", "fsdp"] = "ddp"
    sync_norm: bool = False
    accumulate: Count = 1
    limit: _Batches | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            not isinstance(self.subnets, str) or not set(self.subnets) & set("{}[]:"),
            f"subnets {self.subnets!r} is no YAML: a colon needs a space after it, as in {{tiny: [1, 1, 1]}}",
        )
        if self.subnets_per_step is not None:
            self._check_subnets_per_step(self.subnets_per_step)
        check(
            not (self.compile and self.activation_checkpointing),
            "compile and activation_checkpointing exclude each other: a compiled step decides by itself what it "
            "computes again; leave one of the two out",
        )
        check(
            all(before < after for before, after in pairwise([0.0, *self.milestones, 1.0])),
            "milestones must be shares of the epochs, ascending and above 0 and below 1, such as [0.5, 0.75], not "
            f"{self.milestones}",
        )
        check(
            not (self.compile and self.sync_norm),
            "compile and sync_norm exclude each other: what processes tell each other in the middle of a step cannot "
            "be compiled; leave one of the two out",
        )
        check(
            not (self.zero_init and self.weights),
            "zero_init and weights exclude each other: it would replace what is loaded; leave one of the two out",
        )
        self._check_sharding()
        self._check_objective()
        self._check_told_apart()
        own = {"full", "subnets", "num_classes", "in_channels", "weights", "zero_init"}
        taken = sorted(own & set(self.model_options))
        check(
            not taken,
            f"{', '.join(taken)} cannot be among the model_options: full, subnets, weights and zero_init are keys of "
            "their own, "
            "num_classes and in_channels follow from the data",
        )

    def _check_objective(self) -> None:
        own = self.objective in ("ekd", "joint")
        for key in ("subnets_per_step", "loss_weights", "subnets_from", "subnets_ramp", "alternate"):
            check(
                own or getattr(self, key) == getattr(TrainConfig, key),
                f"{key} goes with the objectives ekd and joint; {self.objective} has a rule of its own: leave it out",
            )
        check(
            self.subnets_ramp >= 0 and self.subnets_from + self.subnets_ramp < 1 + 1e-9,
            f"subnets_from and subnets_ramp are shares of the epochs, 0 or more and together at most 1, not "
            f"{self.subnets_from} and {self.subnets_ramp}",
        )

    def _check_told_apart(self) -> None:
        """Other objectives, and shares of the weights, know no loss of the full net alone beside that of sub-nets."""
        apart = ", ".join(self.told_apart)
        check(
            not apart or self.objective in ("ekd", "joint"),
            f"{apart} goes with the objectives ekd and joint, not with {self.objective}: leave it out",
        )
        check(
            not apart or self.strategy == "ddp",
            f"strategy fsdp does not go with {apart}: leave that out, or use the strategy ddp",
        )

    def _check_sharding(self) -> None:
        """FSDP keeps a block's weights until all nets have run it, so they have to run, all of them."""
        options = (
            "compile",
            "activation_checkpointing",
            "channels_last",
            "subnets_per_step",
            "subnets_from",
            "alternate",
        )
        wrong = [name for name in options if getattr(self, name)]
        wrong += ["fork_gradients mean"] if self.fork_gradients == "mean" else []
        wrong += [f"objective {self.objective}"] if self.objective not in ("ekd", "joint", "inplace") else []
        check(
            self.strategy == "ddp" or not wrong,
            f"strategy fsdp does not go with {', '.join(wrong)}: leave that out, or use the strategy ddp",
        )

    def _check_subnets_per_step(self, drawn: int) -> None:
        count, sizes = len(self.subnet_depths), 1 + len(self.subnet_sizes or ())
        check(
            1 <= drawn <= count,
            f"subnets_per_step must be at least 1 and at most the number of sub-nets, {count}, not {drawn}; leave it "
            "out to train all of them in each step",
        )
        check(
            not self.compile or comb(count, drawn) * sizes <= LARGEST_NUMBER_OF_PROGRAMS,
            f"compile would make a program for each of the {comb(count, drawn)} sets of {drawn} out of {count} "
            f"sub-nets{f' and each of {sizes} image sizes' * (sizes > 1)}, and at most {LARGEST_NUMBER_OF_PROGRAMS} "
            "are allowed; give another subnets_per_step, or leave one of the two out",
        )

    @property
    def named_weights(self) -> dict[str, float]:
        """The loss weights that are given by name."""
        return {} if self.loss_weights is None or isinstance(self.loss_weights, str) else self.loss_weights

    @property
    def subnet_depths(self) -> list[str] | dict[str, tuple[int, ...]]:
        """The sub-nets as `ddnn.build` takes them."""
        if isinstance(self.subnets, str):
            return [name.strip() for name in self.subnets.split(",") if name.strip()]
        if isinstance(self.subnets, dict):
            return {name: tuple(depth) for name, depth in self.subnets.items()}
        return self.subnets

    @property
    def peak_lr(self) -> float:
        """The learning rate, where none is given scaled with the batch (Goyal et al., arXiv 1706.02677)."""
        if self.lr is not None:
            return self.lr
        return 0.1 * max(1.0, self.batch_size / 128) if self.optimizer == "sgd" else 1e-3
