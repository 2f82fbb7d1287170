"""Scores of nets, as the commands that have some print them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ddnn.reporting.tables import percent, print_json, print_table

if TYPE_CHECKING:
    from ddnn.measuring.evaluation import Score
    from ddnn.network import DepthDynamicNetwork


def as_json(network: "DepthDynamicNetwork", scores: "dict[str, Score]") -> dict[str, Any]:
    """Depth and score of each net."""
    return {name: {"depth": list(network.depths[name]), **asdict(score)} for name, score in scores.items()}


def show_scores(options: Any, title: str, result: dict[str, Any]) -> None:
    """A table, or JSON where that is asked for; `result` has the nets as `as_json` gives them."""
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
