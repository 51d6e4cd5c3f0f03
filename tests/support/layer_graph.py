"""Collects the nodes of a single-layer ONNX model.

Model inputs are named ``x`` and ``other``, its output ``y``: NCHW with one image.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.layers import FeatureMap, Window
from sim.network import TensorSpec

OPSET = 19
WIDE_OPSET = 21
"""The first that has 16 bits."""
IR_VERSION = 10
MICROSOFT = "com.microsoft"
Attributes = Mapping[str, int | list[int]]


class GraphBuilder:
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
        attributes: Attributes | None = None,
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
        if spec.bits == 16:
            # ONNX Runtime's Clip knows no 16 bits: the clamp is left to who runs the model.
            self.add("QuantizeLinear", inputs, "y")
            return
        self.add("QuantizeLinear", inputs, "unclipped")
        self.clip("unclipped", spec, clamp)

    def clip(self, name: str, spec: TensorSpec, clamp: tuple[int, int]) -> None:
        low = self.constant("clamp_low", np.asarray(clamp[0], spec.dtype))
        high = self.constant("clamp_high", np.asarray(clamp[1], spec.dtype))
        self.add("Clip", [name, low, high], "y")

    def model(self, *values: onnx.ValueInfoProto) -> onnx.ModelProto:
        """The model of these inputs and, last, its output."""
        *inputs, y = values
        graph = helper.make_graph(self._nodes, "layer", inputs, [y], self._constants)
        wide = y.type.tensor_type.elem_type in (TensorProto.INT16, TensorProto.UINT16)
        opset = WIDE_OPSET if wide else OPSET
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def window_attributes(window: Window) -> dict[str, int | list[int]]:
    """The attributes of a convolution or pooling."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "dilations": list(window.dilation),
        "pads": list(window.padding),
    }


def map_value(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    """A map [1, C, H, W] as a model's input or output."""
    return helper.make_tensor_value_info(name, _element_type(spec), _nchw(spec.shape))


def vector_value(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    """A map of one pixel as a vector [1, C]."""
    return helper.make_tensor_value_info(name, _element_type(spec), [1, spec.shape.channels])


def _nchw(shape: FeatureMap) -> list[int]:
    return [1, shape.channels, shape.height, shape.width]


def _element_type(spec: TensorSpec) -> int:
    return int(helper.np_dtype_to_tensor_dtype(spec.dtype))
