"""The number specification once more, by other means: plain loops, exact rationals, no NumPy
arithmetic and no floating point. float32 rounding is done on rationals with integers.

Slow (about a microsecond for each multiply-accumulate): for small layers.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap, Window
from sim.network import (
    Add,
    AveragePool,
    Bytes,
    Concat,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Slice,
    Table,
)

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


def exact_add_multipliers(scale_in: float, scale_other: float, scale_out: float) -> list[int]:
    """Multiplier, other multiplier and shift: the last candidate shift that fits 24 bits."""
    ratios = [Fraction(scale_in) / Fraction(scale_out), Fraction(scale_other) / Fraction(scale_out)]
    return _fixed_point(ratios)


def exact_product_multiplier(scale_in: float, scale_other: float, scale_out: float) -> list[int]:
    """Multiplier and shift."""
    return _fixed_point([Fraction(scale_in) * Fraction(scale_other) / Fraction(scale_out)])


def exact_layer(layer: Layer, *maps: Bytes) -> NDArray[np.int64]:
    """The layer's output map [height, width, channels]."""
    ofmap = layer.output.shape
    y = np.zeros((ofmap.height, ofmap.width, ofmap.channels), np.int64)
    for row, column, channel in np.ndindex(y.shape):
        y[row, column, channel] = exact_output(layer, maps, row, column, channel)
    return y


def exact_output(layer: Layer, maps: tuple[Bytes, ...], row: int, column: int, channel: int) -> int:
    """One element of the layer's output map."""
    x = maps[0]
    match layer:
        case Conv() | MaxPool() | AveragePool():
            accumulator, multiplier = _accumulator(layer, x, row, column, channel)
            zero_point = layer.output.zero_point
            return exact_requantise(accumulator, multiplier, zero_point, layer.clamp)
        case Add() | Multiply():
            return _two_operands(layer, maps, row, column, channel)
        case Table():
            return _looked_up(layer, int(x[row, column, channel]))
        case Concat():
            return _concatenated(maps, row, column, channel)
        case Slice():
            y, left, first = layer.start
            return int(x[y + row, left + column, first + channel])
        case _:
            shape = layer.output.shape
            return int(x.ravel()[(row * shape.width + column) * shape.channels + channel])


def _fixed_point(ratios: list[Fraction]) -> list[int]:
    found: list[int] = []
    for shift in range(41):
        integers = [round(ratio * 2**shift) for ratio in ratios]
        if all(integer < 2**24 for integer in integers):
            found = [*integers, shift]
    return found


def _accumulator(
    layer: Conv | MaxPool | AveragePool, x: Bytes, row: int, column: int, channel: int
) -> tuple[int, Fraction]:
    if isinstance(layer, Conv):
        total = _conv(layer, x, row, column, channel)
        return total, Fraction(float(layer.multiplier[channel]))
    taps = list(_taps(layer.input.shape, layer.shape.window, row, column))
    values = [int(x[*pixel, channel]) - layer.input.zero_point for _, pixel in taps]
    if isinstance(layer, MaxPool):
        return max(values), Fraction(float(layer.multiplier))
    count = len(taps)
    if layer.include_padding:
        count = _padded_taps(layer, row, column)
    scales = float(layer.input.scale), float(layer.output.scale)
    return sum(values), exact_average_multiplier(*scales, count)


def _padded_taps(layer: AveragePool, row: int, column: int) -> int:
    """Taps on the map or its declared padding."""
    window, ifmap = layer.shape.window, layer.input.shape
    count = 0
    for tap in np.ndindex(window.kernel):
        y = row * window.stride[0] + tap[0] * window.dilation[0]
        x = column * window.stride[1] + tap[1] * window.dilation[1]
        below = window.padding[2] - layer.overhang[0]
        beside = window.padding[3] - layer.overhang[1]
        inside_y = y < window.padding[0] + ifmap.height + below
        inside_x = x < window.padding[1] + ifmap.width + beside
        count += inside_y and inside_x
    return count


def _two_operands(
    layer: Add | Multiply, maps: tuple[Bytes, ...], row: int, column: int, channel: int
) -> int:
    at = (0, 0) if layer.broadcasts else (row, column)
    first = int(maps[0][row, column, channel]) - layer.input.zero_point
    second = int(maps[1][*at, channel]) - layer.other.zero_point
    if isinstance(layer, Add):
        total = first * layer.multiplier + second * layer.other_multiplier
    else:
        total = first * second * layer.multiplier
    rounded = round(Fraction(total, 2**layer.shift)) + layer.output.zero_point
    return min(max(rounded, layer.clamp[0]), layer.clamp[1])


def _looked_up(layer: Table, q: int) -> int:
    """The output for the input ``q``: an entry, or a place between the ends of a segment."""
    codes = 2**layer.output.bits
    if layer.output.bits == 8:
        found = int(layer.table[q % codes])
    else:
        start, bits = (int(number) for number in layer.table[q % codes // 256])
        change = bits - codes if bits >= codes // 2 else bits
        found = (start + floor(Fraction(change * (q % 256), 256) + Fraction(1, 2))) % codes
    return found - codes if layer.output.signed and found >= codes // 2 else found


def _concatenated(maps: tuple[Bytes, ...], row: int, column: int, channel: int) -> int:
    for each in maps:
        if channel < each.shape[2]:
            return int(each[row, column, channel])
        channel -= each.shape[2]
    raise IndexError(channel)


def _conv(layer: Conv, x: Bytes, row: int, column: int, channel: int) -> int:
    inputs = layer.shape.ifmap.channels // layer.shape.groups
    outputs = layer.shape.out_channels // layer.shape.groups
    first = channel // outputs * inputs
    total = int(layer.bias[channel])
    for tap, pixel in _taps(layer.input.shape, layer.shape.window, row, column):
        values: list[int] = x[pixel].tolist()[first : first + inputs]
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
