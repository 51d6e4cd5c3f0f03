"""The number specification once more, by other means: plain loops, exact rationals, no NumPy
arithmetic and no floating point. float32 rounding is done on rationals with integers.

Slow (about a microsecond for each multiply-accumulate): for small layers.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap, Window
from sim.network import Bytes, Conv, GlobalAveragePool, MaxPool

SMALLEST_EXPONENT = -126
FRACTION_BITS = 23


def round_to_float32(value: Fraction) -> Fraction:
    """The float32 nearest to ``value``, ties to even; for magnitudes below 2**127."""
    if value == 0:
        return value
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    quantum = Fraction(2) ** (max(exponent, SMALLEST_EXPONENT) - FRACTION_BITS)
    return round(value / quantum) * quantum  # Fraction rounds ties to even


def exact_conv_multiplier(scale_in: float, scale_weights: float, scale_out: float) -> Fraction:
    """float32(float32(sx * sw) / sy) of float32 scales."""
    product = round_to_float32(Fraction(scale_in) * Fraction(scale_weights))
    return round_to_float32(product / Fraction(scale_out))


def exact_pool_multiplier(scale_in: float, scale_out: float) -> Fraction:
    """float32(sx / sy) of float32 scales."""
    return round_to_float32(Fraction(scale_in) / Fraction(scale_out))


def exact_average_multiplier(scale_in: float, scale_out: float, pixels: int) -> Fraction:
    """float32(sx / float32(sy * pixels)) of float32 scales."""
    return round_to_float32(Fraction(scale_in) / round_to_float32(Fraction(scale_out) * pixels))


def exact_requantise(
    accumulator: int, multiplier: Fraction, zero_point: int, clamp: tuple[int, int]
) -> int:
    """clamp(rne(float32(float32(acc) * m)) + zy)."""
    product = round_to_float32(round_to_float32(Fraction(accumulator)) * multiplier)
    return min(max(round(product) + zero_point, clamp[0]), clamp[1])


def exact_layer(layer: Conv | MaxPool | GlobalAveragePool, x: Bytes) -> NDArray[np.int64]:
    """The layer's output map [height, width, channels]."""
    ofmap = layer.output.shape
    y = np.zeros((ofmap.height, ofmap.width, ofmap.channels), np.int64)
    for row, column, channel in np.ndindex(y.shape):
        y[row, column, channel] = exact_output(layer, x, row, column, channel)
    return y


def exact_output(
    layer: Conv | MaxPool | GlobalAveragePool, x: Bytes, row: int, column: int, channel: int
) -> int:
    """One element of the layer's output map."""
    if isinstance(layer, Conv):
        accumulator = _conv(layer, x, row, column, channel)
        multiplier = float(layer.multiplier[channel])
    elif isinstance(layer, MaxPool):
        taps = _taps(layer.input.shape, layer.shape.window, row, column)
        largest = max(int(x[*pixel, channel]) for _, pixel in taps)
        accumulator = largest - layer.input.zero_point
        multiplier = float(layer.multiplier)
    else:
        values: list[int] = x[:, :, channel].ravel().tolist()
        accumulator = sum(value - layer.input.zero_point for value in values)
        multiplier = float(layer.multiplier)
    return exact_requantise(accumulator, Fraction(multiplier), layer.output.zero_point, layer.clamp)


def _conv(layer: Conv, x: Bytes, row: int, column: int, channel: int) -> int:
    total = int(layer.bias[channel])
    for tap, pixel in _taps(layer.input.shape, layer.shape.window, row, column):
        values: list[int] = x[pixel].tolist()
        weights: list[int] = layer.weights[channel, *tap].tolist()
        for value, weight in zip(values, weights, strict=True):
            total += (value - layer.input.zero_point) * weight
    return total


def _taps(
    ifmap: FeatureMap, window: Window, row: int, column: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(tap, input pixel) of each kernel tap that falls on the input."""
    for tap in np.ndindex(window.kernel):
        y = row * window.stride[0] - window.padding[0] + tap[0] * window.dilation[0]
        x = column * window.stride[1] - window.padding[1] + tap[1] * window.dilation[1]
        if 0 <= y < ifmap.height and 0 <= x < ifmap.width:
            yield tap, (y, x)
