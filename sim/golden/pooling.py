"""Pooling layers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from arch.errors import ShapeError
from sim.golden.requantise import check_accumulator, requantise
from sim.network import AveragePool, Bytes, MaxPool

# Marks padding: below every value of 8 or 16 bits, signed or not.
_ABSENT = -(1 << 31)


def max_pool(layer: MaxPool, x: Bytes) -> Bytes:
    """The layer's output map [height, width, channels]; raises as ``window_maximum`` does."""
    accumulator = window_maximum(layer, x) - layer.input.zero_point
    return requantise(accumulator, layer.multiplier, layer.output, layer.clamp)


def average_pool(layer: AveragePool, x: Bytes) -> Bytes:
    """The layer's output map [height, width, channels].

    Raises as ``window_sums`` does, and ``ShapeError`` if no tap of a window counts.
    """
    taps = layer.taps
    if int(taps.min()) == 0:
        raise ShapeError(
            f"layer {layer.name}: every window of an average pool must hold an input pixel, "
            f"got {layer.shape.window}; reduce its padding"
        )
    multiplier = np.zeros((*taps.shape, 1), np.float32)
    for count in np.unique(taps):
        multiplier[taps == count] = layer.multiplier(int(count))
    return requantise(window_sums(layer, x), multiplier, layer.output, layer.clamp)


def window_sums(layer: AveragePool, x: Bytes) -> NDArray[np.int64]:
    """sum(x - zx) of each window, [height, width, channels]; padding adds nothing.

    Raises ``CompileError`` if a sum leaves the accumulator's range.
    """
    window, ofmap = layer.shape.window, layer.shape.ofmap
    top, left, bottom, right = window.padding
    difference = x.astype(np.int64) - layer.input.zero_point
    rows = np.pad(difference, ((top, bottom), (0, 0), (0, 0)))
    rows = _sums_along(rows, window.kernel[0], window.stride[0], window.dilation[0], ofmap.height)
    columns = np.pad(rows.transpose(1, 0, 2), ((left, right), (0, 0), (0, 0)))
    sums = _sums_along(columns, window.kernel[1], window.stride[1], window.dilation[1], ofmap.width)
    return check_accumulator(layer.name, sums.transpose(1, 0, 2), layer.input)


def _sums_along(
    values: NDArray[np.int64], kernel: int, stride: int, dilation: int, count: int
) -> NDArray[np.int64]:
    """Sums of the taps of ``count`` windows along the first axis."""
    total = np.zeros((count, *values.shape[1:]), np.int64)
    for tap in range(kernel):
        first = tap * dilation
        total += values[first : first + (count - 1) * stride + 1 : stride]
    return total


def window_maximum(layer: MaxPool, x: Bytes) -> NDArray[np.int64]:
    """Maximum of each window of ``x``, [height, width, channels].

    Raises ``ShapeError`` if a window holds nothing but padding.
    """
    window = layer.shape.window
    top, left, bottom, right = window.padding
    padded = np.pad(
        x.astype(np.int64), ((top, bottom), (left, right), (0, 0)), constant_values=_ABSENT
    )
    # [height, width, channels, extent_y, extent_x], then the strides and dilations.
    windows = sliding_window_view(padded, window.extent, axis=(0, 1))
    taps = windows[
        :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]
    ]
    maximum = np.asarray(taps.max(axis=(3, 4)), np.int64)
    if int(maximum.min()) == _ABSENT:
        raise ShapeError(
            f"layer {layer.name}: every window of a max pool must hold an input pixel, "
            f"got {layer.shape.window}; reduce its padding"
        )
    return maximum
