"""Fifth step: operators that the host runs become small ONNX models of the original nodes.

Such a model begins and, between two maps, also ends with the map as it lies in memory: what brings
it into the order of ONNX and back, and what dequantises and quantises it, are part of the model.
"""

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from arch.errors import ModelError
from compiler.graph import Graph, Node
from compiler.integer_operators import MICROSOFT
from compiler.layout import Layout
from compiler.onnx_file import first_line
from compiler.operators import HOST
from compiler.segments import Step
from compiler.values import Value
from sim.host import RUNTIME_ERRORS, run_model
from sim.network import HostResult, HostStep, TensorSpec

# The file format of onnx 1.13, which every opset can be written in.
_IR_VERSION = 8
_NONE: Mapping[str, object] = MappingProxyType({})


def host_step(graph: Graph, node: Node, source: Value, output: TensorSpec, name: str) -> HostStep:
    """A node between two maps of one shape; ``output`` lies in memory as ``source``.

    Raises ``ModelError`` if ONNX Runtime cannot run it.
    """
    model = _HostModel(graph, source)
    model.node(node, node.output)
    model.quantise(output)
    step = HostStep(
        name=name,
        input=source.tensor,
        output=output,
        operator=node.operator,
        model=model.bytes(_elements(output), _map_sizes(output)),
    )
    _try(step, node)
    return step


def host_result(graph: Graph, steps: Sequence[Step], source: Value, name: str) -> HostResult:
    """A chain of nodes from a map to an output of the model.

    Raises ``ModelError`` if ONNX Runtime cannot run it.
    """
    model = _HostModel(graph, source)
    for step in steps:
        model.node(step.node, step.tensor)
    last = steps[-1].tensor
    shape, indices = graph.shape(last), graph.types[last] == TensorProto.INT64
    result = HostResult(
        name=name,
        operator=" ".join(step.node.operator for step in steps if step.node.operator in HOST),
        input=source.tensor,
        model=model.bytes(graph.types[last], shape),
        shape=shape,
        dtype=np.dtype(np.int64) if indices else np.dtype(np.float32),
        classes=_classes(graph, steps, prod(shape)),
    )
    _try(result, next(step.node for step in steps if step.node.operator in HOST))
    return result


class _HostModel:
    """Collects nodes behind ``source``, dequantised; names of the file stay outside."""

    def __init__(self, graph: Graph, source: Value) -> None:
        self._graph = graph
        self._source = source
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._tensor = "x"
        layout = source.layout
        order = _order(layout)
        if order != sorted(order):
            self._reshape(layout.sizes)
            self._add("Transpose", attributes={"perm": order})
        self._reshape(layout.shape)
        self._convert("DequantizeLinear", source.tensor)

    def node(self, node: Node, tensor: str) -> None:
        """Append a node that reads the last tensor and constants, and gives ``tensor``."""
        constants = [
            self._constant(self._graph.constants[name]) if name else "" for name in node.inputs[1:]
        ]
        place = node.outputs.index(tensor)
        self._add(node.operator, *constants, place=place, attributes=node.attributes)

    def quantise(self, target: TensorSpec) -> None:
        """Append what brings real values back to a map that lies as the source does."""
        layout = self._source.layout
        order = _order(layout)
        self._convert("QuantizeLinear", target)
        if order != sorted(order):
            self._reshape(tuple(layout.sizes[dimension] for dimension in order))
            back = [order.index(each) for each in range(len(order))]
            self._add("Transpose", attributes={"perm": back})
        self._reshape(_map_sizes(target))

    def bytes(self, elements: int, shape: tuple[int, ...]) -> bytes:
        """The model with the last tensor as its output, of type ``elements``."""
        tensor = self._source.tensor
        x = helper.make_tensor_value_info("x", _elements(tensor), _map_sizes(tensor))
        y = helper.make_tensor_value_info(self._tensor, elements, shape)
        model = helper.make_model(
            helper.make_graph(self._nodes, "host", [x], [y], self._constants),
            opset_imports=[
                helper.make_opsetid("", self._graph.opset),
                helper.make_opsetid(MICROSOFT, 1),
            ],
            ir_version=_IR_VERSION,
        )
        return bytes(model.SerializeToString())

    def _reshape(self, shape: tuple[int, ...]) -> None:
        self._add("Reshape", self._constant(np.array(shape, np.int64)))

    def _convert(self, operator: str, tensor: TensorSpec) -> None:
        scale = self._constant(np.asarray(tensor.scale, np.float32))
        zero_point = self._constant(np.asarray(tensor.zero_point, tensor.dtype))
        # ONNX Runtime's own: the same function for every opset and word.
        self._add(operator, scale, zero_point, domain=MICROSOFT)

    def _add(
        self,
        operator: str,
        *constants: str,
        place: int = 0,
        domain: str = "",
        attributes: Mapping[str, object] = _NONE,
    ) -> None:
        made = f"t{len(self._nodes)}"
        outputs = [""] * place + [made]
        node = helper.make_node(operator, [self._tensor, *constants], outputs, domain=domain)
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        self._nodes.append(node)
        self._tensor = made

    def _constant(self, values: NDArray[np.generic]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def _order(layout: Layout) -> list[int]:
    """The dimensions of memory in the order of ONNX."""
    return [dimension for axis in layout.axes for dimension in axis]


def _elements(tensor: TensorSpec) -> int:
    return int(helper.np_dtype_to_tensor_dtype(tensor.dtype))


def _map_sizes(tensor: TensorSpec) -> tuple[int, int, int]:
    return tensor.shape.height, tensor.shape.width, tensor.shape.channels


def _classes(graph: Graph, steps: Sequence[Step], elements: int) -> int:
    """How many classes an output tells apart."""
    for step in steps:
        if step.node.operator == "ArgMax":
            return graph.shape(step.node.input(0))[step.node.integer("axis", 0)]
    return elements


def _try(host: HostStep | HostResult, node: Node) -> None:
    """Run it once, so that what ONNX Runtime cannot do is known before anything else runs."""
    try:
        run_model(host.model, np.zeros(_map_sizes(host.input), host.input.dtype))
    except RUNTIME_ERRORS as error:
        raise ModelError(
            f"{node.label}: ONNX Runtime must be able to run it on the host, got "
            f"'{first_line(error)}'; use another opset"
        ) from error
