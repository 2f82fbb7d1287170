"""How numbers become codes; the defaults are what was measured to be best (docs/quantization.md)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Scheme:
    """What is coded, and how.

    Args:
        weight_bits: of the codes of weights, which are int8 in any case.
        activations: type of the codes of what flows through a graph.
        following: operators without weights that compute with codes where they can.
        float_outputs: operators whose output stays float: a classifier's logits, and what goes on into norms and
            softmax.
    """

    weight_bits: Literal[7, 8] = 7
    activations: Literal["uint8", "int8"] = "uint8"
    following: frozenset[str] = frozenset({"Add", "Clip", "MaxPool", "Relu"})
    float_outputs: frozenset[str] = frozenset({"Gemm", "MatMul"})
