"""Built-in networks as ONNX models of opset 17: quantised in QDQ form, or float."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.layers import FeatureMap, Window
from tilewright.networks.nodes import (
    Activation,
    Concat,
    Elementwise,
    Function,
    Node,
    Normalise,
    Offsets,
    Operation,
    Pool,
    PoolKind,
    Role,
    Shuffle,
    Slice,
    Tensor,
    Weighted,
)
from tilewright.networks.ranges import Quantisation
from tilewright.networks.synthetic import Synthetic

OPSET = 17
_IR_VERSION = 8
_OUTPUT = "output"

_FUNCTIONS: dict[Function, tuple[str, dict[str, float]]] = {
    Function.RELU: ("Relu", {}),
    Function.RELU6: ("Clip", {}),
    Function.SIGMOID: ("Sigmoid", {}),
    Function.TANH: ("Tanh", {}),
    Function.HARD_SIGMOID: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    Function.HARD_SWISH: ("HardSwish", {}),
    Function.NEGATE: ("Neg", {}),
}


def quantised_model(network: Synthetic) -> onnx.ModelProto:
    """The network with int8 weights per channel and uint8 maps, each behind Q and DQ."""
    return _Emitter(network, quantised=True).model()


def float_model(network: Synthetic) -> onnx.ModelProto:
    """The network with the same weights as real numbers."""
    return _Emitter(network, quantised=False).model()


class _Emitter:
    """Nodes and constants of one model, in order of appearance."""

    def __init__(self, network: Synthetic, *, quantised: bool) -> None:
        self._network = network
        self._quantised = quantised
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        # Under which name a tensor is read: its own, or that of its dequantised form.
        self._read: dict[str, str] = {}
        # Tensors that are vectors [1, F], as fully connected layers make them.
        self._vectors: set[str] = set()

    def model(self) -> onnx.ModelProto:
        graph = self._network.graph
        self._finish(graph.input)
        for node in graph.nodes:
            self._emit(node)
        # The last DequantizeLinear, or operator, gives the result.
        self._nodes[-1].output[0] = _OUTPUT
        proto = helper.make_graph(
            self._nodes,
            graph.name,
            [self._info(graph.input.name, graph.input)],
            [self._info(_OUTPUT, graph.output)],
            list(self._constants.values()),
            doc_string=f"synthetic weights, seed {self._network.seed}",
        )
        return helper.make_model(
            proto,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="tilewright",
        )

    def _info(self, name: str, tensor: Tensor) -> onnx.ValueInfoProto:
        shape = [1, tensor.shape.channels]
        if tensor.name not in self._vectors:
            shape += [tensor.shape.height, tensor.shape.width]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def _emit(self, node: Node) -> None:
        inputs = [self._read[tensor.name] for tensor in node.inputs]
        if self._vectors.issuperset(tensor.name for tensor in node.inputs):
            self._vectors.add(node.name)
        match node:
            case Weighted(role=Role.FULLY_CONNECTED):
                self._linear(node)
            case Weighted():
                attributes = {"group": node.shape.groups, **_window(node.shape.window)}
                self._node("Conv", [*inputs, *self._weights(node)], node.name, **attributes)
            case Activation() | Elementwise() | Normalise():
                self._pointwise(node)
            case Pool():
                self._pool(node)
            case Concat():
                self._node("Concat", inputs, node.name, axis=1)
            case Slice():
                self._slice(node)
            case Shuffle():
                self._shuffle(node)
            case _:
                raise TypeError(f"node {node.name}: no rule for {type(node).__name__}")
        self._finish(node.output)

    def _pointwise(self, node: Activation | Elementwise | Normalise) -> None:
        inputs = [self._read[tensor.name] for tensor in node.inputs]
        if isinstance(node, Activation):
            operator, numbers = _FUNCTIONS[node.function]
            bounds = self._bounds() if node.function is Function.RELU6 else []
            self._node(operator, [*inputs, *bounds], node.name, **numbers)
        elif isinstance(node, Elementwise):
            operator = "Add" if node.operation is Operation.ADD else "Mul"
            self._node(operator, inputs, node.name)
        else:
            numbers = {"alpha": node.alpha, "beta": node.beta, "bias": node.bias}
            self._node("LRN", inputs, node.name, size=node.size, **numbers)

    def _linear(self, node: Weighted) -> None:
        (x,) = node.inputs
        name = self._read[x.name]
        if x.name not in self._vectors:
            name = self._node("Flatten", [name], f"{node.name}.flat", axis=1)
            if self._is_quantised(x):
                name = self._requantise(name, self._network.quantisations[x.name])
        self._vectors.add(node.name)
        self._node("Gemm", [name, *self._weights(node)], node.name, transB=1)

    def _pool(self, node: Pool) -> None:
        (x,) = node.inputs
        inputs, window = [self._read[x.name]], node.shape.window
        attributes: dict[str, Any] = _window(window)
        if node.kind is PoolKind.MAX:
            self._node("MaxPool", inputs, node.name, **attributes)
        elif window.kernel == (x.shape.height, x.shape.width) and not any(window.padding):
            self._node("GlobalAveragePool", inputs, node.name)
        else:
            del attributes["dilations"]  # which averages have from opset 19 on
            attributes["count_include_pad"] = int(node.include_padding)
            self._node("AveragePool", inputs, node.name, **attributes)

    def _slice(self, node: Slice) -> None:
        """Only along the axes that it cuts; they are in ONNX's order: channel, y, x."""
        (x,) = node.inputs
        y, left, channel = node.start
        starts = (channel, y, left)
        sizes, wholes = _chw(node.output.shape), _chw(x.shape)
        axes = [axis for axis in range(3) if sizes[axis] != wholes[axis]]
        constants = {
            "starts": [starts[axis] for axis in axes],
            "ends": [starts[axis] + sizes[axis] for axis in axes],
            "axes": [axis + 1 for axis in axes],
        }
        names = [self._constant(f"{node.name}.{key}", v, np.int64) for key, v in constants.items()]
        self._node("Slice", [self._read[x.name], *names], node.name)

    def _shuffle(self, node: Shuffle) -> None:
        (x,) = node.inputs
        channels, height, width = _chw(x.shape)
        apart = [1, node.groups, channels // node.groups, height, width]
        first = self._constant(f"{node.name}.apart", apart, np.int64)
        last = self._constant(f"{node.name}.together", [1, channels, height, width], np.int64)
        split = self._node("Reshape", [self._read[x.name], first], f"{node.name}.split")
        dealt = self._node("Transpose", [split], f"{node.name}.dealt", perm=[0, 2, 1, 3, 4])
        self._node("Reshape", [dealt, last], node.name)

    def _weights(self, node: Weighted) -> list[str]:
        """The names of the layer's weights and, if it has one, bias, in real values."""
        made = self._network.weights[node.name]
        values = made.values.transpose(0, 3, 1, 2)
        if node.role is Role.FULLY_CONNECTED:
            values = values.reshape(values.shape[:2])
        parameters: dict[str, tuple[NDArray[Any], NDArray[np.float32]]]
        parameters = {"weight": (values, made.scale)}
        if node.offsets is not Offsets.NONE:
            parameters["bias"] = (made.bias, made.unit)
        return [
            self._parameter(f"{node.name}.{key}", values, scale)
            for key, (values, scale) in parameters.items()
        ]

    def _parameter(self, name: str, values: NDArray[Any], scale: NDArray[np.float32]) -> str:
        """Values with one scale for each element of their first axis."""
        if not self._quantised:
            along = scale.reshape(-1, *[1] * (values.ndim - 1))
            return self._constant(name, values.astype(np.float32) * along, np.float32)
        inputs = [
            self._constant(f"{name}.q", values, values.dtype),
            self._constant(f"{name}.scale", scale, np.float32),
            self._constant(f"{name}.zero_point", np.zeros(len(scale)), values.dtype),
        ]
        return self._node("DequantizeLinear", inputs, name, axis=0)

    def _bounds(self) -> list[str]:
        return [
            self._constant(f"relu6.{key}", v, np.float32) for key, v in (("min", 0), ("max", 6))
        ]

    def _finish(self, tensor: Tensor) -> None:
        """Quantise the map, if it is to be."""
        self._read[tensor.name] = tensor.name
        if self._is_quantised(tensor):
            quantisation = self._network.quantisations[tensor.name]
            self._read[tensor.name] = self._requantise(tensor.name, quantisation)

    def _requantise(self, name: str, quantisation: Quantisation) -> str:
        """What ``name`` is after QuantizeLinear and DequantizeLinear."""
        parameters = [
            self._constant(f"{name}.scale", quantisation.scale, np.float32),
            self._constant(f"{name}.zero_point", quantisation.zero_point, np.uint8),
        ]
        quantised = self._node("QuantizeLinear", [name, *parameters], f"{name}.q")
        return self._node("DequantizeLinear", [quantised, *parameters], f"{name}.dq")

    def _is_quantised(self, tensor: Tensor) -> bool:
        return self._quantised and tensor.name in self._network.quantisations

    def _constant(self, name: str, values: Any, dtype: Any) -> str:
        array = (
            np.ascontiguousarray(values, dtype) if np.ndim(values) else np.asarray(values, dtype)
        )
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def _node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node whose output bears its name."""
        self._nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name


def _chw(shape: FeatureMap) -> tuple[int, int, int]:
    return shape.channels, shape.height, shape.width


def _window(window: Window) -> dict[str, list[int]]:
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "dilations": list(window.dilation),
        "pads": list(window.padding),
    }
