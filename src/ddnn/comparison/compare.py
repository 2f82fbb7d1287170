"""Compare methods: the one function that plans the runs, makes those that are missing, and reports on all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddnn.comparison.budgets import epochs_of, meta_network
from ddnn.comparison.experiment import Experiment, RunScores, conditions
from ddnn.comparison.methods import Epochs, Task, config_of, plan, tasks_of
from ddnn.comparison.pool import run_all, slots
from ddnn.comparison.progress import watching
from ddnn.comparison.report import write_report
from ddnn.comparison.summary import MethodRun, NetFacts, summarise
from ddnn.config import CompareConfig, Method
from ddnn.data import Data, open_data
from ddnn.errors import DDNNError
from ddnn.measuring.devices import pick_device, pick_precision
from ddnn.measuring.macs import cost
from ddnn.objectives import make_objective
from ddnn.training.draw import never_drawn
from ddnn_runtime.geometry import is_small
from ddnn_runtime.untrusted import shown


def compare(config: CompareConfig, *, command: str = "ddnn.compare", progress: bool = True) -> dict[str, Any]:
    """Train the nets of one network by several methods, over seeds, and report how they differ.

    Runs that are complete in the results folder are not run again, and one that was cut short goes on from its last
    whole epoch. A run is complete where its scores are there, so those alone can come from another machine. It starts
    processes, so a script that calls it needs `if __name__ == "__main__":`.

    Args:
        config: see `CompareConfig`.
        command: how to reproduce it, for the report.
        progress: show a bar (one line a run where there is no terminal) on standard error.

    Returns:
        The summary, which is in the results folder too, as summary.json, table.csv, accuracy_over_macs.png and
        report.html. Its format is in `ddnn.comparison.summary.summarise`.

    Raises:
        DDNNError: if the configuration or the data cannot be, the results folder holds another comparison, or runs
            failed: those that did not are kept, and the same call goes on.
        KeyboardInterrupt: for Ctrl-C, with a message.

    Example:
        >>> from ddnn import CompareConfig, TrainConfig, compare
        >>> train = TrainConfig(full="resnet14", subnets="resnet8", epochs=1, train_images=256)
        >>> folder = getfixture("tmp_path") / "results"
        >>> summary = compare(CompareConfig("alone,ekd", "0", str(folder), train=train), progress=False)
        >>> sorted(summary["methods"]["ekd"])
        ['resnet14', 'resnet8']
    """
    if not isinstance(config, CompareConfig):
        raise DDNNError(f"config must be a ddnn.CompareConfig, not {shown(config)}")
    precision, _ = pick_precision(config.train.precision, pick_device(config.train.device))  # one for all runs
    config = replace(config, train=replace(config.train, precision=precision))
    data = open_data(config.train, seed=0)
    if config.score == "validation" and not data.has_validation:
        raise DDNNError("score validation needs images that are held out; give a validation above 0")
    nets = _facts(config, data)
    epochs = epochs_of(config, (data.channels, *data.size), data.num_classes)
    tasks = plan(config, list(nets), epochs)
    with Experiment.open(config) as experiment:
        failed = _run_missing(tasks, config, experiment, nets, data, progress)
        complete = experiment.all_scores(tasks)
        runs = _method_runs(config, complete, list(nets), epochs)
        if not runs:
            raise DDNNError(_failure(failed))
        summary = summarise(
            runs,
            nets,
            experiment=experiment.path.resolve().name,
            command=command,
            devices=Counter(run.device for run in complete.values()),
            split=config.score,
            config=conditions(config),
            portion=data.portion(config.score),
        )
        write_report(experiment.path, summary)
    if failed:
        raise DDNNError(f"{_failure(failed)}; the report in {experiment.path} is of what is complete")
    return summary


def _run_missing(
    tasks: Sequence[Task],
    config: CompareConfig,
    experiment: Experiment,
    nets: Mapping[str, NetFacts],
    data: Data,
    progress: bool,
) -> Mapping[Task, str]:
    """Make the runs that are not complete; says which failed, and why."""
    complete = experiment.all_scores(tasks)
    missing = [task for task in tasks if task not in complete]
    if not missing:
        return {}
    depths = {name: facts.depth for name, facts in nets.items()}
    places = slots(config, len(tasks), small=is_small(data.size))
    try:
        with watching(missing, config, experiment, progress) as watch:
            return run_all(missing, depths, places, config, experiment, watch)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on, with what is complete kept") from None


def _facts(config: CompareConfig, data: Data) -> dict[str, NetFacts]:
    """The nets of the comparison, shallow to deep, without making a weight."""
    network = meta_network(config.train, data.channels, data.num_classes)
    costs = {name: cost(network.extract(name), (data.channels, *data.size)) for name in network.names}
    return {name: NetFacts(network.depths[name], costs[name].parameters, costs[name].macs) for name in network.names}


def _method_runs(
    config: CompareConfig, complete: Mapping[Task, RunScores], names: Sequence[str], epochs: Epochs
) -> list[MethodRun]:
    """What the methods gave, each for those seeds for which all its runs are complete."""
    found = []
    for method in config.method_list:
        for seed in config.seed_list:
            tasks = tasks_of(method, seed, names, epochs[method], config.finetune)
            if all(task in complete for task in tasks):
                untrained = _untrained(tasks[-1], config, names)
                parts = [complete[task] for task in tasks]
                found.append(_method_run(method, seed, parts, names, epochs[method], untrained))
    return found


def _method_run(
    method: Method,
    seed: int,
    parts: Sequence[RunScores],
    names: Sequence[str],
    epochs: int,
    untrained: tuple[str, ...],
) -> MethodRun:
    scores = {name: score for part in parts for name, score in part.scores.items()}
    peaks = [part.peak_memory_mb for part in parts if part.peak_memory_mb is not None]
    return MethodRun(
        str(method),
        seed,
        {name: scores[name] for name in names},
        sum(part.seconds for part in parts),
        max(peaks, default=None),
        untrained,
        str(replace(method, budget="epochs")),
        method.budget,
        epochs,
    )


def _untrained(task: Task, config: CompareConfig, names: Sequence[str]) -> tuple[str, ...]:
    objective = make_objective(config_of(task, config))
    return never_drawn(tuple(names), objective.draw) if task.net is None else ()


def _failure(failed: Mapping[Task, str]) -> str:
    first, reason = next(iter(failed.items()))
    others = f" (and {len(failed) - 1} more runs failed)" if len(failed) > 1 else ""
    return f"{first}: {reason}{others}"
