"""Pooling layers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from arch.errors import ShapeError
from sim.golden.requantise import check_accumulator, requantise
from sim.network import Bytes, GlobalAveragePool, MaxPool

# Marks padding: below every 8-bit value, signed or not.
_ABSENT = -(1 << 15)


def max_pool(layer: MaxPool, x: Bytes) -> Bytes:
    """The layer's output map [height, width, channels]; raises as ``window_maximum`` does."""
    accumulator = window_maximum(layer, x) - np.int32(layer.input.zero_point)
    return requantise(accumulator, layer.multiplier, layer.output, layer.clamp)


def global_average_pool(layer: GlobalAveragePool, x: Bytes) -> Bytes:
    """The layer's output [1, 1, channels] for input map ``x``."""
    difference = x.astype(np.int64) - layer.input.zero_point
    accumulator = check_accumulator(layer.name, difference.sum(axis=(0, 1), keepdims=True))
    return requantise(accumulator, layer.multiplier, layer.output, layer.clamp)


def window_maximum(layer: MaxPool, x: Bytes) -> NDArray[np.int32]:
    """Maximum of each window of ``x``, [height, width, channels].

    Raises ``ShapeError`` if a window holds nothing but padding.
    """
    window = layer.shape.window
    top, left, bottom, right = window.padding
    padded = np.pad(
        x.astype(np.int32), ((top, bottom), (left, right), (0, 0)), constant_values=_ABSENT
    )
    # [height, width, channels, extent_y, extent_x], then the strides and dilations.
    windows = sliding_window_view(padded, window.extent, axis=(0, 1))
    taps = windows[
        :: window.stride[0], :: window.stride[1], :, :: window.dilation[0], :: window.dilation[1]
    ]
    maximum = np.asarray(taps.max(axis=(3, 4)), np.int32)
    if int(maximum.min()) == _ABSENT:
        raise ShapeError(
            f"layer {layer.name}: every window of a max pool must hold an input pixel, "
            f"got {layer.shape.window}; reduce its padding"
        )
    return maximum
