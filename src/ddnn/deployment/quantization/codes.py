"""Weights as int8 codes that are the same in every net, whatever its running statistics are.

Batch normalisation after a convolution multiplies each output channel by a factor. The nets of a network share the
weights, but running statistics are each net's own, and so are the factors: weights with the norm folded in differ from
net to net. Their codes do not. A channel's weights are divided by the largest of them before they are rounded, which
takes the factor out again, up to its sign; and that is the sign of the norm's weight, which the nets share:

    round(f·w / max|f·w| · levels) = sign(f) · round(w / max|w| · levels)

So the codes are made from the weights as they are shared, and a net's factor goes into its scales.
"""

from dataclasses import dataclass

import numpy as np

LEVELS = {7: 64, 8: 127}
"""The largest code for a number of bits.

Processors without VNNI add two products of an activation in [0, 255] and a code in 16 bits: 2·255·64 fits, 2·255·127
does not and is cut off (docs/quantization.md has what that does to accuracy).
"""

_LARGEST_INT32 = np.iinfo(np.int32).max
_SMALLEST_SCALE = 1e-30
"""Far below any that matters; the product with an activation's scale is still a normal float32."""


@dataclass(frozen=True)
class Codes:
    """A weight in int8: `scales[channel] * codes[channel]` is about `weight[channel]`.

    Args:
        codes: int8 of the shape of the weight, output channels first.
        scales: float32 of shape (channels,).
    """

    codes: np.ndarray
    scales: np.ndarray


def encode(weight: np.ndarray, levels: int) -> Codes:
    """The codes of a weight, symmetric around 0, each output channel with a scale of its own.

    Args:
        weight: float, output channels first.
        levels: the largest code.

    >>> encode(np.array([[1.0, -2.0], [0.0, 0.5]]), levels=64).codes.tolist()
    [[32, -64], [0, 64]]
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1).astype(np.float64)
    scales = np.where(largest > 0, largest, 1.0) / levels
    return Codes(np.rint(weight / _by_channel(scales, weight.ndim)).astype(np.int8), scales.astype(np.float32))


def scaled(
    codes: Codes, channels: np.ndarray, factors: np.ndarray, bias: np.ndarray | None, input_scale: float
) -> Codes:
    """The same weight with each channel multiplied by a factor, for one net.

    The bias is stored as int32 in units of the input's scale times the channel's. Where a factor is so small that the
    bias would not fit, the scale is made larger, as onnxruntime's own quantiser does: codes of such channels are
    rounded to smaller ones, mostly to 0.

    Args:
        codes: of the shared weight.
        channels: for each channel of this net, the one of the shared weight, int64 of shape (channels,).
        factors: of this net's channels.
        bias: what is added to this net's channels, if anything is.
        input_scale: of the activations that go in.

    Returns:
        Codes of the shared weight's shape, and scales of this net's channels.
    """
    exact = codes.scales[channels].astype(np.float64) * np.abs(factors)
    least = 0.0 if bias is None else 1.0001 * np.abs(bias.astype(np.float64)) / _LARGEST_INT32 / input_scale
    scales = np.maximum(exact, np.maximum(least, _SMALLEST_SCALE))
    rows = np.ones(len(codes.codes))
    rows[channels] = np.where(factors < 0, -1.0, 1.0) * exact / scales
    if (rows == 1).all():
        return Codes(codes.codes, scales.astype(np.float32))
    changed = np.rint(codes.codes * _by_channel(rows, codes.codes.ndim)).astype(np.int8)
    return Codes(changed, scales.astype(np.float32))


def _by_channel(values: np.ndarray, dimensions: int) -> np.ndarray:
    return values.reshape(-1, *[1] * (dimensions - 1))
