"""From a run to its cascade: choose it on held-out images, test it on others, and write both down."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ddnn.cascading.costs import Costs, macs_of
from ddnn.cascading.held_out import held_out_images
from ddnn.cascading.measure import (
    CHOSEN,
    WITHOUT_BOOST,
    Outcome,
    compare,
    fixed_nets,
    measure_times,
    measured,
    run_on,
    sample,
    shares,
)
from ddnn.cascading.plot import accuracy_over_cost
from ddnn.cascading.report import Report
from ddnn.cascading.thresholds import SHARES, Point, boosted_front, choose, front, thin
from ddnn.cascading.timing import piece_latencies
from ddnn.cascading.verdict import verdict
from ddnn.cascading.votes import Sayings, Votes, gather, gather_logits
from ddnn.config import CascadeConfig, configured
from ddnn.config.cores import check_threads
from ddnn.data import Data
from ddnn.engines import Engine
from ddnn.engines.torch_engine import TorchEngine, torch_threads
from ddnn.errors import DDNNError, near
from ddnn.formats.arguments import path_of
from ddnn.formats.staging import reserved, write_files, write_text
from ddnn.measuring.devices import describe_device, pick_device
from ddnn.network import DepthDynamicNetwork, storage
from ddnn.network.loading import load, network_directory
from ddnn.reporting.progress import Progress, steps
from ddnn.reporting.tables import to_json
from ddnn_runtime.cascade_spec import FILE, CalibratedOn, CascadeSpec, Expected
from ddnn_runtime.cores import cores
from ddnn_runtime.manifest import is_export

REPORT, PLOT = "report.json", "accuracy_over_cost.png"
SHARE_FOR_PIECES = 0.25
"""Of the seconds for measuring: for pieces, where the calibration goes by their times."""


@dataclass(frozen=True)
class Setting:
    """What there is to work with.

    Args:
        run: the directory.
        engine: what runs the nets.
        allowed: the nets that may take part, shallow to deep.
        data: the images.
        title: the name of the data.
        device: where batches come out.
        threads: of a call.
    """

    run: Path
    engine: Engine
    allowed: tuple[str, ...]
    data: Data
    title: str
    device: torch.device
    threads: int


@dataclass(frozen=True)
class Calibration:
    """What was chosen, and from what.

    Args:
        held: what all nets say of the held-out images.
        target: what was to be reached on them.
        costs: that the choice went by.
        points: the best cascades of the grid, from cheap to accurate.
        chosen: one of them.
        said: the nets' logits, where a net may add a share of those before it.
        without_boost: what would have been chosen without; None where that is what was asked for, or none reaches the
            target.
    """

    held: Votes
    target: dict[str, float]
    costs: Costs
    points: Sequence[Point]
    chosen: Point
    said: Sayings | None = None
    without_boost: Point | None = None


class Calibrated(NamedTuple):
    """What was chosen and tested, and the folder where that is written down."""

    report: Report
    folder: Path


def cascade(
    run: str | os.PathLike[str], config: CascadeConfig | None = None, *, progress: bool = True, **keys: Any
) -> Calibrated:
    """Choose a cascade for a run on held-out images, and test it on test images.

    The cascade goes into RUN/cascade.json, the report and its plot into RUN/cascade or `config.output`; all at the
    end. With an export that is not in fp32 the cascade is in the report alone: the run's nets are sure of other images
    than it is.

    Args:
        run: a run directory, or a saved network; or what `ddnn.train` returns.
        config: what to aim at, and how to measure; None means the defaults.
        progress: say on standard error what is being done.
        keys: fields of `ddnn.CascadeConfig`, in place of the configuration's: an `accuracy` in (0, 1], `macs` an
            image, or `latency_ms` an image, and so on.

    Returns:
        The report, and the folder that it is in.

    Raises:
        DDNNError: if no images were held out, nothing reaches the target, the export is not this network's, or a key
            or value makes no sense.

    Example:
        ```python
        report, folder = ddnn.cascade("runs/digits", accuracy=0.95)
        report.cascade.thresholds, report.cascade.macs
        ```
    """
    path, config = path_of(run, "run"), configured(CascadeConfig, config, keys)
    return _calibrated(path, config, progress)


def _calibrated(run: Path, config: CascadeConfig, progress: bool) -> Calibrated:
    setting = _open(run, config)
    folder = run / "cascade" if config.output is None else Path(config.output)
    total = 3 + (config.unit == "ms") + bool(config.boost)
    with reserved(folder), torch_threads(setting.threads), steps(total, progress) as step:
        found = _calibrate(setting, config, step)
        spec = _spec(setting, found)
        report = _test(setting, config, found, spec.calibrated_on, step)
        report = replace(report, verdict=verdict(report))
        write_files(folder, {REPORT: (to_json(report.to_json()) + "\n").encode(), PLOT: accuracy_over_cost(report)})
        if setting.engine.precision == "fp32":  # its nets are as sure of their answers as those of the run
            write_text(run / FILE, to_json(spec.to_json()) + "\n")
    return Calibrated(report, folder)


def _open(run: Path, config: CascadeConfig) -> Setting:
    threads = config.threads or cores()
    check_threads(threads)
    if is_export(run):
        raise DDNNError(f"{run} is an export; give the run that it was made from, and --export {run}")
    network = load(run)
    allowed = _allowed(network, config)
    device = pick_device("cpu" if config.export else config.device)
    data, title = held_out_images(network, run, config)
    engine = _engine(network.to(device), data, config, threads)
    return Setting(run, engine, allowed, data, title, device, threads)


def _allowed(network: DepthDynamicNetwork, config: CascadeConfig) -> tuple[str, ...]:
    """The nets that may take part, shallow to deep."""
    wanted = network.names if config.net_list is None else config.net_list
    for name in wanted:
        if name not in network:
            raise DDNNError(f"nets: this network has no net {name!r}; {near(name, network.names)}")
    return tuple(name for name in network.names if name in wanted)


def _engine(network: DepthDynamicNetwork, data: Data, config: CascadeConfig, threads: int) -> Engine:
    if config.export is None:
        return TorchEngine(network, (data.channels, *data.size))
    from ddnn.engines.onnx_engine import OnnxEngine

    engine = OnnxEngine(Path(config.export), threads)
    engine.load()
    facts = engine.manifest
    own = {name: tuple(depth) for name, depth in network.depths.items()}
    exported = {name: tuple(net.depth) for name, net in facts.nets.items()}
    if own != exported or facts.input_shape != (data.channels, *data.size):
        raise DDNNError(
            f"{config.export} is not an export of this network: it has {exported} for images of {facts.input_shape}, "
            f"the network {own} for images of {(data.channels, *data.size)}; export the run again"
        )
    return engine


def _calibrate(setting: Setting, config: CascadeConfig, step: Progress) -> Calibration:
    engine = setting.engine
    step("asking the nets about held-out images")
    batches = setting.data.validation(setting.device)
    assert batches is not None
    held = gather(engine.names, engine.opinions, batches)
    costs = macs_of(engine)
    if config.unit == "ms":
        step("timing the pieces")
        images = sample(batches, held.images, config.batch_size)[0]
        costs = piece_latencies(engine, images, SHARE_FOR_PIECES * config.seconds)
    points = front(held.only(setting.allowed), costs)
    target = config.target or {"accuracy": max(held.accuracy(name) for name in setting.allowed)}
    if not config.boost:
        return Calibration(held, target, costs, points, choose(points, target))
    step("trying shares of earlier logits")
    said = gather_logits(engine.names, engine.joint, batches)
    tried = SHARES if isinstance(config.boost, str) else (config.boost,)
    boosted = boosted_front(said, setting.allowed, costs, tried)
    return Calibration(held, target, costs, boosted, choose(boosted, target), said, _chosen_or_none(points, target))


def _chosen_or_none(points: Sequence[Point], target: dict[str, float]) -> Point | None:
    try:
        return choose(points, target)
    except DDNNError:
        return None


def _test(
    setting: Setting, config: CascadeConfig, found: Calibration, calibrated_on: CalibratedOn, step: Progress
) -> Report:
    engine, batches = setting.engine, setting.data.test(setting.device)
    step("asking the nets about test images")
    test = gather(engine.names, engine.opinions, batches)
    said = gather_logits(engine.names, engine.joint, batches) if found.said is not None else None
    outcome = run_on(engine, batches, found.chosen)
    step(f"measuring times, for {config.seconds:g} s")
    curve, timed = thin(found.points, config.points), sample(batches, test.images, config.batch_size)
    points = {str(place): point for place, point in enumerate(curve)}
    if found.without_boost is not None:
        points[WITHOUT_BOOST] = found.without_boost
    times, macs = measure_times(engine, timed, {CHOSEN: found.chosen} | points, config.seconds), macs_of(engine)
    nets = fixed_nets(found.held, test, macs, times)
    cascade = measured(found.chosen, outcome, macs, times, CHOSEN)
    others = {
        name: measured(point, Outcome(*_answers(point, test, said)), macs, times, name)
        for name, point in points.items()
    }
    without = others.pop(WITHOUT_BOOST, None)
    return Report(
        run=str(setting.run),
        engine=engine.title,
        device=describe_device(setting.device),
        threads=setting.threads,
        batch_size=len(timed[0]),
        timed_batches=times[CHOSEN].turns,
        calibrated_on=calibrated_on,
        test_images=test.images,
        target=found.target,
        unit=found.costs.unit,
        nets=nets,
        cascade=cascade,
        curve=tuple(others.values()),
        comparison=compare(outcome, test, nets, cascade, times),
        without_boost=without,
    )


def _answers(point: Point, votes: Votes, said: Sayings | None) -> tuple[np.ndarray, np.ndarray]:
    """Who would answer which image, and whether rightly."""
    if point.boost:
        assert said is not None
        votes = said.votes(point.names, point.boost)
    return votes.cascade(point.thresholds, point.last)


def _spec(setting: Setting, found: Calibration) -> CascadeSpec:
    chosen = found.chosen
    who, _ = _answers(chosen, found.held, found.said)
    return CascadeSpec(
        chosen.thresholds,
        chosen.last,
        found.target,
        CalibratedOn(setting.title, "validation", found.held.images),
        Expected(chosen.accuracy, chosen.cost, found.costs.unit, shares(who, chosen.names)),
        storage.read_config(network_directory(setting.run))["weights"]["sha256"],
        chosen.boost,
    )
