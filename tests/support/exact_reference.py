"""The number specification once more, by other means: plain loops, exact rationals, no NumPy
arithmetic and no floating point. float32 rounding is done on rationals with integers.

Slow (about a microsecond for each multiply-accumulate): for small layers.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap, Window
from sim.network import Bytes, Conv, GlobalAveragePool, MaxPool, TensorSpec

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
    pixels: list[list[list[int]]] = x.tolist()
    if isinstance(layer, Conv):
        return _conv(layer, pixels)
    if isinstance(layer, MaxPool):
        return _max_pool(layer, pixels)
    return _global_average_pool(layer, pixels)


def _conv(layer: Conv, x: list[list[list[int]]]) -> NDArray[np.int64]:
    weights: list[list[list[list[int]]]] = layer.weights.tolist()
    bias: list[int] = layer.bias.tolist()
    y = _empty(layer.output)
    for row, column, channel in np.ndindex(y.shape):
        total = bias[channel]
        for (tap_y, tap_x), pixel in _taps(layer.input.shape, layer.shape.window, row, column):
            kernel = weights[channel][tap_y][tap_x]
            values = x[pixel[0]][pixel[1]]
            for value, weight in zip(values, kernel, strict=True):
                total += (value - layer.input.zero_point) * weight
        multiplier = Fraction(float(layer.multiplier[channel]))
        y[row, column, channel] = _output(layer, total, multiplier)
    return y


def _max_pool(layer: MaxPool, x: list[list[list[int]]]) -> NDArray[np.int64]:
    y = _empty(layer.output)
    for row, column, channel in np.ndindex(y.shape):
        taps = _taps(layer.input.shape, layer.shape.window, row, column)
        largest = max(x[pixel[0]][pixel[1]][channel] for _, pixel in taps)
        difference = largest - layer.input.zero_point
        y[row, column, channel] = _output(layer, difference, Fraction(float(layer.multiplier)))
    return y


def _global_average_pool(layer: GlobalAveragePool, x: list[list[list[int]]]) -> NDArray[np.int64]:
    y = _empty(layer.output)
    for channel in range(y.shape[2]):
        total = sum(pixel[channel] - layer.input.zero_point for row in x for pixel in row)
        y[0, 0, channel] = _output(layer, total, Fraction(float(layer.multiplier)))
    return y


def _output(
    layer: Conv | MaxPool | GlobalAveragePool, accumulator: int, multiplier: Fraction
) -> int:
    return exact_requantise(accumulator, multiplier, layer.output.zero_point, layer.clamp)


def _taps(
    ifmap: FeatureMap, window: Window, row: int, column: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(tap, input pixel) of each kernel tap that falls on the input."""
    for tap in np.ndindex(window.kernel):
        y = row * window.stride[0] - window.padding[0] + tap[0] * window.dilation[0]
        x = column * window.stride[1] - window.padding[1] + tap[1] * window.dilation[1]
        if 0 <= y < ifmap.height and 0 <= x < ifmap.width:
            yield tap, (y, x)


def _empty(spec: TensorSpec) -> NDArray[np.int64]:
    return np.zeros((spec.shape.height, spec.shape.width, spec.shape.channels), np.int64)
