"""Scores of nets, as the commands that have some print them."""

from typing import Any

from ddnn.reporting.tables import percent, print_json, print_table

MOST_CLASSES = 20
"""That a table of classes has."""


def show_scores(options: Any, title: str, result: dict[str, Any]) -> None:
    """A table, or JSON where that is asked for; `result` has the nets as `scores_as_json` gives them."""
    if options.json:
        return print_json(result)
    rows = [
        (
            name,
            " ".join(map(str, net["depth"])),
            percent(net["accuracy"]),
            " to ".join(percent(bound) for bound in net["interval"]),
            percent(net["balanced_accuracy"]),
            f"{net['nll']:.3f}",
            percent(net["calibration_error"]),
        )
        for name, net in result["nets"].items()
    ]
    print_table(title, ["net", "depth", "accuracy, %", "95 % interval", "balanced, %", "NLL, nats", "ECE, %"], rows)


def show_classes(options: Any, result: dict[str, Any]) -> None:
    """Figures of each class, as a table where there are few; JSON has them already."""
    nets: dict[str, Any] = result["nets"]
    classes = next(iter(nets.values()))["classes"]
    if options.json or len(classes) > MOST_CLASSES:
        return
    columns = [f"{name} {what}, %" for name in nets for what in ("recall", "precision")]
    rows = [
        (
            each["name"],
            each["support"],
            *(_share(net["classes"][place][what]) for net in nets.values() for what in ("recall", "precision")),
        )
        for place, each in enumerate(classes)
    ]
    print_table("by class", ["class", "images", *columns], rows)


def _share(share: float | None) -> str:
    return "-" if share is None else percent(share)
