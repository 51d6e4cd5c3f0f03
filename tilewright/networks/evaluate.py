"""Nodes without weights, on real maps [height, width, channels].

Everything is done value by value or in a fixed order, so that every machine gets the same bits up
to the last place of its exponential function.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from arch.layers import Window
from tilewright.networks.nodes import (
    Activation,
    Concat,
    Elementwise,
    Function,
    Node,
    Normalise,
    Operation,
    Pool,
    PoolKind,
    Shuffle,
    Slice,
)
from tilewright.networks.ranges import Quantisation

Reals = NDArray[np.float64]


def evaluate(node: Node, inputs: list[Reals]) -> Reals:
    """The output map of a node without weights."""
    x = inputs[0]
    match node:
        case Activation():
            return _FUNCTIONS[node.function](x)
        case Elementwise():
            return x + inputs[1] if node.operation is Operation.ADD else x * inputs[1]
        case Pool():
            return _maximum(node, x) if node.kind is PoolKind.MAX else _mean(node, x)
        case Normalise():
            return _normalised(node, x)
        case Concat():
            return np.concatenate(inputs, axis=2)
        case Slice():
            (y, left, channel), shape = node.start, node.output.shape
            return x[
                y : y + shape.height,
                left : left + shape.width,
                channel : channel + shape.channels,
            ]
        case Shuffle():
            dealt = x.reshape(*x.shape[:2], node.groups, -1).swapaxes(2, 3)
            return dealt.reshape(x.shape)
        case _:
            raise TypeError(f"node {node.name}: no rule for {type(node).__name__}")


def quantise(real: Reals, quantisation: Quantisation) -> NDArray[np.uint8]:
    """QuantizeLinear: rounded half to even, saturated."""
    codes = np.rint(real / np.float64(quantisation.scale)) + quantisation.zero_point
    return np.asarray(np.clip(codes, 0, 255), np.uint8)


def dequantise(codes: NDArray[np.uint8], quantisation: Quantisation) -> Reals:
    """DequantizeLinear."""
    return (codes.astype(np.float64) - quantisation.zero_point) * np.float64(quantisation.scale)


_FUNCTIONS: dict[Function, Callable[[Reals], Reals]] = {
    Function.RELU: lambda x: np.maximum(x, 0.0),
    Function.RELU6: lambda x: np.clip(x, 0.0, 6.0),
    Function.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    Function.TANH: np.tanh,
    Function.HARD_SIGMOID: lambda x: np.clip(x + 3, 0.0, 6.0) / 6,
    Function.HARD_SWISH: lambda x: x * np.clip(x + 3, 0.0, 6.0) / 6,
    Function.NEGATE: np.negative,
}


def _normalised(node: Normalise, x: Reals) -> Reals:
    half = node.size // 2
    padded = np.pad(np.square(x), ((0, 0), (0, 0), (half, half)))
    total = np.zeros_like(x)
    for tap in range(node.size):
        total = total + padded[:, :, tap : tap + x.shape[2]]
    return x / (node.bias + node.alpha / node.size * total) ** node.beta


def _maximum(node: Pool, x: Reals) -> Reals:
    return _reduced(node, x, -np.inf, np.maximum)


def _mean(node: Pool, x: Reals) -> Reals:
    counted = np.ones(x.shape[:2])[..., None]
    outside = 1.0 if node.include_padding else 0.0
    return _reduced(node, x, 0.0, np.add) / _reduced(node, counted, outside, np.add)


def _reduced(
    node: Pool, x: Reals, outside: float, combine: Callable[[Reals, Reals], Reals]
) -> Reals:
    """Each window's values combined, first down its columns, then along the row."""
    window, ofmap = node.shape.window, node.shape.ofmap
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=outside)
    rows = _along(padded, window, 0, ofmap.height, combine)
    return _along(rows.swapaxes(0, 1), window, 1, ofmap.width, combine).swapaxes(0, 1)


def _along(
    x: Reals, window: Window, axis: int, count: int, combine: Callable[[Reals, Reals], Reals]
) -> Reals:
    """Along the first axis of ``x``, which is ``axis`` of ``window``."""
    stride, last = window.stride[axis], (count - 1) * window.stride[axis] + 1
    taps = [tap * window.dilation[axis] for tap in range(window.kernel[axis])]
    total = x[taps[0] : taps[0] + last : stride]
    for tap in taps[1:]:
        total = combine(total, x[tap : tap + last : stride])
    return total
