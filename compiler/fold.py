"""Fifth step, first half: a linear operator with its bias and batch-norm becomes one int8 layer."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.layers import Window
from compiler.graph import Graph, Node
from compiler.quantisation import (
    expect_quantised,
    expect_real,
    quantised_constant,
    real_constant,
)
from compiler.windows import window_of

# A bias scale may differ from the product of the scales by two float32 roundings.
_SAME_SCALE = 2.0**-22


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear:
    """A convolution: ``weights`` int8 [out_channels, kernel_y, kernel_x, in_channels].

    ``scale`` float32 [out_channels] is the weights'; ``bias`` float64 [out_channels] counts units
    of the accumulator, float32(input scale * ``scale``), and is not rounded yet.
    """

    node: Node
    window: Window
    weights: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float64]


def read_linear(graph: Graph, node: Node, input_scale: np.float32) -> Linear:
    """A Conv, Gemm or MatMul as it stands.

    Raises ``ModelError`` if an int32 bias has a scale in which it is no whole number.
    """
    constant = expect_quantised(graph, node.input(1))
    weights = constant.values
    if node.operator == "Conv":
        window = window_of(graph, node)
    else:
        window = Window(kernel=(1, 1))
        weights = weights if node.integer("transB", 0) else weights.T
        weights = weights.reshape(*weights.shape, 1, 1)
    channels = weights.shape[0]
    scale = np.broadcast_to(constant.scale, (channels,)).astype(np.float32)
    linear = Linear(
        node=node,
        window=window,
        weights=np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
        scale=scale,
        bias=np.zeros(channels),
    )
    if node.operator != "MatMul" and node.input(2):
        linear = replace(linear, bias=_bias(graph, linear, node.input(2), input_scale))
    return linear


def fold(graph: Graph, linear: Linear, node: Node, input_scale: np.float32) -> Linear:
    """``linear`` followed by an Add of a constant or a BatchNormalization."""
    if node.operator == "Add":
        name = next(name for name in node.inputs if real_constant(graph, name) is not None)
        bias = linear.bias + _bias(graph, linear, name, input_scale)
        return replace(linear, bias=bias)
    return _fold_batch_norm(graph, linear, node, input_scale)


def integer_bias(linear: Linear) -> NDArray[np.int32]:
    """The bias rounded half to even; raises ``ModelError`` if it leaves the int32 range."""
    rounded = np.rint(linear.bias)
    limits = np.iinfo(np.int32)
    outside = linear.bias[~((rounded >= limits.min) & (rounded <= limits.max))]
    if outside.size:
        raise ModelError(
            f"{linear.node.label}: the bias must fit int32 in units of input scale times weight "
            f"scale, got {outside[0]:g}; quantise again with larger weight scales"
        )
    return rounded.astype(np.int32)


def _unit(linear: Linear, input_scale: np.float32) -> NDArray[np.float64]:
    return (input_scale * linear.scale).astype(np.float64)


def _bias(graph: Graph, linear: Linear, name: str, input_scale: np.float32) -> NDArray[np.float64]:
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
    """The gain goes into the weights' scale, its sign into the weights, the rest into the bias."""
    gamma, beta, mean, variance = (expect_real(graph, name) for name in node.inputs[1:5])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = gamma / np.sqrt(variance + node.number("epsilon", 1e-5))
    unusable = gain[~np.isfinite(gain)]
    if unusable.size:
        raise ModelError(
            f"{node.label}: scale / sqrt(variance + epsilon) must be finite, got {unusable[0]:g}; "
            "train again with a positive epsilon"
        )
    signs = np.sign(gain).astype(np.int16)[:, None, None, None]
    weights = linear.weights * signs
    if weights.max(initial=0) > np.iinfo(np.int8).max:
        raise ModelError(
            f"{node.label}: a negative gain needs weights above -128, got -128; "
            "run onnxruntime.quantization.preprocess before quantising, which folds it"
        )
    real_bias = (linear.bias * _unit(linear, input_scale) - mean) * gain + beta
    # A gain of 0 leaves the bias only; the weights are 0 then, and their scale is free.
    magnitude = np.where(gain == 0, 1.0, np.abs(gain))
    scale = (linear.scale * magnitude).astype(np.float32)
    folded = replace(linear, weights=weights.astype(np.int8), scale=scale)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return replace(folded, bias=real_bias / _unit(folded, input_scale))
