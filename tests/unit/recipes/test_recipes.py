"""The shipped recipes are what the sources that their comments name say."""

from dataclasses import dataclass

import pytest
import torch
import yaml

import ddnn
from ddnn.config import TrainConfig, from_fields
from ddnn.recipes import recipe_file, recipe_names
from ddnn.training.optimization import schedule
from ddnn_runtime.schema import unknown_keys

MODERN = "imagenet-resnet101-v2"  # another schedule and augmentation than the others
SHORT = ("cifar10-resnet20", "digits", "finetune-resnet34")  # their schedule is ours, and says so
TWINS = [name for name in recipe_names() if name.startswith("cifar100-")]
CLASSES = {"digits": 10, "cifar10": 10, "cifar100": 100, "imagenet": 1000, "folder:images": 5}
IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167}


@dataclass(frozen=True)
class Published:
    """What a source says: the learning rate is multiplied by gamma at each of the drops, in epochs or iterations."""

    nets: str
    length: int
    drops: tuple[int, ...]
    weight_decay: float
    gamma: float = 0.1
    batch_size: int = 128
    in_iterations: bool = False
    warmup: int = 0


RESNET_20_TO_56 = "resnet20 resnet32 resnet44 resnet56"
PUBLISHED = {
    "resnet56": Published(RESNET_20_TO_56, 64_000, (32_000, 48_000), 1e-4, in_iterations=True),
    "resnet110": Published(
        f"{RESNET_20_TO_56} resnet110", 64_000, (32_000, 48_000), 1e-4, in_iterations=True, warmup=400
    ),
    "resnet34": Published("resnet18 resnet34", 200, (60, 120, 160), 5e-4, gamma=0.2),
    "vgg19": Published("cifar_vgg13_bn cifar_vgg16_bn cifar_vgg19_bn", 164, (81, 122), 5e-4),
    "densenet100": Published("densenet40_bc densenet100_bc", 300, (150, 225), 1e-4, batch_size=64),
}
SOURCES = {
    **{f"{data}-{net}": source for data in ("cifar10", "cifar100") for net, source in PUBLISHED.items()},
    "imagenet-resnet34": Published("resnet18 resnet34", 90, (30, 60), 1e-4, batch_size=256),
    "imagenet-resnet101": Published("resnet50 resnet101", 90, (30, 60), 1e-4, batch_size=256),
}


def read(name: str) -> TrainConfig:
    return from_fields(TrainConfig, yaml.safe_load(recipe_file(name).read_text()))


def test_every_recipe_is_tested() -> None:
    assert recipe_names() == sorted([*SOURCES, *SHORT, MODERN])


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_builds_a_network_for_its_data(name: str) -> None:
    config = read(name)
    assert not unknown_keys(TrainConfig, yaml.safe_load(recipe_file(name).read_text()))
    classes = CLASSES[config.data]
    network = ddnn.build(config.full, config.subnet_depths, num_classes=classes, **config.model_options)
    side = config.image_size or 32
    outputs = network.to("meta").eval().forward_all(torch.empty(2, 3, side, side, device="meta"))
    assert {name: tuple(output.logits.shape) for name, output in outputs.items()} == dict.fromkeys(
        network.names, (2, classes)
    )
    if name in SOURCES:
        assert network.names == tuple(SOURCES[name].nets.split())
        small = name.startswith("cifar")
        assert outputs[config.full].features[0].shape[-1] == (32 if small else 56), "the stem is for other images"


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_is_what_its_source_says(name: str) -> None:
    config, source = read(name), SOURCES[name]
    assert (config.batch_size, config.weight_decay) == (source.batch_size, source.weight_decay)
    assert (config.optimizer, config.momentum, config.peak_lr) == ("sgd", 0.9, 0.1)
    assert config.validation == 0, "the source trains on all training images"
    assert config.augment.crop == 4 if name.startswith("cifar") else config.augment.scale == 0.08
    assert config.augment.flip
    assert config.augment.erase == config.label_smoothing == 0
    assert config.augment.policy == "none"


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_s_learning_rate_is_what_its_source_says(name: str) -> None:
    config, source = read(name), SOURCES[name]
    steps = IMAGES[config.data] // config.batch_size
    total = config.epochs * steps
    unit = 1 if source.in_iterations else steps
    factor = schedule(config, steps)
    assert total == pytest.approx(source.length * unit, rel=0.001)
    assert factor(source.warmup) == 1
    assert source.warmup == 0 or factor(0) == pytest.approx(0.01, abs=0.01)
    assert factor(total - 1) == pytest.approx(source.gamma ** len(source.drops))
    for passed, drop in enumerate(source.drops):
        near = 0.2 * steps  # epochs of 390 steps make up a little less than 64,000 iterations
        assert factor(int(drop * unit - near)) == pytest.approx(source.gamma**passed)
        assert factor(int(drop * unit + near)) == pytest.approx(source.gamma ** (passed + 1))


def test_torchvision_s_recipe_of_2021() -> None:
    config = read(MODERN)
    steps = IMAGES["imagenet"] // config.batch_size
    factor = schedule(config, steps)
    assert (config.batch_size, config.peak_lr, config.weight_decay, config.epochs) == (8 * 128, 0.5, 2e-5, 600)
    assert factor(5 * steps) == pytest.approx(1)
    assert factor(steps) == pytest.approx(0.2, abs=0.01)
    half = 5 * steps + (595 * steps) // 2
    assert (factor(half), factor(600 * steps)) == (pytest.approx(0.5, abs=0.001), pytest.approx(0, abs=1e-6))
    augment = config.augment
    assert (augment.mixup, augment.cutmix, augment.repeats, augment.sizes) == (0.2, 1.0, 4, {0: 176})
    assert (augment.policy, augment.erase, config.label_smoothing) == ("trivialaugment", 0.1, 0.1)
    share = (1 - 0.99998) * (8 * 128 * 32 / 600)  # how references/classification/train.py makes it of --model-ema-decay
    assert config.ema == pytest.approx((1 - share) ** (1 / 32), abs=1e-6)


@pytest.mark.parametrize("name", TWINS)
def test_recipes_for_cifar10_and_cifar100_differ_in_nothing_but_the_data(name: str) -> None:
    first, second = (yaml.safe_load(recipe_file(twin).read_text()) for twin in (name.replace("100", "10", 1), name))
    assert (first.pop("data"), second.pop("data")) == ("cifar10", "cifar100")
    assert first == second
