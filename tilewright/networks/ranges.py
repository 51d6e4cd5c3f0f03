"""How each map of a built-in network is quantised, from its structure alone.

Synthetic weights are chosen such that a convolution's outputs have a known mean and spread, as
batch-norm would make them. From there, the range of every map follows: sums of independent maps
grow as the root of the sum of squares, gates and averages do not grow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot

import numpy as np

from tilewright.networks.nodes import (
    Activation,
    Concat,
    Elementwise,
    Function,
    NetworkGraph,
    Node,
    Normalise,
    Operation,
    Pool,
    PoolKind,
    Shuffle,
    Slice,
    Weighted,
)

# Standard deviations that a range reaches to each side: 1 in 16,000 of a normal map saturates.
REACH = 4.0
# Standard deviation of a layer's outputs; twice that before functions that bend far from 0.
SPREAD = 1.0
_WIDE = {Function.RELU6, Function.SIGMOID, Function.HARD_SIGMOID, Function.HARD_SWISH}
_CLAMPS = {Function.RELU, Function.RELU6}
# The input: a normalised image.
_INPUT = (-1.0, 1.0)

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """uint8: real value = ``scale`` * (q - ``zero_point``)."""

    scale: np.float32
    zero_point: int


def quantisations(graph: NetworkGraph) -> dict[str, Quantisation]:
    """The quantisation of each map by its tensor's name, those left out that are ``unseen``.

    Maps that only move bytes, join or choose among them are quantised alike.
    """
    ranges = _ranges(graph)
    groups = _alike(graph)
    joined: dict[str, Range] = {}
    for name, group in groups.items():
        low, high = ranges[name]
        before = joined.get(group, (low, high))
        joined[group] = (min(low, before[0]), max(high, before[1]))
    hidden = unseen(graph)
    return {
        name: _quantisation(joined[group]) for name, group in groups.items() if name not in hidden
    }


def unseen(graph: NetworkGraph) -> set[str]:
    """Maps that are not quantised: only a ReLU or ReLU6 reads them, and is one with their layer."""
    readers = graph.readers()
    return {
        node.output.name
        for node in graph.nodes
        if isinstance(node, Weighted | Elementwise)
        and node.output.name != graph.output.name
        and len(readers[node.output.name]) == 1
        and _function(readers[node.output.name][0]) in _CLAMPS
    }


def spread(graph: NetworkGraph) -> dict[str, float]:
    """The standard deviation that each layer with weights is to have, by its name."""
    readers = graph.readers()
    return {
        node.name: 2 * SPREAD
        if any(_function(reader) in _WIDE for reader in readers[node.output.name])
        else SPREAD
        for node in graph.nodes
        if isinstance(node, Weighted)
    }


def _function(node: Node) -> Function | None:
    return node.function if isinstance(node, Activation) else None


def _ranges(graph: NetworkGraph) -> dict[str, Range]:
    spreads = spread(graph)
    ranges = {graph.input.name: _INPUT}
    gates: dict[str, str] = {}
    for node in graph.nodes:
        inputs = [ranges[tensor.name] for tensor in node.inputs]
        if isinstance(node, Weighted):
            reach = REACH * spreads[node.name]
            found = (-reach, reach)
        elif isinstance(node, Activation):
            found = _FUNCTIONS[node.function](inputs[0])
            if node.function is Function.SIGMOID:
                gates[node.output.name] = node.inputs[0].name
        elif isinstance(node, Elementwise):
            x, other = node.inputs
            gated_by_itself = gates.get(other.name) == x.name
            found = _elementwise(node.operation, inputs[0], inputs[1], silu=gated_by_itself)
        elif isinstance(node, Pool):
            found = _pool(node, inputs[0])
        elif isinstance(node, Normalise):
            most = node.bias**-node.beta
            found = (inputs[0][0] * most, inputs[0][1] * most)
        else:
            found = (min(low for low, _ in inputs), max(high for _, high in inputs))
        ranges[node.output.name] = found
    return ranges


# What a function makes of a range.
_FUNCTIONS: dict[Function, Callable[[Range], Range]] = {
    Function.RELU: lambda x: (0.0, max(x[1], 0.0)),
    Function.RELU6: lambda _: (0.0, 6.0),
    Function.SIGMOID: lambda _: (0.0, 1.0),
    Function.TANH: lambda _: (-1.0, 1.0),
    Function.HARD_SIGMOID: lambda _: (0.0, 1.0),
    Function.HARD_SWISH: lambda x: (-0.375, max(x[1], 0.0)),
    Function.NEGATE: lambda x: (-x[1], -x[0]),
}


def _elementwise(operation: Operation, x: Range, other: Range, *, silu: bool) -> Range:
    if operation is Operation.ADD:
        return -hypot(min(x[0], 0), min(other[0], 0)), hypot(x[1], other[1])
    products = [a * b for a in x for b in other]
    # x * sigmoid(x) is never below -0.2785.
    return (-0.28 if silu else min(products)), max(products)


def _pool(node: Pool, x: Range) -> Range:
    ofmap = node.shape.ofmap
    if node.kind is PoolKind.MAX or ofmap.height * ofmap.width > 1:
        return x
    # Means of whole maps lie close together. Those of a function whose least value is just below
    # 0, such as SiLU, may all be there.
    low = x[0] if x[0] > -0.5 else x[0] / 2
    return low, x[1] / 2


def _alike(graph: NetworkGraph) -> dict[str, str]:
    """For each tensor the name that stands for all that share its quantisation."""
    parent = {name: name for name in graph.readers()}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for node in graph.nodes:
        moves = isinstance(node, Concat | Slice | Shuffle)
        if moves or (isinstance(node, Pool) and node.kind is PoolKind.MAX):
            for tensor in node.inputs:
                parent[find(tensor.name)] = find(node.output.name)
    return {name: find(name) for name in parent}


def _quantisation(reach: Range) -> Quantisation:
    low, high = min(reach[0], 0.0), max(reach[1], 0.0)
    scale = np.float32((high - low) / 255)
    return Quantisation(scale=scale, zero_point=round(-low / float(scale)))
