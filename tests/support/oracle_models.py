"""Single-layer ONNX models of convolutions and poolings, for other implementations to run.

Model inputs and outputs are named ``x`` and ``y``, NCHW with one image, or [1, features] in the
Gemm form.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sim.multipliers import conv_multiplier
from sim.network import AveragePool, Conv, MaxPool
from tests.support.layer_graph import (
    MICROSOFT,
    Attributes,
    GraphBuilder,
    map_value,
    vector_value,
    window_attributes,
)


def weight_scales(layer: Conv) -> NDArray[np.float32]:
    """Weight scales sw for which float32(float32(sx * sw) / sy) is the layer's multiplier.

    Raises ``ValueError`` where none is found within a few float32 steps of the quotient.
    """
    source, output = layer.input.scale, layer.output.scale
    scales = np.asarray(layer.multiplier.astype(np.float64) * output / source, np.float32)
    for _ in range(4):
        scales = np.nextafter(scales, np.float32(0))
    for _ in range(9):
        low = conv_multiplier(source, scales, output) < layer.multiplier
        scales = np.where(low, np.nextafter(scales, np.float32(np.inf)), scales)
    if not np.array_equal(conv_multiplier(source, scales, output), layer.multiplier):
        raise ValueError(f"layer {layer.name}: its multipliers come from no float32 weight scales")
    return scales


def qlinear_conv_model(layer: Conv) -> onnx.ModelProto:
    """QLinearConv, then Clip to the layer's clamp."""
    graph = GraphBuilder()
    tensors = [
        *("x", *graph.scale_and_zero_point("x", layer.input)),
        graph.constant("w", _oihw(layer)),
        graph.constant("w_scale", weight_scales(layer)),
        graph.constant("w_zero_point", np.zeros(len(layer.bias), np.int8)),
        *graph.scale_and_zero_point("y", layer.output),
        graph.constant("bias", layer.bias),
    ]
    graph.add("QLinearConv", tensors, "unclipped", _conv_attributes(layer))
    graph.clip("unclipped", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qdq_conv_model(layer: Conv) -> onnx.ModelProto:
    """Conv on dequantised input, weights and bias, then QuantizeLinear, then Clip."""
    graph = GraphBuilder()
    _add_dequantised_operands(graph, layer, _oihw(layer))
    graph.add("Conv", ["x_real", "w_real", "bias_real"], "y_real", _conv_attributes(layer))
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qdq_gemm_model(layer: Conv) -> onnx.ModelProto:
    """The same for a fully connected layer: Gemm with transposed weights."""
    graph = GraphBuilder()
    _add_dequantised_operands(graph, layer, layer.weights[:, 0, 0, :])
    graph.add("Gemm", ["x_real", "w_real", "bias_real"], "y_real", {"transB": 1})
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(vector_value("x", layer.input), vector_value("y", layer.output))


def qdq_max_pool_model(layer: MaxPool) -> onnx.ModelProto:
    """MaxPool between DequantizeLinear and QuantizeLinear, then Clip."""
    graph = GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.add("MaxPool", ["x_real"], "y_real", window_attributes(layer.shape.window))
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qdq_explicitly_padded_max_pool_model(layer: MaxPool) -> onnx.ModelProto:
    """The same, padded by a Pad operator with minus infinity instead of MaxPool's attribute.

    ReferenceEvaluator (onnx 1.23) reads the attribute in a wrong order when every stride and
    dilation is 1: as top, bottom, left, right.
    """
    graph = GraphBuilder()
    graph.dequantise("x", layer.input)
    top, left, bottom, right = layer.shape.window.padding
    pads = graph.constant("pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    absent = graph.constant("absent", np.asarray(-np.inf, np.float32))
    graph.add("Pad", ["x_real", pads, absent], "x_padded")
    graph.add(
        "MaxPool",
        ["x_padded"],
        "y_real",
        window_attributes(replace(layer.shape.window, padding=(0, 0, 0, 0))),
    )
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qdq_average_model(layer: AveragePool) -> onnx.ModelProto:
    """AveragePool between DequantizeLinear and QuantizeLinear, then Clip."""
    graph = GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.add("AveragePool", ["x_real"], "y_real", _average_attributes(layer))
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qlinear_average_model(layer: AveragePool) -> onnx.ModelProto:
    """ONNX Runtime's own QLinearAveragePool, which knows no dilations, then Clip."""
    return _qlinear_pool_model("QLinearAveragePool", layer, _average_attributes(layer))


def qdq_global_average_model(layer: AveragePool) -> onnx.ModelProto:
    """GlobalAveragePool between DequantizeLinear and QuantizeLinear, then Clip."""
    graph = GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.add("GlobalAveragePool", ["x_real"], "y_real")
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def qlinear_global_average_model(layer: AveragePool) -> onnx.ModelProto:
    """ONNX Runtime's own QLinearGlobalAveragePool, then Clip."""
    return _qlinear_pool_model("QLinearGlobalAveragePool", layer, {})


def _qlinear_pool_model(
    operator: str, layer: AveragePool, attributes: Attributes
) -> onnx.ModelProto:
    graph = GraphBuilder()
    tensors = [
        *("x", *graph.scale_and_zero_point("x", layer.input)),
        *graph.scale_and_zero_point("y", layer.output),
    ]
    graph.add(operator, tensors, "unclipped", {"channels_last": 0, **attributes}, MICROSOFT)
    graph.clip("unclipped", layer.output, layer.clamp)
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def _conv_attributes(layer: Conv) -> Attributes:
    return {"group": layer.shape.groups, **window_attributes(layer.shape.window)}


def _average_attributes(layer: AveragePool) -> Attributes:
    """The declared padding is less what hangs over: ceil_mode brings that back."""
    top, left, bottom, right = layer.shape.window.padding
    declared = (top, left, bottom - layer.overhang[0], right - layer.overhang[1])
    attributes = window_attributes(replace(layer.shape.window, padding=declared))
    if layer.shape.window.dilation == (1, 1):
        # ONNX Runtime would copy the attribute to its integer operator, which does not know it.
        del attributes["dilations"]
    attributes["ceil_mode"] = int(layer.overhang != (0, 0))
    attributes["count_include_pad"] = int(layer.include_padding)
    return attributes


def _add_dequantised_operands(graph: GraphBuilder, layer: Conv, weights: NDArray[Any]) -> None:
    graph.dequantise("x", layer.input)
    scales = weight_scales(layer)
    _add_dequantised_constant(graph, "w", weights, scales)
    unit = scales * layer.input.scale
    if layer.input.bits == 16:
        # DequantizeLinear knows no integers beyond 32 bits.
        graph.constant("bias_real", layer.bias.astype(np.float32) * unit)
    else:
        _add_dequantised_constant(graph, "bias", layer.bias, unit)


def _add_dequantised_constant(
    graph: GraphBuilder,
    name: str,
    values: NDArray[Any],
    scales: NDArray[np.float32],
) -> None:
    inputs = [
        graph.constant(name, values),
        graph.constant(f"{name}_scale", scales),
        graph.constant(f"{name}_zero_point", np.zeros(len(scales), values.dtype)),
    ]
    graph.add("DequantizeLinear", inputs, f"{name}_real", {"axis": 0})


def _oihw(layer: Conv) -> NDArray[Any]:
    return np.ascontiguousarray(layer.weights.transpose(0, 3, 1, 2))
