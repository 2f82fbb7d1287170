"""What can be configured, as typed dataclasses: the one place that the command line, YAML and Python share.

Nothing here imports torch, so that `ddnn --help` answers at once. Values are checked when a configuration is made,
not when they are used ten minutes later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_type_hints

from ddnn.errors import DDNNError

Config = TypeVar("Config")


def from_fields(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of that kind from a mapping, as YAML and the command line give it; values of other keys are
    left alone.

    Raises:
        KeyError: if a field is missing.
        DDNNError: if a value makes no sense.
    """
    hints = get_type_hints(kind)
    arguments = {}
    for item in fields(kind):  # pyright: ignore[reportArgumentType]  # a dataclass
        value = values[item.name]
        arguments[item.name] = from_fields(hints[item.name], value) if is_dataclass(hints[item.name]) else value
    return kind(**arguments)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise DDNNError(message)


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training images.

    Args:
        crop: pixels of zero padding before a random crop, for images held in memory; None means an eighth of the
            image's side. 0 switches it off.
        scale: smallest share of a large image's area that a random resized crop keeps.
        flip: mirror half of the images; None means yes, except for digits.
        erase: probability of erasing a random rectangle (Zhong et al., arXiv 1708.04896).
        policy: torchvision's automatic augmentation, for large images.
    """

    crop: int | None = None
    scale: float = 0.08
    flip: bool | None = None
    erase: float = 0.0
    policy: Literal["none", "autoaugment", "randaugment", "trivialaugment"] = "none"

    def __post_init__(self) -> None:
        _check(self.crop is None or self.crop >= 0, f"augment.crop must be 0 or more pixels, not {self.crop}")
        _check(0 < self.scale <= 1, f"augment.scale must be in (0, 1], not {self.scale}")
        _check(0 <= self.erase <= 1, f"augment.erase must be in [0, 1], not {self.erase}")


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are prepared.

    Args:
        data: digits, cifar10, cifar100, folder:PATH (train/ and val/ with one folder a class) or parquet:PATH
            (train.parquet and test.parquet in Hugging Face's layout).
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        image_size: side of the square images in pixels; None means the data set's own, or 224 where sizes differ.
        train_images: use only that many training images, the same for each run; None means all.
        validation: share of the training images held out to watch the training, in [0, 1).
        augment: random changes to the training images.
        batch_size: images in a batch.
        workers: processes that decode large images; None means one a core, at most 8.
    """

    data: str = "digits"
    data_root: str = "data"
    image_size: int | None = None
    train_images: int | None = None
    validation: float = 0.1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: int = 64
    workers: int | None = None

    def __post_init__(self) -> None:
        _check(
            self.image_size is None or self.image_size >= 4,
            f"image_size must be at least 4 pixels, not {self.image_size}",
        )
        _check(
            self.train_images is None or self.train_images >= 1,
            f"train_images must be at least 1, not {self.train_images}",
        )
        _check(0 <= self.validation < 1, f"validation must be in [0, 1), not {self.validation}")
        _check(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        _check(self.workers is None or self.workers >= 0, f"workers must be 0 or more, not {self.workers}")


@dataclass(frozen=True)
class EKDConfig:
    """Options of embedded knowledge distillation; the formula is in `ddnn.objectives.EKD`.

    Args:
        alpha: weight of the divergence of the posteriors.
        beta: weight of the distance of the attention maps.
        temperature: T, for both posteriors.
        ramp_epochs: alpha and beta grow from 0 to their values over so many epochs.
        teacher: whose posterior teaches: full is the full net, mean the mean of all nets' logits.
        attention: sum is the map of the paper's authors, square that of Zagoruyko and Komodakis (arXiv 1612.03928).
        attention_stages: compare the last so many stages; None means all.
    """

    alpha: float = 0.1
    beta: float = 0.01
    temperature: float = 3.0
    ramp_epochs: float = 0.0
    teacher: Literal["full", "mean"] = "full"
    attention: Literal["sum", "square"] = "sum"
    attention_stages: int | None = None

    def __post_init__(self) -> None:
        _check(self.alpha >= 0, f"ekd.alpha must be 0 or more, not {self.alpha}")
        _check(self.beta >= 0, f"ekd.beta must be 0 or more, not {self.beta}")
        _check(self.temperature > 0, f"ekd.temperature must be above 0, not {self.temperature}")
        _check(self.ramp_epochs >= 0, f"ekd.ramp_epochs must be 0 or more, not {self.ramp_epochs}")
        _check(
            self.attention_stages is None or self.attention_stages >= 1,
            f"ekd.attention_stages must be at least 1, not {self.attention_stages}",
        )


@dataclass(frozen=True)
class TrainConfig(DataConfig):
    """One training run. The fields of `DataConfig` come first.

    Args:
        full: the full net; `ddnn families` lists them.
        subnets: names of smaller members of its family, as a list or with commas between them, or a depth for each
            name, such as {"tiny": [1, 1, 1]}.
        model_options: the family's own options, such as {"stem": "small"}.
        weights: what the full net starts from: a state dict (.safetensors, or .pt with tensors alone), the name of
            torchvision's weights, such as IMAGENET1K_V1, or timm/NAME; or a mapping from names of nets to those.
        objective: ekd, or joint (cross-entropy on every net, no distillation).
        ekd: options of the objective ekd.
        epochs: passes over the training images.
        optimizer: sgd (with Nesterov momentum) or adamw.
        lr: peak learning rate; None means 0.1 for sgd, more in proportion for batches above 128, 0.001 for adamw.
        momentum: of sgd.
        weight_decay: of all weights but norms and biases.
        schedule: cosine to zero, or step: a tenth after half and again after three quarters of the epochs.
        warmup_epochs: the learning rate grows from 0 over so many epochs.
        label_smoothing: share of the label spread over all classes.
        clip: largest norm of the gradient; None does not clip.
        seed: of the initial weights, the order and the augmentation of the images.
        output: the run directory, which must not exist; None makes one under runs/.
        resume: a run directory to go on with, with its own configuration.
        device: where to train; auto takes CUDA or MPS if there is one.
        precision: Lightning's name of the number format.
        compile: compile the joint forward pass with torch.compile.
    """

    full: str = "resnet20"
    subnets: list[str] | dict[str, list[int]] | str = "resnet8,resnet14"
    model_options: dict[str, Any] = field(default_factory=dict)
    weights: str | dict[str, str] | None = None
    objective: Literal["ekd", "joint"] = "ekd"
    ekd: EKDConfig = field(default_factory=EKDConfig)
    epochs: int = 20
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.0
    clip: float | None = None
    seed: int = 0
    output: str | None = None
    resume: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    compile: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(
            not isinstance(self.subnets, str) or not set(self.subnets) & set("{}[]:"),
            f"subnets {self.subnets!r} is no YAML: a colon needs a space after it, as in {{tiny: [1, 1, 1]}}",
        )
        _check(self.epochs >= 1, f"epochs must be at least 1, not {self.epochs}")
        _check(self.lr is None or self.lr > 0, f"lr must be above 0, not {self.lr}")
        _check(0 <= self.momentum < 1, f"momentum must be in [0, 1), not {self.momentum}")
        _check(self.weight_decay >= 0, f"weight_decay must be 0 or more, not {self.weight_decay}")
        _check(self.warmup_epochs >= 0, f"warmup_epochs must be 0 or more, not {self.warmup_epochs}")
        _check(0 <= self.label_smoothing < 1, f"label_smoothing must be in [0, 1), not {self.label_smoothing}")
        _check(self.clip is None or self.clip > 0, f"clip must be above 0, not {self.clip}")
        _check(0 <= self.seed < 2**32, f"seed must be in [0, 2^32), not {self.seed}")
        taken = sorted({"full", "subnets", "num_classes", "in_channels", "weights"} & set(self.model_options))
        _check(
            not taken,
            f"{', '.join(taken)} cannot be among the model_options: full, subnets and weights are keys of their own, "
            "num_classes and in_channels follow from the data",
        )

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


@dataclass(frozen=True)
class FamiliesConfig:
    """For which images and classes the costs are given.

    Args:
        image_size: side in pixels; None means the usual one of each family.
        num_classes: outputs; None means the usual number of each family.
    """

    image_size: int | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check(
            self.image_size is None or self.image_size >= 32,
            f"image_size must be at least 32 pixels, not {self.image_size}",
        )
        _check(
            self.num_classes is None or self.num_classes >= 1, f"num_classes must be at least 1, not {self.num_classes}"
        )


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate a network on.

    Args:
        data: digits, cifar10, cifar100, folder:PATH or parquet:PATH; None means what the run was trained on.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        batch_size: images in a batch.
        workers: processes that decode large images; None means one a core, at most 8.
        device: where to run; auto takes CUDA or MPS if there is one.
    """

    data: str | None = None
    data_root: str = "data"
    batch_size: int = 256
    workers: int | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@dataclass(frozen=True)
class ExtractConfig:
    """Which net to take out, and where to put it.

    Args:
        subnet: its name; None means the full net.
        output: the safetensors file, which must not exist; None means NAME.safetensors in this folder.
    """

    subnet: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class PredictConfig:
    """Who predicts, and how much is shown.

    Args:
        subnet: the name of a net; None means the full net.
        top: how many classes to show for an image.
        device: where to run; auto takes CUDA or MPS if there is one.
    """

    subnet: str | None = None
    top: int = 5
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        _check(self.top >= 1, f"top must be at least 1, not {self.top}")
