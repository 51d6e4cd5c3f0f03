"""Second step: a checked ONNX model becomes a small typed graph, every shape known."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.errors import ModelError
from compiler.names import node_label, printable

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | NDArray[Any]
Shape = tuple[int, ...]

ONNX_DOMAINS = ("", "ai.onnx")
_CONSTANT_TYPES = {
    TensorProto.FLOAT,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.BOOL,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator; a missing optional input or output has the empty name."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]

    @property
    def label(self) -> str:
        """How errors call the node."""
        return node_label(self.operator, self.name, self.outputs)

    @property
    def output(self) -> str:
        """The first output."""
        return self.outputs[0]

    def input(self, index: int) -> str:
        """Name of the input at ``index``, empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, attribute: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(attribute, default)
        return value if isinstance(value, int) else default

    def number(self, attribute: str, default: float) -> float:
        """A floating point attribute."""
        value = self.attributes.get(attribute, default)
        return value if isinstance(value, float) else default

    def text(self, attribute: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(attribute, default)
        return value if isinstance(value, str) else default

    def integers(self, attribute: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        value = self.attributes.get(attribute, default)
        return tuple(map(int, value)) if isinstance(value, tuple) else default


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes in topological order, between one input and the outputs.

    ``opset`` is the version of ONNX that says what the operators mean. ``shapes`` and ``types``
    (onnx ``TensorProto`` data types) know every tensor that is no constant. ``outputs`` gives for
    each output of the model the tensor that it shows.
    """

    name: str
    opset: int
    nodes: tuple[Node, ...]
    input: str
    outputs: dict[str, str]
    shapes: dict[str, Shape]
    types: dict[str, int]
    constants: dict[str, NDArray[Any]]

    @cached_property
    def _producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def _consumers(self) -> dict[str, list[Node]]:
        consumers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                consumers[name].append(node)
        return consumers

    def producer(self, tensor: str) -> Node | None:
        """The node that makes ``tensor``; None for the graph's input and constants."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read ``tensor``, once for each input that does."""
        return tuple(self._consumers.get(tensor, ()))

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor or a constant."""
        if tensor in self.constants:
            return self.constants[tensor].shape
        return self.shapes[tensor]


def build_graph(model: onnx.ModelProto) -> Graph:
    """The graph of a model whose shapes were inferred.

    Raises ``ModelError`` if it has not exactly one input, or an unsupported constant.
    """
    graph = model.graph
    constants = {tensor.name: constant_array(tensor) for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"a model must have one input, got {len(inputs)}; "
            "split the model, or turn the other inputs into initialisers"
        )
    infos = {item.name: item for item in (*inputs, *graph.value_info, *graph.output)}
    tensors = {name: item.type.tensor_type for name, item in infos.items()}
    return Graph(
        name=graph.name,
        opset=next(item.version for item in model.opset_import if item.domain in ONNX_DOMAINS),
        nodes=tuple(_node(node) for node in graph.node),
        input=inputs[0].name,
        outputs={item.name: item.name for item in graph.output},
        shapes={
            name: tuple(dim.dim_value for dim in tensor.shape.dim)
            for name, tensor in tensors.items()
        },
        types={name: tensor.elem_type for name, tensor in tensors.items()},
        constants=constants,
    )


def _node(node: onnx.NodeProto) -> Node:
    return Node(
        name=node.name,
        operator=node.op_type,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={item.name: _attribute(item) for item in node.attribute},
    )


def _attribute(item: onnx.AttributeProto) -> Attribute:
    value = helper.get_attribute_value(item)
    if isinstance(value, TensorProto):
        return constant_array(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, int | float):
        return value
    return tuple(value)


def constant_array(tensor: TensorProto) -> NDArray[Any]:
    """The numbers of a tensor whose claimed sizes were capped when the file was opened.

    Raises ``ModelError`` for another type than float32, integers and booleans, or too few numbers.
    """
    shown = printable(tensor.name)
    if tensor.data_type not in _CONSTANT_TYPES:
        supported = ", ".join(sorted(TensorProto.DataType.Name(item) for item in _CONSTANT_TYPES))
        raise ModelError(
            f"constant '{shown}' must be one of {supported}, got "
            f"{type_name(tensor.data_type)}; quantise to int8 from a float32 model"
        )
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except ValueError as error:
        raise ModelError(
            f"constant '{shown}' must hold as many numbers as its shape {list(tensor.dims)} says; "
            "export the model again"
        ) from error


def type_name(data_type: int) -> str:
    """How ONNX calls an element type; the number of one that it has not."""
    names: dict[int, str] = {value: name for name, value in TensorProto.DataType.items()}
    return names.get(data_type, str(data_type))
