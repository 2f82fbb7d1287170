"""What a quantisation has given: for programs as JSON, for people as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ddnn.deployment.quantization.search import Attempt, Sensitivity
from ddnn.reporting.tables import percent, print_table

FORMS = FLOAT, INT8, CHOSEN = "fp32", "int8", "chosen"
"""The forms of a net: as it was trained, all blocks in int8, and the choice."""


@dataclass(frozen=True)
class Form:
    """A net in one form.

    Args:
        accuracy: on the test images, as onnxruntime runs it, in [0, 1].
        latency_ms: of a call for one image, the median.
        ratio: of the latency to the float net's; the median over turns.
        weight_bytes: of its weights, scales and biases.
    """

    accuracy: float
    latency_ms: float
    ratio: float
    weight_bytes: int


@dataclass(frozen=True)
class Weights:
    """Bytes of weight files.

    Args:
        all_nets: of the file for all nets.
        full_net: of what the full net has in it.
        graphs: of all graphs together, which hold what is below a kilobyte.
    """

    all_nets: int
    full_net: int
    graphs: int


@dataclass(frozen=True)
class Quantization:
    """What was done, and what it gave.

    Args:
        output: the export.
        bound: on the accuracy (`max_drop`) or on the time (`latency_ms`) that decided.
        blocks: all of them, from the input to the output.
        int8: those that are in int8, in all nets that have them.
        sensitivities: of each block, the most sensitive first.
        tried: the choices that were tried, in order; the last one that fits is what was written.
        nets: each net in each form, by name.
        weights: of the export.
        float_weight_bytes: of the weight file of the same nets in float.
        conditions: images, bits, threads and processor.
    """

    output: str
    bound: Mapping[str, float]
    blocks: tuple[str, ...]
    int8: tuple[str, ...]
    sensitivities: Sequence[Sensitivity]
    tried: Sequence[Attempt]
    nets: Mapping[str, Mapping[str, Form]]
    weights: Weights
    float_weight_bytes: int
    conditions: Mapping[str, Any]

    @property
    def fp32(self) -> tuple[str, ...]:
        """The blocks that stay in float."""
        return tuple(block for block in self.blocks if block not in self.int8)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        sensitive = [{**asdict(one), "divergence": one.divergence, "drop": one.drop} for one in self.sensitivities]
        return {**asdict(self), "fp32": self.fp32, "sensitivities": sensitive}


def show(result: Quantization) -> None:
    """Three tables on standard output, and what the weights are."""
    conditions = result.conditions
    print_table(
        f"each block alone in int8, on {conditions['deciding_images']} {conditions['decided_on']} images",
        ["block", "divergence, nats", "largest drop, points", "nets"],
        [
            (one.block, f"{one.divergence:.2g}", percent(one.drop), " ".join(one.results))
            for one in result.sensitivities
        ],
    )
    print_table("choices that were tried", ["blocks in int8", "in float", "what it gave", "fits"], _attempts(result))
    (bound, limit), *_ = result.bound.items()
    print_table(
        f"{result.output}: {bound} {limit:g}; {conditions['test_images']} test images of {conditions['data']}; "
        f"time for one image, {conditions['threads'] or 'all'} threads",
        ["net", "form", "accuracy, %", "latency, ms", "of float", "weights, kB"],
        [
            (
                name if form == FLOAT else "",
                form,
                percent(figures.accuracy),
                f"{figures.latency_ms:.3g}",
                f"{figures.ratio:.2f}",
                f"{figures.weight_bytes / 1e3:.1f}",
            )
            for name, forms in result.nets.items()
            for form, figures in forms.items()
        ],
    )
    _show_weights(result)


def _attempts(result: Quantization) -> list[tuple[str, str, str, str]]:
    rows = []
    for attempt in result.tried:
        kept = [block for block in result.blocks if block not in attempt.int8]
        gave = f"{attempt.latency_ms:.3g} ms" if attempt.drop is None else f"{attempt.net} {percent(attempt.drop)} less"
        in_float = ", ".join(kept[:6]) + (", …" if len(kept) > 6 else "")
        rows.append((str(len(attempt.int8)), in_float or "-", gave, "yes" if attempt.fits else "no"))
    return rows


def _show_weights(result: Quantization) -> None:
    weights = result.weights
    print(f"in float: {', '.join(result.fp32) or 'no block'}; in int8: all others ({len(result.int8)})")
    own = f"{weights.all_nets / weights.full_net:.3f} of the full net's own, " if weights.full_net else ""
    print(
        f"weights.bin: {weights.all_nets / 1e6:.3f} MB for all nets, {own}"
        f"{weights.all_nets / max(1, result.float_weight_bytes):.3f} of the float export's; "
        f"graphs: {weights.graphs / 1e6:.3f} MB"
    )
