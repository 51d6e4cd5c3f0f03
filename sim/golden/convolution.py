"""Convolution and fully connected layers."""

import numpy as np
from numpy.typing import NDArray

from arch.layers import ConvShape
from sim.golden.requantise import check_accumulator, requantise
from sim.network import Bytes, Conv


def accumulate(layer: Conv, x: Bytes) -> NDArray[np.int64]:
    """sum((x - zx) * w) + bias, [height, width, out_channels]; padding adds nothing.

    Raises ``CompileError`` if a sum leaves the accumulator's range.
    """
    ofmap = layer.shape.ofmap
    window = layer.shape.window
    # Integer matrix products run as float64 BLAS. That is exact: every partial sum is an integer
    # of magnitude at most reduction * 255 * 128, below 2**53 for any reduction below 2**37. At 16
    # bits that holds for every layer whose sums are known to fit 48 bits.
    padded = _padded_difference(layer, x)
    weights = layer.weights.astype(np.float64)
    total = np.zeros((layer.shape.groups, ofmap.height * ofmap.width, layer.shape.group_outputs))
    for tap_y, tap_x in np.ndindex(window.kernel):
        top, left = tap_y * window.dilation[0], tap_x * window.dilation[1]
        taps = padded[
            top : top + (ofmap.height - 1) * window.stride[0] + 1 : window.stride[0],
            left : left + (ofmap.width - 1) * window.stride[1] + 1 : window.stride[1],
        ]
        total += _products(taps, weights[:, tap_y, tap_x, :], layer.shape)
    sums = total.transpose(1, 0, 2).reshape(-1, ofmap.channels).astype(np.int64)
    sums += layer.bias.astype(np.int64)
    check_accumulator(layer.name, sums, layer.input)
    return sums.reshape(ofmap.height, ofmap.width, ofmap.channels)


def convolve(layer: Conv, x: Bytes) -> Bytes:
    """The layer's output map [height, width, out_channels] for input map ``x``."""
    return requantise(accumulate(layer, x), layer.multiplier, layer.output, layer.clamp)


def _products(
    taps: NDArray[np.float64], weights: NDArray[np.float64], shape: ConvShape
) -> NDArray[np.float64]:
    """One tap of each window times its weights: [groups, pixels, outputs of a group]."""
    grouped = taps.reshape(-1, shape.groups, shape.group_inputs).transpose(1, 0, 2)
    weights = weights.reshape(shape.groups, shape.group_outputs, shape.group_inputs)
    if shape.group_inputs == 1:  # depthwise: nothing to add up
        return np.asarray(grouped * weights.transpose(0, 2, 1))
    return np.asarray(grouped @ weights.transpose(0, 2, 1))


def _padded_difference(layer: Conv, x: Bytes) -> NDArray[np.float64]:
    """x - zx with the padding around it, which is 0 since padding is the zero point."""
    top, left, bottom, right = layer.shape.window.padding
    difference = x.astype(np.float64) - layer.input.zero_point
    return np.pad(difference, ((top, bottom), (left, right), (0, 0)))
