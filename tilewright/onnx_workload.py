"""The convolutions and matrix products of an ONNX file, float or quantised, by its shapes alone."""

from collections import Counter
from dataclasses import replace
from math import prod
from pathlib import Path

import onnx
from numpy import broadcast_shapes

from arch.errors import ModelError
from arch.layers import ConvShape, FeatureMap
from compiler.any_model import read_any
from compiler.graph import Graph, Node, build_graph
from compiler.input_shape import InputShape
from compiler.names import SafeNames, printable
from compiler.quantisation import is_constant
from compiler.windows import sliding_window
from sim.analytical.problem import Problem
from tilewright.networks.nodes import Role
from tilewright.workload import Layer, Workload

INTEGER = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
"""What integer operators of ONNX's own compute."""
_FREE = {"Constant", "DequantizeLinear", "Identity", "QuantizeLinear"}
"""Operators that only say what numbers mean, or compute nothing."""


def from_file(path: Path, shape: InputShape | None, batch: int) -> Workload:
    """Every convolution, fully connected layer and matrix product in an ONNX file.

    Raises ``ModelError`` and ``InputError`` as ``read_any`` does, ``ModelError`` for a file with
    nothing to price, ``ShapeError`` for a ``batch`` below 1.
    """
    return workload_of(read_any(path, shape), batch, printable(str(path)))


def workload_of(model: onnx.ModelProto, batch: int, name: str) -> Workload:
    """The same of a model from ``read_any``, as the network ``name``."""
    layers: list[Layer] = []
    unpriced: Counter[str] = Counter()
    graph = build_graph(model)
    for node, layer in priced(graph, batch).items():
        if layer is not None:
            layers.append(layer)
        elif node.operator not in _FREE:
            unpriced[node.operator] += 1
    if not layers:
        raise ModelError(
            f"'{name}': a model must have a convolution or a matrix product to be priced, got none"
        )
    return Workload(network=name, layers=tuple(layers), unpriced=dict(unpriced))


def priced(graph: Graph, batch: int) -> dict[Node, Layer | None]:
    """Each node as a layer to price; None if it is none."""
    names = SafeNames()
    found: dict[Node, Layer | None] = {}
    for node in graph.nodes:
        plain = replace(node, operator=INTEGER.get(node.operator, node.operator))
        found[node] = None
        if plain.operator == "Conv" and len(graph.shape(node.input(0))) in (3, 4):
            name = names.make(node.name or node.output)
            found[node] = name, Role.CONVOLUTION, _conv(graph, plain, name, batch)
        elif plain.operator in ("Gemm", "MatMul"):
            name = names.make(node.name or node.output)
            found[node] = name, Role.FULLY_CONNECTED, _product(graph, plain, name, batch)
    return found


def _conv(graph: Graph, node: Node, name: str, batch: int) -> Problem:
    """A line [1, C, L] is a map of one row."""
    ranks = [len(graph.shape(node.input(place))) for place in (0, 1)]
    if ranks[0] != ranks[1]:
        raise ModelError(
            f"{node.label}: the weights must have as many dimensions as the input, {ranks[0]}, got "
            f"{ranks[1]}; export the model again"
        )
    _, channels, *size = graph.shape(node.input(0))
    height, width = (1, *size)[-2:]
    shape = ConvShape(
        ifmap=FeatureMap(height=height, width=width, channels=channels),
        out_channels=graph.shape(node.input(1))[0],
        window=sliding_window(graph, node).window,
        groups=node.integer("group", 1),
    )
    return Problem.conv(name, shape, batch)


def _product(graph: Graph, node: Node, name: str, batch: int) -> Problem:
    """Rows times weights; a product of activations takes the second one for weights.

    Where the second operand is a stack of matrices, each is a group, and so is that of each image
    if it is no constant. A first operand that is broadcast over the stack counts for each matrix.
    """
    first, second = (graph.shape(node.input(place)) for place in (0, 1))
    if node.operator == "Gemm":
        first = first[::-1] if node.integer("transA", 0) else first
        second = second[::-1] if node.integer("transB", 0) else second
    # A vector is a row on the left, a column on the right.
    first = first if len(first) > 1 else (1, *first)
    second = second if len(second) > 1 else (*second, 1)
    stack = prod(second[:-2])
    rows = prod(broadcast_shapes(first[:-2], second[:-2])) // stack * first[-2]
    if is_constant(graph, node.input(1)):
        rows *= batch
    else:
        stack *= batch
    return Problem.matmul(name, rows, first[-1], second[-1], stack)
