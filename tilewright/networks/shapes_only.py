"""A network as an integer network without data: it can be placed and timed, not run.

Weights are zero-stride arrays, so that even VGG-16 costs no memory. Scales are all alike: timing
does not depend on them.
"""

from dataclasses import replace

import numpy as np

from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from sim.multipliers import add_multipliers, product_multiplier
from sim.network import (
    Add,
    Alias,
    AveragePool,
    Concat,
    Conv,
    HostStep,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Slice,
    Table,
    TensorSpec,
    element_type,
)
from tilewright.networks import nodes
from tilewright.networks.nodes import Function, NetworkGraph, Node, Operation, PoolKind

_SCALE = np.float32(0.05)
_CLAMPS = (Function.RELU, Function.RELU6)
_CLAMPED = (Conv, MaxPool, AveragePool, Add, Multiply)


def shape_network(
    graph: NetworkGraph, *, activation_bits: int = 8, weight_bits: int = 8
) -> Network:
    """``graph`` with every map signed and every weight 0, of these widths."""
    return _Lowering(graph, activation_bits, weight_bits).network()


class _Lowering:
    """Lowers node by node; ``_specs`` holds what each of the graph's tensors became."""

    def __init__(self, graph: NetworkGraph, activation_bits: int, weight_bits: int) -> None:
        self._graph = graph
        self._bits = activation_bits
        self._weight = element_type(weight_bits, True).type(0)
        self._readers = graph.readers()
        self._specs = {graph.input.name: self._spec(graph.input.name, graph.input.shape)}
        self._layers: list[Layer] = []

    def network(self) -> Network:
        for node in self._graph.nodes:
            self._specs[node.output.name] = self._lower(node)
        return Network(
            name=self._graph.name,
            input=self._specs[self._graph.input.name],
            layers=tuple(self._layers),
            outputs=(self._specs[self._graph.output.name],),
        )

    def _lower(self, node: Node) -> TensorSpec:
        source = self._specs[node.inputs[0].name]
        output = self._spec(node.output.name, node.output.shape)
        if isinstance(node, nodes.Activation) and node.function in _CLAMPS:
            last = self._layers[-1] if self._layers else None
            alone = len(self._readers[node.inputs[0].name]) == 1
            if alone and isinstance(last, _CLAMPED) and last.output is source:
                # Folds into the limits of the layer that it follows.
                return source
        self._layers.append(self._layer(node, source, output))
        return output

    def _spec(self, name: str, shape: FeatureMap) -> TensorSpec:
        return TensorSpec(
            name=name, shape=shape, signed=True, scale=_SCALE, zero_point=0, bits=self._bits
        )

    def _layer(self, node: Node, source: TensorSpec, output: TensorSpec) -> Layer:
        match node:
            case nodes.Weighted():
                return self._conv(node.name, source, output, node.shape)
            case nodes.Pool():
                return _pool(node, source, output)
            case nodes.Activation():
                return _activation(node, source, output)
            case nodes.Elementwise():
                return self._elementwise(node, source, output)
            case nodes.Normalise():
                # Without a model, since it is never run.
                return HostStep(
                    name=node.name, input=source, output=output, operator="LRN", model=b""
                )
            case nodes.Concat():
                inputs = tuple(self._specs[each.name] for each in node.inputs)
                return Concat(name=node.name, inputs=inputs, output=output)
            case nodes.Slice():
                return Slice(name=node.name, input=source, output=output, start=node.start)
            case nodes.Shuffle():
                window = Window(kernel=(1, 1))
                shape = ConvShape(
                    ifmap=source.shape, out_channels=output.shape.channels, window=window
                )
                return self._conv(node.name, source, output, shape)
        raise TypeError(f"node {node.name} must be of a known kind, got {type(node).__name__}")

    def _conv(self, name: str, source: TensorSpec, output: TensorSpec, shape: ConvShape) -> Conv:
        if source.shape != shape.ifmap:
            flat = replace(source, name=f"{name}.flat", shape=shape.ifmap)
            self._layers.append(Alias(name=flat.name, input=source, output=flat))
            source = flat
        weights = (shape.out_channels, *shape.window.kernel, shape.group_inputs)
        return Conv(
            name=name,
            input=source,
            output=output,
            shape=shape,
            weights=np.broadcast_to(self._weight, weights),
            bias=np.broadcast_to(np.int32(0), shape.out_channels),
            multiplier=np.broadcast_to(np.float32(1), shape.out_channels),
            clamp=output.limits,
        )

    def _elementwise(
        self, node: nodes.Elementwise, source: TensorSpec, output: TensorSpec
    ) -> Layer:
        other = self._specs[node.inputs[1].name]
        if node.operation is Operation.ADD:
            first, second, shift = add_multipliers(_SCALE, _SCALE, _SCALE)
            return Add(
                name=node.name,
                input=source,
                other=other,
                output=output,
                multiplier=first,
                other_multiplier=second,
                shift=shift,
                clamp=output.limits,
            )
        multiplier, shift = product_multiplier(_SCALE, _SCALE, _SCALE)
        return Multiply(
            name=node.name,
            input=source,
            other=other,
            output=output,
            multiplier=multiplier,
            shift=shift,
            clamp=output.limits,
        )


def _pool(node: nodes.Pool, source: TensorSpec, output: TensorSpec) -> Layer:
    if node.kind is PoolKind.MAX:
        return _max_pool(node.name, source, output, node.shape)
    return AveragePool(
        name=node.name,
        input=source,
        output=output,
        shape=node.shape,
        include_padding=node.include_padding,
        clamp=output.limits,
    )


def _activation(node: nodes.Activation, source: TensorSpec, output: TensorSpec) -> Layer:
    if node.function in _CLAMPS:
        shape = PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1)))
        return _max_pool(node.name, source, output, shape)
    table = (
        np.broadcast_to(np.uint8(0), 256)
        if source.bits == 8
        else np.broadcast_to(np.uint16(0), (256, 2))
    )
    return Table(name=node.name, input=source, output=output, table=table)


def _max_pool(name: str, source: TensorSpec, output: TensorSpec, shape: PoolShape) -> MaxPool:
    return MaxPool(
        name=name,
        input=source,
        output=output,
        shape=shape,
        multiplier=np.float32(1),
        clamp=output.limits,
    )
