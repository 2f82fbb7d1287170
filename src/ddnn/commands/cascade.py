"""`ddnn cascade`: shallow nets answer where they are sure, deeper ones the rest; and whether that is worth it."""

from typing import TYPE_CHECKING, Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import CascadeConfig, from_fields
from ddnn.reporting.tables import percent, print_json, print_table

if TYPE_CHECKING:
    from ddnn.cascading import Report
    from ddnn.cascading.report import FixedNet, MeasuredCascade

DESCRIPTION = "calibrate a cascade of sub-nets, and test it against every fixed depth"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(CascadeConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(CascadeConfig, options.as_dict())
    from ddnn.cascading import cascade

    report, folder = cascade(options.run, config)
    if options.json:
        return print_json({"folder": str(folder), **report.to_json()})
    _show(report)
    print(f"written to {folder}")


def _show(report: "Report") -> None:
    on = report.calibrated_on
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    batch = f"{report.timed_batches} batches of {report.batch_size}, {threads}"
    ((what, value),) = report.target.items()
    print_table(
        f"{report.run}: {report.test_images} test images of {on.data}; {report.engine}, times of {batch}",
        ["net", "accuracy, %", "MACs, M", "ms an image", "answered by"],
        [_cells(name, net, "all") for name, net in report.nets.items()]
        + [_cells(_title(cascade), cascade, _shares(cascade)) for cascade in report.curve]
        + [_cells(title, cascade, _shares(cascade)) for title, cascade in _chosen(report)],
    )
    wanted = f"{percent(value)} % accuracy" if what == "accuracy" else f"at most {value:g} {what} an image"
    print(f"thresholds were chosen on {on.images} held-out images, the chosen cascade for {wanted} there:")
    print(f"  {_thresholds(report.cascade)}")
    print(report.verdict)


def _chosen(report: "Report") -> "list[tuple[str, MeasuredCascade]]":
    """The chosen cascade, after what would have been chosen without a share of earlier logits."""
    without = report.without_boost
    before = [] if without is None else [("the best without boost", without)]
    return [*before, ("the chosen cascade", report.cascade)]


def _cells(name: str, net: "FixedNet | MeasuredCascade", answered: str) -> list[str]:
    digits = 2 if net.ms >= 1 else 3
    time = f"{net.ms:.{digits}f} ± {net.ms_plus_minus:.{digits}f}"
    return [name, percent(net.accuracy), f"{net.macs / 1e6:.2f}", time, answered]


def _title(cascade: "MeasuredCascade") -> str:
    return f"cascade for {percent(cascade.held_out_accuracy)} %"


def _shares(cascade: "MeasuredCascade") -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in cascade.answered.items())


def _thresholds(cascade: "MeasuredCascade") -> str:
    asked = [f"{name} answers where it is at least {limit:.4f} sure" for name, limit in cascade.thresholds.items()]
    sentence = ", ".join([*asked, f"{cascade.last} the rest" if asked else f"{cascade.last} answers all"])
    return f"{sentence}; each adds {cascade.boost:g} of the logits before it" if cascade.boost else sentence
