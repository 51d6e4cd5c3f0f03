"""Single-layer ONNX models of quantised layers, for other implementations to run.

Model inputs and outputs are named ``x`` and ``y``, NCHW with one image, or [1, features] in the
Gemm form.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.layers import FeatureMap, Window
from sim.golden.requantise import conv_multiplier
from sim.network import Conv, GlobalAveragePool, MaxPool, TensorSpec

OPSET = 19
IR_VERSION = 10
MICROSOFT = "com.microsoft"


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
    graph = _GraphBuilder()
    tensors = [
        *("x", *graph.scale_and_zero_point("x", layer.input)),
        graph.constant("w", _oihw(layer)),
        graph.constant("w_scale", weight_scales(layer)),
        graph.constant("w_zero_point", np.zeros(len(layer.bias), np.int8)),
        *graph.scale_and_zero_point("y", layer.output),
        graph.constant("bias", layer.bias),
    ]
    graph.add("QLinearConv", tensors, "unclipped", _window(layer.shape.window))
    graph.clip("unclipped", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


def qdq_conv_model(layer: Conv) -> onnx.ModelProto:
    """Conv on dequantised input, weights and bias, then QuantizeLinear, then Clip."""
    graph = _GraphBuilder()
    _add_dequantised_operands(graph, layer, _oihw(layer))
    window = _window(layer.shape.window)
    graph.add("Conv", ["x_real", "w_real", "bias_real"], "y_real", window)
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


def qdq_gemm_model(layer: Conv) -> onnx.ModelProto:
    """The same for a fully connected layer: Gemm with transposed weights."""
    graph = _GraphBuilder()
    _add_dequantised_operands(graph, layer, layer.weights[:, 0, 0, :])
    graph.add("Gemm", ["x_real", "w_real", "bias_real"], "y_real", {"transB": 1})
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(_vector_value("x", layer.input), _vector_value("y", layer.output))


def qdq_max_pool_model(layer: MaxPool) -> onnx.ModelProto:
    """MaxPool between DequantizeLinear and QuantizeLinear, then Clip."""
    graph = _GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.add("MaxPool", ["x_real"], "y_real", _window(layer.shape.window))
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


def qdq_explicitly_padded_max_pool_model(layer: MaxPool) -> onnx.ModelProto:
    """The same, padded by a Pad operator with minus infinity instead of MaxPool's attribute.

    ReferenceEvaluator (onnx 1.23) reads the attribute in a wrong order when every stride and
    dilation is 1: as top, bottom, left, right.
    """
    graph = _GraphBuilder()
    graph.dequantise("x", layer.input)
    top, left, bottom, right = layer.shape.window.padding
    pads = graph.constant("pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    absent = graph.constant("absent", np.asarray(-np.inf, np.float32))
    graph.add("Pad", ["x_real", pads, absent], "x_padded")
    graph.add(
        "MaxPool",
        ["x_padded"],
        "y_real",
        _window(replace(layer.shape.window, padding=(0, 0, 0, 0))),
    )
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


def qdq_global_average_model(layer: GlobalAveragePool) -> onnx.ModelProto:
    """GlobalAveragePool between DequantizeLinear and QuantizeLinear, then Clip."""
    graph = _GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.add("GlobalAveragePool", ["x_real"], "y_real")
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


def qlinear_global_average_model(layer: GlobalAveragePool) -> onnx.ModelProto:
    """ONNX Runtime's own QLinearGlobalAveragePool, then Clip."""
    graph = _GraphBuilder()
    tensors = [
        *("x", *graph.scale_and_zero_point("x", layer.input)),
        *graph.scale_and_zero_point("y", layer.output),
    ]
    graph.add(
        "QLinearGlobalAveragePool", tensors, "unclipped", {"channels_last": 0}, domain=MICROSOFT
    )
    graph.clip("unclipped", layer.output, layer.clamp)
    return graph.model(_map_value("x", layer.input), _map_value("y", layer.output))


class _GraphBuilder:
    """Collects nodes and constants of one model."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def scale_and_zero_point(self, name: str, spec: TensorSpec) -> tuple[str, str]:
        scale = self.constant(f"{name}_scale", np.asarray(spec.scale, np.float32))
        zero_point = np.asarray(spec.zero_point, spec.dtype)
        return scale, self.constant(f"{name}_zero_point", zero_point)

    def add(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        attributes: Mapping[str, int | list[int]] | None = None,
        domain: str = "",
    ) -> None:
        node = helper.make_node(operator, inputs, [output], domain=domain)
        for name, value in (attributes or {}).items():
            node.attribute.append(helper.make_attribute(name, value))
        self._nodes.append(node)

    def dequantise(self, name: str, spec: TensorSpec) -> None:
        inputs = [name, *self.scale_and_zero_point(name, spec)]
        self.add("DequantizeLinear", inputs, f"{name}_real")

    def quantise(self, name: str, spec: TensorSpec, clamp: tuple[int, int]) -> None:
        inputs = [name, *self.scale_and_zero_point("y", spec)]
        self.add("QuantizeLinear", inputs, "unclipped")
        self.clip("unclipped", spec, clamp)

    def clip(self, name: str, spec: TensorSpec, clamp: tuple[int, int]) -> None:
        low = self.constant("clamp_low", np.asarray(clamp[0], spec.dtype))
        high = self.constant("clamp_high", np.asarray(clamp[1], spec.dtype))
        self.add("Clip", [name, low, high], "y")

    def model(self, x: onnx.ValueInfoProto, y: onnx.ValueInfoProto) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "layer", [x], [y], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _add_dequantised_operands(graph: _GraphBuilder, layer: Conv, weights: NDArray[np.int8]) -> None:
    graph.dequantise("x", layer.input)
    scales = weight_scales(layer)
    _add_dequantised_constant(graph, "w", weights, scales)
    _add_dequantised_constant(graph, "bias", layer.bias, scales * layer.input.scale)


def _add_dequantised_constant(
    graph: _GraphBuilder,
    name: str,
    values: NDArray[np.int8] | NDArray[np.int32],
    scales: NDArray[np.float32],
) -> None:
    inputs = [
        graph.constant(name, values),
        graph.constant(f"{name}_scale", scales),
        graph.constant(f"{name}_zero_point", np.zeros(len(scales), values.dtype)),
    ]
    graph.add("DequantizeLinear", inputs, f"{name}_real", {"axis": 0})


def _oihw(layer: Conv) -> NDArray[np.int8]:
    return np.ascontiguousarray(layer.weights.transpose(0, 3, 1, 2))


def _window(window: Window) -> Mapping[str, list[int]]:
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "dilations": list(window.dilation),
        "pads": list(window.padding),
    }


def _map_value(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _element_type(spec), _nchw(spec.shape))


def _vector_value(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _element_type(spec), [1, spec.shape.channels])


def _nchw(shape: FeatureMap) -> list[int]:
    return [1, shape.channels, shape.height, shape.width]


def _element_type(spec: TensorSpec) -> int:
    return int(TensorProto.INT8 if spec.signed else TensorProto.UINT8)
