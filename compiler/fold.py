"""Fifth step, first part: a linear operator with bias and batch-norm becomes one integer layer."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.formats import accumulator_format
from arch.layers import Window
from compiler.graph import Graph, Node, Shape
from compiler.quantisation import (
    QuantisedConstant,
    expect_quantised,
    expect_real,
    is_constant,
    quantised_constant,
    signed_type,
)
from compiler.windows import sliding_window

# A bias scale may differ from the product of the scales by two float32 roundings.
_SAME_SCALE = 2.0**-22
# What stands for 1 where a layer only scales its channels: the largest, for the finest bias.
_UNIT_WEIGHT = 127


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear:
    """A convolution.

    ``weights`` is int8 or int16 [out_channels, kernel_y, kernel_x, in_channels of a group].
    ``axis`` is the one of the channels in the operator's output. ``scale`` float32 [out_channels]
    is the weights'; ``bias`` float64 [out_channels] counts units of the accumulator,
    float32(input scale * ``scale``), and is not rounded yet.
    """

    node: Node
    window: Window
    groups: int
    axis: int
    weights: NDArray[Any]
    scale: NDArray[np.float32]
    bias: NDArray[np.float64]


def read_linear(graph: Graph, node: Node, input_scale: np.float32) -> Linear:
    """A Conv, Gemm or MatMul as it stands.

    Raises ``ModelError`` if an int32 bias has a scale in which it is no whole number.
    """
    constant = expect_quantised(graph, node.input(1))
    weights = _less_zero_point(constant)
    window, axis = Window(kernel=(1, 1)), 1
    if node.operator == "Conv":
        window = sliding_window(graph, node).window
        weights = weights.reshape(*weights.shape[:2], *window.kernel)
    else:
        axis = len(graph.shape(node.output)) - 1
        weights = weights if node.integer("transB", 0) else weights.T
        weights = weights.reshape(*weights.shape, 1, 1)
    channels = weights.shape[0]
    linear = Linear(
        node=node,
        window=window,
        groups=node.integer("group", 1),
        axis=axis,
        weights=np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
        scale=np.broadcast_to(constant.scale, (channels,)).astype(np.float32),
        bias=np.zeros(channels),
    )
    if node.operator != "MatMul" and node.input(2):
        return replace(linear, bias=_units(graph, linear, node.input(2), input_scale))
    return linear


def _less_zero_point(constant: QuantisedConstant) -> NDArray[Any]:
    dtype = constant.values.dtype
    if dtype.kind == "i" and not constant.zero_point.any():
        return constant.values
    along = [1] * constant.values.ndim
    along[constant.axis] = constant.zero_point.size
    difference = constant.values.astype(np.int32) - constant.zero_point.reshape(along)
    return np.asarray(difference, signed_type(dtype))


def scale_channels(graph: Graph, node: Node, axis: int) -> Linear:
    """A depthwise 1x1 convolution that gives its input back: what ``node`` is then folded into."""
    channels = graph.shape(node.output)[axis]
    return Linear(
        node=node,
        window=Window(kernel=(1, 1)),
        groups=channels,
        axis=axis,
        weights=np.full((channels, 1, 1, 1), _UNIT_WEIGHT, np.int8),
        scale=np.full(channels, 1 / _UNIT_WEIGHT, np.float32),
        bias=np.zeros(channels),
    )


def fold(graph: Graph, linear: Linear, node: Node, input_scale: np.float32) -> Linear:
    """``linear`` followed by arithmetic with a constant, or by a BatchNormalization.

    Raises ``ModelError`` for a constant that is not one value or one for each channel, and for a
    gain that the weights cannot carry.
    """
    if node.operator == "BatchNormalization":
        return _fold_batch_norm(graph, linear, node, input_scale)
    name = next(name for name in node.inputs if is_constant(graph, name))
    _check_channels(graph, linear, node, name)
    if node.operator == "Add":
        return replace(linear, bias=linear.bias + _units(graph, linear, name, input_scale))
    constant = expect_real(graph, name).reshape(-1)
    zero, one = np.zeros(1), np.ones(1)
    if node.operator == "Sub":
        comes_first = name == node.input(0)
        gain, offset = (-one, constant) if comes_first else (one, -constant)
        return _scaled(linear, node, gain, zero, offset, input_scale)
    with np.errstate(divide="ignore"):
        gain = constant if node.operator == "Mul" else 1 / constant
    return _scaled(linear, node, gain, zero, zero, input_scale)


def integer_bias(linear: Linear, activation_bits: int) -> NDArray[np.int32] | NDArray[np.int64]:
    """The bias rounded half to even, int32, or int64 where the accumulator has more bits.

    Raises ``ModelError`` if it leaves the range of the accumulator that goes with
    ``activation_bits``.
    """
    rounded = np.rint(linear.bias)
    limits = accumulator_format(activation_bits)
    outside = linear.bias[~((rounded >= limits.minimum) & (rounded <= limits.maximum))]
    if outside.size:
        raise ModelError(
            f"{linear.node.label}: the bias must fit int{limits.bits} in units of input scale "
            f"times weight scale, got {outside[0]:g}; quantise again with larger weight scales"
        )
    return rounded.astype(np.int32) if limits.bits == 32 else rounded.astype(np.int64)


def varying_axes(shape: Shape, rank: int) -> list[int]:
    """Along which axes of a tensor of ``rank`` a constant that is broadcast to it varies."""
    aligned = (1,) * (rank - len(shape)) + shape
    return [axis for axis, size in enumerate(aligned) if size > 1]


def _check_channels(graph: Graph, linear: Linear, node: Node, name: str) -> None:
    shape, target = graph.shape(name), graph.shape(node.output)
    axes = varying_axes(shape, len(target))
    other = next(each for each in node.inputs if each != name)
    fits = graph.shape(other) == target and axes in ([], [linear.axis])
    if not fits or prod(shape) not in (1, target[linear.axis]):
        raise ModelError(
            f"{node.label}: the constant must have one value, or one for each of the "
            f"{len(linear.bias)} channels, got shape {list(shape)}; train with such a constant"
        )


def _unit(linear: Linear, input_scale: np.float32) -> NDArray[np.float64]:
    return (input_scale * linear.scale).astype(np.float64)


def _units(graph: Graph, linear: Linear, name: str, input_scale: np.float32) -> NDArray[np.float64]:
    """A constant bias in units of the accumulator, int32 ones exactly."""
    unit = _unit(linear, input_scale)
    quantised = quantised_constant(graph, name)
    if quantised is None or quantised.values.dtype != np.int32:
        real = expect_real(graph, name)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.asarray(real.reshape(-1) / unit, np.float64)
    values = quantised.values.reshape(-1).astype(np.float64) - quantised.zero_point
    ratio = quantised.scale.astype(np.float64) / unit
    ratio = np.where(np.abs(ratio - 1) <= _SAME_SCALE, 1.0, ratio)
    bias = values * ratio
    if np.any(bias != np.rint(bias)):
        raise ModelError(
            f"{linear.node.label}: the scale of an int32 bias must be input scale times weight "
            f"scale, got {ratio[ratio != 1][0]:g} times that; quantise the model again"
        )
    return np.asarray(bias, np.float64)


def _fold_batch_norm(graph: Graph, linear: Linear, node: Node, input_scale: np.float32) -> Linear:
    gamma, beta, mean, variance = (expect_real(graph, name) for name in node.inputs[1:5])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = gamma / np.sqrt(variance + node.number("epsilon", 1e-5))
    unusable = gain[~np.isfinite(gain)]
    if unusable.size:
        raise ModelError(
            f"{node.label}: scale / sqrt(variance + epsilon) must be finite, got {unusable[0]:g}; "
            "train again with a positive epsilon"
        )
    return _scaled(linear, node, gain, mean, beta, input_scale)


def _scaled(
    linear: Linear,
    node: Node,
    gain: NDArray[np.float64],
    mean: NDArray[np.float64],
    offset: NDArray[np.float64],
    input_scale: np.float32,
) -> Linear:
    """(y - mean) * gain + offset: the gain goes into the weights' scale, its sign into the weights,
    the rest into the bias."""
    gain = np.broadcast_to(gain, linear.bias.shape)
    unusable = gain[~np.isfinite(gain)]
    if unusable.size:
        raise ModelError(
            f"{node.label}: a gain must be finite, got {unusable[0]:g}; train with other constants"
        )
    weights = linear.weights * np.sign(gain).astype(np.int32)[:, None, None, None]
    limits = np.iinfo(linear.weights.dtype)
    if weights.max(initial=0) > limits.max:
        raise ModelError(
            f"{node.label}: a negative gain needs weights above {limits.min}, got {limits.min}; "
            "run onnxruntime.quantization.preprocess before quantising, which folds it"
        )
    real_bias = (linear.bias * _unit(linear, input_scale) - mean) * gain + offset
    # A gain of 0 leaves the bias only; the weights are 0 then, and their scale is free.
    magnitude = np.where(gain == 0, 1.0, np.abs(gain))
    scaled = replace(
        linear,
        weights=weights.astype(linear.weights.dtype),
        scale=(linear.scale * magnitude).astype(np.float32),
    )
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return replace(scaled, bias=real_bias / _unit(scaled, input_scale))
