"""How fast the data pipelines are, and how long EKD training waits for them.

python benchmarks/data.py [--large_side 224 --large_batch 8 --workers 2 --small cifar10 --large folder:PATH]

Two pipelines: small images live as uint8 on the device and are cropped and flipped there in batches; large ones are
decoded by worker processes, which cut out a random part, resize and flip it. Large ones are read from a folder, from
parquet and from shards. The images are made up (see synthetic.py) unless a data set is named.

Speed alone is images per second over windows of some batches, once the queues that the workers fill ahead are drained.
Waiting is the time in `next(batches)` over the time of the whole step, in EKD training of ResNet-8/14/20 on small and
ResNet-18/34 on large images. Both in one run, so that one can be put over the other: below 1, training has to wait. A
step is finished before the next batch is asked for, so on a GPU, which else runs behind, the share is an upper bound.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import synthetic
from command import run
from ddnn.config import DataConfig
from ddnn.data import Loader, open_data
from ddnn.data.large import LargeLoader
from reporting import Report
from settings import Setting
from steps import Batch, Iteration, Problem, ekd
from timing import now, quartiles, seconds_of

SMALL_SIDE = 32
BATCHES_AHEAD = 2  # that each worker prepares before they are asked for, torch's default
LARGE_PICTURE = 375, 500  # height and width of made-up large pictures, about ImageNet's mean


@dataclass(frozen=True)
class Pipeline:
    """A data set, and the nets that are trained on it.

    Args:
        name: what the tables call it.
        config: the data set, and how it is prepared.
        full: the full net.
        subnets: its sub-nets.
    """

    name: str
    config: DataConfig
    full: str
    subnets: tuple[str, ...]


def main(
    small: str | None = None,
    large: str | None = None,
    images: int = 4096,
    small_batch: int = 64,
    large_batch: int = 8,
    large_side: int = 224,
    workers: int | None = None,
    windows: int = 9,
    steps: int = 10,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print images per second of each pipeline, and the share of a training step that waits.

    Args:
        small: a data set of small colour images, as `ddnn train --data` takes it; None makes images up.
        large: a data set of large images; None makes images up, as a folder, as parquet and as shards.
        images: how many to make up; on a fast GPU take more, so that epochs last a while.
        small_batch: images in a batch of small ones.
        large_batch: images in a batch of large ones.
        large_side: what large images are resized to, in pixels; more than 64.
        workers: processes that decode; None means what `ddnn train` takes.
        windows: windows that count, for the speed of a pipeline alone.
        steps: training steps that count, and batches in a window.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = DataConfig(data=small or small_pictures(root, images), batch_size=small_batch, validation=0)
        pipelines = [Pipeline("memory", config, "resnet20", ("resnet8", "resnet14"))]
        for data in [large] if large else large_pictures(root, images):
            config = DataConfig(data, image_size=large_side, batch_size=large_batch, validation=0, workers=workers)
            pipelines.append(Pipeline(data.partition(":")[0], config, "resnet34", ("resnet18",)))
        rows = [measure(pipeline, where, windows, steps) for pipeline in pipelines]
    report = Report("How fast are the data pipelines, and how long does training wait?", output)
    report.table(f"pipelines: {where}", rows)


def small_pictures(root: Path, images: int) -> str:
    """Small pictures, as files."""
    return synthetic.write_folder(root / "small", images, SMALL_SIDE, SMALL_SIDE)


def large_pictures(root: Path, images: int) -> list[str]:
    """Large pictures, as files, as parquet and as shards."""
    writers = {
        "folder": synthetic.write_folder,
        "parquet": synthetic.write_parquet,
        "shards": synthetic.write_shards_of,
    }
    return [write(root / name, images, *LARGE_PICTURE) for name, write in writers.items()]


def measure(pipeline: Pipeline, setting: Setting, windows: int, steps: int) -> dict[str, Any]:
    """Speed alone, then the waiting of a training."""
    config, data = pipeline.config, open_data(pipeline.config, seed=0)
    problem = Problem(pipeline.full, pipeline.subnets, data.size[0], config.batch_size, data.spec.num_classes)
    loader = data.training(setting.device)
    batches, workers = endless(loader), workers_of(loader)
    skipped = BATCHES_AHEAD * workers + 2
    alone = [config.batch_size / seconds for seconds in pace(batches, windows, steps, skipped)]
    share, trained = waiting(batches, ekd(problem, setting), setting, steps, skipped)
    low, high = quartiles(alone)
    return {
        "pipeline": pipeline.name,
        "workers": workers,
        "batch": f"{config.batch_size} of {problem.side}x{problem.side}",
        "images_per_s": median(alone),
        "low": low,
        "high": high,
        "trained_per_s": trained * config.batch_size,
        "pipeline over training": median(alone) / (trained * config.batch_size),
        "waiting_share": share,
    }


def workers_of(loader: Loader) -> int:
    """Processes that decode images; none where they live on the device."""
    return loader._loader.num_workers if isinstance(loader, LargeLoader) else 0


def endless(loader: Loader) -> Iterator[Batch]:
    """Epoch after epoch."""
    for epoch in count():
        loader.set_epoch(epoch)
        yield from loader


def pace(batches: Iterator[Batch], windows: int, size: int, skipped: int) -> list[float]:
    """Seconds for a batch in each window of so many, after some that do not count."""
    take(batches, skipped)
    return [seconds_of(partial(take, batches, size)) / size for _ in range(windows)]


def take(batches: Iterator[Batch], number: int) -> None:
    """Get so many batches and drop them."""
    for _ in islice(batches, number):
        pass


def waiting(
    batches: Iterator[Batch], step: Iteration, setting: Setting, steps: int, skipped: int
) -> tuple[float, float]:
    """The share of a training's time that waits for batches, and steps in a second."""
    waited = began = 0.0
    for number in range(skipped + steps):
        if number == skipped:
            waited, began = 0.0, now()
        before = now()
        images, labels = next(batches)
        waited += now() - before
        step((setting.arrange(images), labels))
    whole = now() - began
    return waited / whole, steps / whole


if __name__ == "__main__":
    run(main)
