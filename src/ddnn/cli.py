"""The command line: it puts the library's pieces together and prints what they give. No logic of its own.

Torch and what stands on it are imported by the command that needs them, so that help and errors come at once.
"""

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddnn import __version__
from ddnn.catalogue import catalogue
from ddnn.command_parser import CommandParser, RecipeFile, UsageError
from ddnn.config import (
    OWN_KEYS,
    CompareConfig,
    DataConfig,
    EvaluateConfig,
    ExtractConfig,
    FamiliesConfig,
    PredictConfig,
    TrainConfig,
    from_fields,
)
from ddnn.errors import DDNNError
from ddnn.reports import millions, percent, print_json, print_table, to_json

if TYPE_CHECKING:
    from ddnn.evaluation import Score
    from ddnn.network import DepthDynamicNetwork


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status: 0, 1 for what could not be done, 2 for what could not be understood,
    130 for Ctrl-C."""
    warnings.showwarning = _show_warning
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        options = _parser().parse_args(words)
        options[options.subcommand]["command"] = shlex.join(["ddnn", *words])
        COMMANDS[options.subcommand][1](options[options.subcommand])
    except DDNNError as error:
        print(f"ddnn: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt as error:
        print(f"ddnn: {error or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # no space, no permission, a file where a folder should be
        where = f"{error.filename}: " if error.filename else ""
        print(f"ddnn: error: {where}{error.strerror or ' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning of ours in one line on standard error, without the place in the code; others' are for developers."""
    if category is UserWarning:
        print(f"ddnn: warning: {message}", file=sys.stderr)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ddnn", description=f"One neural network, every depth (version {__version__}).", version=__version__
    )
    commands = parser.add_subcommands(required=True, metavar="COMMAND")
    for name, (add_options, _, description) in COMMANDS.items():
        subparser = CommandParser(prog=f"ddnn {name}", description=description)
        add_options(subparser)
        subparser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
        commands.add_subcommand(name, subparser, help=description)
        parser.of_commands[name] = subparser
    return parser


def _families_options(parser: CommandParser) -> None:
    parser.add_class_arguments(FamiliesConfig)


def _families(options: Any) -> None:
    config = from_fields(FamiliesConfig, options.as_dict())
    result = catalogue(config.image_size, config.num_classes)
    if options.json:
        return print_json(result)
    rows = [
        (
            member,
            " ".join(map(str, facts["depth"])),
            millions(facts["parameters"]),
            millions(facts["macs"]),
            "x".join(map(str, family["input"])),
            " ".join(facts["inside"]) or "-",
        )
        for family in result.values()
        for member, facts in family["members"].items()
    ]
    columns = ["model", "blocks per stage", "params, M", "MACs, M", "input", "shares its weights with, as a sub-net"]
    print_table("What nests in what; any depth in between has no name, and nests as well", columns, rows)


def _train_options(parser: CommandParser) -> None:
    parser.add_argument("--config", action=RecipeFile, help="YAML file, or the name of a shipped recipe")
    parser.add_class_arguments(TrainConfig)


def _train(options: Any) -> None:
    config = from_fields(TrainConfig, options.as_dict())
    from ddnn.devices import pick_device
    from ddnn.evaluation import evaluate
    from ddnn.storage import write_text
    from ddnn.training import train

    run = train(config)
    device = pick_device(run.config.device)
    scores = evaluate(run.network.to(device), run.data.test(device))
    result = {"run": str(run.directory.path), "seconds": round(run.seconds, 1), "nets": _as_json(run.network, scores)}
    write_text(run.directory.results, to_json(result) + "\n")
    title = f"{run.directory.path}: {run.config.data} test images, {run.seconds:.1f} s of training"
    _show_scores(options, title, result)


def _compare_options(parser: CommandParser) -> None:
    parser.add_argument("--config", action=RecipeFile, help="YAML file, or the name of a shipped recipe")
    parser.add_class_arguments(CompareConfig, skip={"train"})
    parser.add_class_arguments(TrainConfig, skip=set(OWN_KEYS))


def _compare(options: Any) -> None:
    values = options.as_dict()
    train = from_fields(TrainConfig, {key: value for key, value in values.items() if key not in OWN_KEYS})
    config = from_fields(CompareConfig, {**values, "train": train})
    from ddnn.comparison import compare, show

    summary = compare(config, command=options.command)
    if options.json:
        return print_json(summary)
    show(summary)


def _evaluate_options(parser: CommandParser) -> None:
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(EvaluateConfig)


def _evaluate(options: Any) -> None:
    config = from_fields(EvaluateConfig, options.as_dict())
    from ddnn.building import load
    from ddnn.devices import pick_device
    from ddnn.evaluation import evaluate, open_evaluation_data
    from ddnn.run_directory import evaluation_data

    device = pick_device(config.device)
    network = load(options.run)
    data_config: DataConfig = evaluation_data(Path(options.run), config)
    data = open_evaluation_data(network, data_config)
    scores = evaluate(network.to(device), data.test(device))
    result = {"run": options.run, "data": data_config.data, "nets": _as_json(network, scores)}
    _show_scores(options, f"{options.run}: {data_config.data} test images", result)


def _extract_options(parser: CommandParser) -> None:
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(ExtractConfig)


def _extract(options: Any) -> None:
    config = from_fields(ExtractConfig, options.as_dict())
    from ddnn.building import load
    from ddnn.deployment.extraction import extract_to_file

    network = load(options.run)
    name = config.subnet or network.full
    path = Path(config.output or f"{name}.safetensors")
    extract_to_file(network, name, path)
    result = {"subnet": name, "output": str(path), "bytes": path.stat().st_size}
    if options.json:
        return print_json(result)
    print(f"{path}: state dict of {name}, {path.stat().st_size / 1e6:.1f} MB")


def _predict_options(parser: CommandParser) -> None:
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_class_arguments(PredictConfig)


def _predict(options: Any) -> None:
    config = from_fields(PredictConfig, options.as_dict())
    from ddnn.building import load
    from ddnn.deployment.prediction import predict
    from ddnn.devices import pick_device

    network = load(options.run).to(pick_device(config.device))
    predictions = predict(network, options.images, config.subnet, config.top)
    if options.json:
        return print_json({"subnet": config.subnet or network.full, "predictions": [asdict(p) for p in predictions]})
    rows = [
        (prediction.image if place == 0 else "", label, percent(probability))
        for prediction in predictions
        for place, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True))
    ]
    print_table(f"{options.run}, {config.subnet or network.full}", ["image", "label", "probability, %"], rows)


def _as_json(network: "DepthDynamicNetwork", scores: "dict[str, Score]") -> dict[str, Any]:
    return {name: {"depth": list(network.depths[name]), **asdict(score)} for name, score in scores.items()}


def _show_scores(options: Any, title: str, result: dict[str, Any]) -> None:
    if options.json:
        return print_json(result)
    rows = [
        (
            name,
            " ".join(map(str, net["depth"])),
            percent(net["accuracy"]),
            " to ".join(percent(bound) for bound in net["interval"]),
            f"{net['nll']:.3f}",
            percent(net["calibration_error"]),
        )
        for name, net in result["nets"].items()
    ]
    print_table(title, ["net", "depth", "accuracy, %", "95 % interval", "NLL, nats", "ECE, %"], rows)


Options = Callable[[CommandParser], None]
Command = Callable[[Any], None]

COMMANDS: dict[str, tuple[Options, Command, str]] = {
    "families": (_families_options, _families, "what nests in what, with parameters and MACs"),
    "train": (_train_options, _train, "train a network at all its depths"),
    "compare": (_compare_options, _compare, "trained alone, pruned, jointly, by EKD and as peers do, over seeds"),
    "evaluate": (_evaluate_options, _evaluate, "accuracy of every sub-net on a data set"),
    "extract": (_extract_options, _extract, "a sub-net as a stock state dict in a safetensors file"),
    "predict": (_predict_options, _predict, "labels and probabilities of images, by any sub-net"),
}


if __name__ == "__main__":
    sys.exit(main())
