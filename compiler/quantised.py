"""Fifth step, last part: each segment becomes integer layers.

Quantisation is monotonic, so a ReLU, Clip or MaxPool may run after it as well as before: they fold
into the clamp of the layer before, or become layers of multiplier 1, with the very same bytes.
"""

from dataclasses import replace
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from compiler.fold import Linear, fold, integer_bias, read_linear, scale_channels, varying_axes
from compiler.graph import Graph, Node, Shape
from compiler.host import host_step
from compiler.joins import join
from compiler.layer_rules import clip_bounds, reduced_axes
from compiler.layout import Layout
from compiler.movement import moved
from compiler.operators import ARITHMETIC, CLAMPS, FUNCTIONS, HOST_MAPS, LAYOUT, LINEAR, MOVES
from compiler.quantisation import is_constant
from compiler.segments import Segment, Step
from compiler.tables import table_of
from compiler.values import Build, Value, checked_multiplier, is_quantised_as
from compiler.windows import sliding_window
from sim.multipliers import conv_multiplier
from sim.network import Add, AveragePool, Conv, HostStep, MaxPool, Multiply, Table, TensorSpec

_CLAMPED = Conv | MaxPool | AveragePool | Add | Multiply
_MAX_POOLS = {"MaxPool", "GlobalMaxPool"}
_AVERAGES = {"AveragePool", "GlobalAveragePool", "ReduceMean"}


def lower(graph: Graph, segment: Segment, values: dict[str, Value], build: Build) -> Value:
    """The value that a segment makes of the tensors in ``values``; its layers join ``build``.

    Raises ``ModelError`` for two layers without quantisation between, and for scales, biases or
    shapes that no integer layer can have.
    """
    operands = []
    for operand in segment.operands:
        value = values[operand.source]
        for step in operand.steps:
            value = moved(graph, step, value, build, step.tensor)
        operands.append(value)
    lowering = _Lowering(graph, segment, operands[0], build)
    steps = segment.steps
    if len(operands) > 1:
        lowering.join(steps[0].node, operands)
        steps = steps[1:]
    for step in steps:
        lowering.add(step)
    return lowering.finish()


class _Lowering:
    """Walks one segment's operators; ``value`` is what the layers so far make."""

    def __init__(self, graph: Graph, segment: Segment, source: Value, build: Build) -> None:
        self._value = source
        self._graph = graph
        self._segment = segment
        self._quantisation = segment.quantisation
        self._build = build
        # What is read but not yet made: a linear operator, or functions of one number.
        self._linear: Linear | None = None
        self._functions: list[Node] = []
        # Where a layer has brought the values to the segment's output quantisation: its place.
        self._last: int | None = None

    def join(self, node: Node, operands: list[Value]) -> None:
        """Lower the operator that reads several operands."""
        target = self._name(node.output), self._quantisation
        self._value = join(self._graph, node, operands, target, self._build)
        self._last = len(self._build.layers) - 1

    def add(self, step: Step) -> None:
        """Lower one operator."""
        node = step.node
        if self._continues(node):
            return
        if node.operator in LAYOUT and self._linear is None:
            self._move(step)
            return
        self._make_pending()
        if node.operator in LINEAR:
            self._require_first(node)
            self._linear = read_linear(self._graph, node, self._value.tensor.scale)
        elif node.operator in CLAMPS:
            self._add_clamp(node)
        elif node.operator in _MAX_POOLS:
            self._add_max(step)
        elif node.operator in _AVERAGES:
            self._require_first(node)
            self._add_average(step)
        elif node.operator in MOVES:
            self._move(step)
        elif node.operator in HOST_MAPS:
            self._require_first(node)
            self._add_host(node)
        else:
            self._require_first(node)
            raise LookupError(f"{node.label}: check the support rules first")

    def finish(self) -> Value:
        """The value, brought to the output quantisation if no layer did so yet."""
        self._make_pending()
        if self._last is None and not is_quantised_as(self._value.tensor, self._quantisation):
            self._requantise(self._segment.quantizer, self._quantisation.limits)
        return self._value

    def _move(self, step: Step) -> None:
        name = self._name(step.tensor)
        self._value = moved(self._graph, step, self._value, self._build, name)

    def _continues(self, node: Node) -> bool:
        """Whether the node joins what is pending, or begins a chain of functions."""
        constants = [name for name in node.inputs if is_constant(self._graph, name)]
        if node.operator == "BatchNormalization" or (node.operator in ARITHMETIC and constants):
            if self._linear is None and not self._is_function(node):
                self._make_pending()
                self._require_first(node)
                self._linear = scale_channels(self._graph, node, self._channel_axis(node))
            if self._linear is not None:
                scale = self._value.tensor.scale
                self._linear = fold(self._graph, self._linear, node, scale)
                return True
        if self._linear is None and self._last is None and self._is_function(node):
            self._functions.append(node)
            self._value = self._broadcast(node, self._value)
            return True
        return False

    def _broadcast(self, node: Node, value: Value) -> Value:
        """A constant of more axes adds axes of size 1."""
        shape = self._graph.shape(node.output)
        layout = value.layout.reshaped(shape)
        if layout is None:
            raise _other_size(node, shape, value.tensor.shape)
        return Value(tensor=value.tensor, layout=layout)

    def _is_function(self, node: Node) -> bool:
        """Whether the node is a function of one number."""
        if node.operator in ARITHMETIC:
            constants = [name for name in node.inputs if is_constant(self._graph, name)]
            return bool(constants) and prod(self._graph.shape(constants[0])) == 1
        return node.operator in FUNCTIONS or node.operator in CLAMPS

    def _channel_axis(self, node: Node) -> int:
        """Along which axis the constants of an operator vary; 1 for a BatchNormalization."""
        if node.operator == "BatchNormalization":
            return 1
        name = next(name for name in node.inputs if is_constant(self._graph, name))
        axes = varying_axes(self._graph.shape(name), len(self._graph.shape(node.output)))
        return axes[0] if axes else 1

    def _make_pending(self) -> None:
        if self._linear is not None:
            linear, self._linear = self._linear, None
            self._add_linear(linear)
        if self._functions:
            functions, self._functions = self._functions, []
            if all(node.operator in CLAMPS for node in functions):
                for node in functions:
                    self._add_clamp(node)
            else:
                self._add_table(functions)

    def _require_first(self, node: Node) -> None:
        if self._last is not None:
            before = self._build.layers[self._last].name
            raise ModelError(
                f"{node.label}: its input must be quantised, got the float output of layer "
                f"{before}; quantise the whole model with quantize_static"
            )

    def _add_linear(self, linear: Linear) -> None:
        node = linear.node
        tensor, weights, order = self._linear_input(linear)
        shape = ConvShape(
            ifmap=tensor.shape,
            out_channels=len(weights),
            window=linear.window,
            groups=linear.groups,
        )
        scale = self._value.tensor.scale
        multiplier = conv_multiplier(scale, linear.scale, self._quantisation.scale)
        output = self._output(node, node.output, shape.ofmap)
        self._append(
            Conv(
                name=self._build.layer_names.make(node.name or node.output),
                input=tensor,
                output=output,
                shape=shape,
                weights=weights if order is None else np.ascontiguousarray(weights[..., order]),
                bias=integer_bias(linear, tensor.bits),
                multiplier=checked_multiplier(node, multiplier),
                clamp=self._quantisation.limits,
            ),
            Layout.with_channels(self._graph.shape(node.output), linear.axis),
        )

    def _linear_input(
        self, linear: Linear
    ) -> tuple[TensorSpec, NDArray[Any], NDArray[np.int64] | None]:
        """The map to convolve, the weights, and the order in memory of their input channels."""
        value, node = self._value, linear.node
        axis = linear.axis
        if node.operator in ("Gemm", "MatMul"):
            axis = len(value.layout.axes) - 1
        if linear.groups > 1:
            return self._build.in_order(value, axis, node).tensor, linear.weights, None
        pointwise = linear.window == Window(kernel=(1, 1))
        tensor, view = self._build.view(value, axis, node, any_map=pointwise)
        return tensor, linear.weights, None if view.in_order else view.order()

    def _add_table(self, functions: list[Node]) -> None:
        node, tensor = functions[-1], self._value.tensor
        table = table_of(self._graph, functions, tensor, self._quantisation)
        layer = Table(
            name=self._build.layer_names.make(node.name or node.output),
            input=tensor,
            output=self._output(node, node.output, tensor.shape),
            table=table,
        )
        self._append(layer, self._value.layout)

    def _add_host(self, node: Node) -> None:
        value = self._value
        output = self._output(node, node.output, value.tensor.shape)
        name = self._build.layer_names.make(node.name or node.output)
        self._append(host_step(self._graph, node, value, output, name), value.layout)

    def _add_average(self, step: Step) -> None:
        node, shape = step.node, self._graph.shape(step.tensor)
        axis = self._averaged_axis(node)
        tensor = self._build.in_order(self._value, axis, node).tensor
        window, overhang = Window(kernel=(tensor.shape.height, tensor.shape.width)), (0, 0)
        if node.operator == "AveragePool":
            sliding = sliding_window(self._graph, node)
            window, overhang = sliding.window, sliding.overhang
        pooled = PoolShape(ifmap=tensor.shape, window=window)
        layer = AveragePool(
            name=self._build.layer_names.make(node.name or node.output),
            input=tensor,
            output=self._output(node, step.tensor, pooled.ofmap),
            shape=pooled,
            include_padding=bool(node.integer("count_include_pad", 0)),
            overhang=overhang,
            clamp=self._quantisation.limits,
        )
        checked_multiplier(node, np.array([layer.multiplier(each) for each in layer.tap_counts]))
        # Without its reduced axes, a mean is [1, C].
        kept = axis if len(shape) == len(self._value.layout.axes) else 1
        self._append(layer, Layout.with_channels(shape, kept))

    def _averaged_axis(self, node: Node) -> int:
        """The axis of the channels: the one that a ReduceMean keeps."""
        axes = reduced_axes(self._graph, node) if node.operator == "ReduceMean" else None
        if axes is None:
            return 1
        return next(axis for axis in range(1, len(axes) + 2) if axis not in axes)

    def _add_max(self, step: Step) -> None:
        node, shape = step.node, self._graph.shape(step.tensor)
        tensor = self._build.in_order(self._value, 1, node).tensor
        window = sliding_window(self._graph, node).window
        pooled = PoolShape(ifmap=tensor.shape, window=window)
        output = self._output(node, step.tensor, pooled.ofmap)
        self._build.requantised(node, tensor, output, window, self._quantisation.limits)
        self._made(output, Layout.with_channels(shape, 1))

    def _add_clamp(self, node: Node) -> None:
        bounds = (0.0, inf) if node.operator == "Relu" else clip_bounds(self._graph, node)
        if bounds is None:
            raise LookupError(f"{node.label}: check the support rules first")
        low, high = (self._quantisation.quantise(bound) for bound in bounds)
        last = None if self._last is None else self._build.layers[self._last]
        if self._last is None or not isinstance(last, _CLAMPED):
            self._requantise(node, (low, high))
            return
        before = last.clamp
        clamp = (min(max(before[0], low), high), min(max(before[1], low), high))
        self._build.layers[self._last] = replace(last, clamp=clamp)

    def _requantise(self, node: Node, clamp: tuple[int, int]) -> None:
        tensor = self._value.tensor
        output = self._output(node, node.output, tensor.shape)
        self._build.requantised(node, tensor, output, Window(kernel=(1, 1)), clamp)
        self._made(output, self._value.layout)

    def _output(self, node: Node, tensor: str, shape: FeatureMap) -> TensorSpec:
        inferred = self._graph.shape(tensor)
        if prod(inferred) != shape.elements:
            raise _other_size(node, inferred, shape)
        return self._build.tensor(self._name(tensor), shape, self._quantisation)

    def _name(self, tensor: str) -> str:
        quantizer = self._segment.quantizer
        return self._segment.name if tensor in (quantizer.input(0), quantizer.output) else tensor

    def _append(self, layer: Conv | AveragePool | Table | HostStep, layout: Layout) -> None:
        self._build.layers.append(layer)
        self._made(layer.output, layout)

    def _made(self, output: TensorSpec, layout: Layout) -> None:
        """The last layer brought the values to the output quantisation."""
        self._value = Value(tensor=output, layout=layout)
        self._last = len(self._build.layers) - 1


def _other_size(node: Node, inferred: Shape, shape: FeatureMap) -> ModelError:
    return ModelError(
        f"{node.label}: the output must have the {prod(inferred)} elements that ONNX infers, "
        f"got {shape.elements}; export the model again"
    )
