"""Scores of nets, as the commands that have some print them."""

from typing import Any

from ddnn.reporting.tables import percent, print_json, print_table


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
            f"{net['nll']:.3f}",
            percent(net["calibration_error"]),
        )
        for name, net in result["nets"].items()
    ]
    print_table(title, ["net", "depth", "accuracy, %", "95 % interval", "NLL, nats", "ECE, %"], rows)
