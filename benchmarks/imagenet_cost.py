"""What an epoch of ImageNet costs on 1, 8 and 64 devices: an estimate from steps that are measured here.

python benchmarks/imagenet_cost.py [--device cuda --precision bf16 --channels_last true --batch 128]

The step of each recipe is measured next to that of a stock ResNet-50, for which figures of many devices are published.
So there are two estimates: for devices like the one here, and for devices of which ResNet-50's images a second are
known (`published`), on the assumption that the ratio of the two steps is the same there. Neither has been run; both
leave out validation, and waiting for images, for which `decoding_cores` are needed.
"""

from collections.abc import Mapping
from functools import partial
from statistics import median
from typing import Any

from command import run
from reporting import Report
from settings import Setting
from steps import Maker, Problem, alone, ekd
from timing import interleaved, ratio

IMAGES = 1_281_167
RECIPES = {"imagenet-resnet34": ("resnet34", "resnet18"), "imagenet-resnet101": ("resnet101", "resnet50")}
REFERENCE = "resnet50"
SCALING = {1: 1.0, 8: 0.84, 64: 0.75}
"""Images a second of N devices over N times those of one: on 8 those of eight A100 that train ResNet-50 in mixed
precision (see `main`), on 64 an assumption."""
DECODED_PER_CORE = 200
"""JPEGs a second (docs/performance.md, "Data")."""


def main(
    side: int = 224,
    batch: int = 8,
    repeats: int = 7,
    published: float = 2470,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print the measured steps and both estimates.

    Args:
        side: of the images in pixels.
        batch: images in a step.
        repeats: turns that count.
        published: images a second of a device that trains a stock ResNet-50: 2,470 is an A100 in mixed precision and
            16,621 are eight of them, with DALI (github.com/NVIDIA/DeepLearningExamples, ResNet-50 v1.5 for PyTorch).
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    problems = {name: Problem(full, (sub,), side, batch, classes=1000) for name, (full, sub) in RECIPES.items()}
    makers: dict[str, Maker] = {
        REFERENCE: partial(alone, problems["imagenet-resnet101"], REFERENCE),
        **{name: partial(ekd, problem, averaged=True) for name, problem in problems.items()},
    }
    seconds = interleaved({name: make(where) for name, make in makers.items()}, repeats)
    report = Report("What does an epoch of ImageNet cost?", output)
    title = f"{side}x{side}, batch {batch}, {where}"
    report.table(f"measured: {title}", _measured(seconds, batch))
    here = {name: batch / median(seconds[name]) for name in problems}
    there = {name: published / ratio(seconds[name], seconds[REFERENCE])["ratio"] for name in problems}
    report.table(f"estimate for devices like this one: {title}", _estimate(here))
    report.table(f"estimate for devices that train {REFERENCE} on {published:g} images/s", _estimate(there))


def _measured(seconds: Mapping[str, list[float]], batch: int) -> list[dict[str, Any]]:
    return [
        {"step": name, "images_per_s": batch / median(taken), **ratio(taken, seconds[REFERENCE])}
        for name, taken in seconds.items()
    ]


def _estimate(rates: Mapping[str, float]) -> list[dict[str, Any]]:
    return [_epoch(recipe, rate, devices) for recipe, rate in rates.items() for devices in SCALING]


def _epoch(recipe: str, rate: float, devices: int) -> dict[str, Any]:
    together = rate * devices * SCALING[devices]
    minutes = IMAGES / together / 60
    return {
        "recipe": recipe,
        "devices": devices,
        "images_per_s": together,
        "minutes_an_epoch": minutes,
        "device_hours_an_epoch": minutes / 60 * devices,
        "hours_for_90_epochs": 1.5 * minutes,
        "decoding_cores": round(together / DECODED_PER_CORE) or 1,
    }


if __name__ == "__main__":
    run(main)
