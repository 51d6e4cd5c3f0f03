"""Fifth step, second half: each segment becomes integer layers.

Quantisation is monotonic, so a ReLU, Clip or MaxPool may run after it as well as before: they fold
into the clamp of the layer before, or become layers of multiplier 1, with the very same bytes.
"""

from dataclasses import dataclass, replace
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from compiler.fold import Linear, fold, integer_bias, read_linear
from compiler.graph import Graph, Node, Shape
from compiler.layer_rules import clip_bounds
from compiler.names import SafeNames
from compiler.quantisation import Quantisation
from compiler.segments import Segment
from compiler.windows import window_of
from sim.golden.requantise import average_multiplier, conv_multiplier, pool_multiplier
from sim.network import Alias, Conv, GlobalAveragePool, Layer, MaxPool, TensorSpec

MULTIPLIERS = (2.0**-60, 2.0**20)
_LINEAR = {"Conv", "Gemm", "MatMul"}
_CONTINUES_LINEAR = {"Add", "BatchNormalization"}


@dataclass(frozen=True, kw_only=True)
class Value:
    """An 8-bit tensor. Its bytes are in the order of the map ``order``, channels last.

    ``order`` differs from ``tensor.shape`` for a vector that was flattened from a map.
    """

    tensor: TensorSpec
    order: FeatureMap


@dataclass(kw_only=True)
class Names:
    """The names already given to layers and to tensors."""

    layers: SafeNames
    tensors: SafeNames


def feature_map(shape: Shape) -> FeatureMap:
    """The map of ONNX shape [1, C, H, W] or [1, F]; the latter is one pixel."""
    channels, height, width = (*shape[1:], 1, 1)[:3]
    return FeatureMap(height=height, width=width, channels=channels)


def tensor_spec(name: str, shape: FeatureMap, quantisation: Quantisation) -> TensorSpec:
    """A feature map with the given quantisation."""
    return TensorSpec(
        name=name,
        shape=shape,
        signed=quantisation.signed,
        scale=quantisation.scale,
        zero_point=quantisation.zero_point,
    )


def lower(
    graph: Graph, segment: Segment, source: Value, names: Names
) -> tuple[tuple[Layer, ...], Value]:
    """The layers of a segment that reads ``source``, and the value that they make.

    Raises ``ModelError`` for two layers without quantisation between, and for scales, biases or
    shapes that no integer layer can have.
    """
    lowering = _Lowering(graph, segment, source, names)
    for node in segment.nodes:
        lowering.add(node)
    lowering.finish()
    return tuple(lowering.layers), lowering.value


class _Lowering:
    """Walks one segment's nodes; ``value`` is what the layers so far make."""

    def __init__(self, graph: Graph, segment: Segment, source: Value, names: Names) -> None:
        self.layers: list[Layer] = []
        self.value = source
        self._graph = graph
        self._segment = segment
        self._quantisation = segment.quantisation
        self._names = names
        self._linear: Linear | None = None
        # Whether a layer has brought the values to the segment's output quantisation.
        self._requantised = False

    def add(self, node: Node) -> None:
        """Lower one node."""
        if node.operator in _CONTINUES_LINEAR and self._linear is not None:
            self._linear = fold(self._graph, self._linear, node, self.value.tensor.scale)
            return
        self._emit_linear()
        if node.operator in _LINEAR:
            self._require_first(node)
            self._linear = read_linear(self._graph, node, self.value.tensor.scale)
        elif node.operator == "GlobalAveragePool":
            self._require_first(node)
            self._add_average(node)
        elif node.operator == "MaxPool":
            self._add_max(node, window_of(self._graph, node), self._quantisation.limits)
        elif node.operator in ("Relu", "Clip"):
            self._add_clamp(node)
        elif node.operator in ("Flatten", "Reshape"):
            self._add_alias(node)
        else:
            raise LookupError(f"{node.label}: check the support rules first")

    def finish(self) -> None:
        """Bring the value to the output quantisation, if no layer did so yet."""
        self._emit_linear()
        if not self._requantised and not self._is_at_target():
            window = Window(kernel=(1, 1))
            self._add_max(self._segment.quantizer, window, self._quantisation.limits)

    def _is_at_target(self) -> bool:
        tensor = self.value.tensor
        target = self._quantisation
        return (tensor.scale, tensor.zero_point, tensor.signed) == (
            target.scale,
            target.zero_point,
            target.signed,
        )

    def _require_first(self, node: Node) -> None:
        if self._requantised:
            before = self.layers[-1].name
            raise ModelError(
                f"{node.label}: its input must be quantised, got the float output of layer "
                f"{before}; quantise the whole model with quantize_static"
            )

    def _emit_linear(self) -> None:
        linear = self._linear
        if linear is None:
            return
        self._linear = None
        node, tensor = linear.node, self.value.tensor
        shape = ConvShape(
            ifmap=tensor.shape, out_channels=len(linear.weights), window=linear.window
        )
        multiplier = conv_multiplier(tensor.scale, linear.scale, self._quantisation.scale)
        output = self._output(node, shape.ofmap)
        layer = Conv(
            name=self._names.layers.make(node.name or node.output),
            input=tensor,
            output=output,
            shape=shape,
            weights=_in_byte_order(linear.weights, self.value.order),
            bias=integer_bias(linear),
            multiplier=_checked(node, multiplier),
            clamp=self._quantisation.limits,
        )
        self._append(layer, shape.ofmap)

    def _add_average(self, node: Node) -> None:
        tensor = self.value.tensor
        pixels = tensor.shape.height * tensor.shape.width
        multiplier = average_multiplier(tensor.scale, self._quantisation.scale, pixels)
        shape = FeatureMap(height=1, width=1, channels=tensor.shape.channels)
        layer = GlobalAveragePool(
            name=self._names.layers.make(node.name or node.output),
            input=tensor,
            output=self._output(node, shape),
            multiplier=np.float32(_checked(node, np.atleast_1d(multiplier))[0]),
            clamp=self._quantisation.limits,
        )
        self._append(layer, self._order_after(shape))

    def _add_max(self, node: Node, window: Window, clamp: tuple[int, int]) -> None:
        tensor = self.value.tensor
        shape = PoolShape(ifmap=tensor.shape, window=window)
        multiplier = pool_multiplier(tensor.scale, self._quantisation.scale)
        layer = MaxPool(
            name=self._names.layers.make(node.name or node.output),
            input=tensor,
            output=self._output(node, shape.ofmap),
            shape=shape,
            multiplier=np.float32(_checked(node, np.atleast_1d(multiplier))[0]),
            clamp=clamp,
        )
        self._append(layer, self._order_after(shape.ofmap))

    def _add_clamp(self, node: Node) -> None:
        bounds = (0.0, inf) if node.operator == "Relu" else clip_bounds(self._graph, node)
        if bounds is None:
            raise LookupError(f"{node.label}: check the support rules first")
        low, high = (self._quantisation.quantise(bound) for bound in bounds)
        last = self.layers[-1] if self.layers else None
        if last is None or isinstance(last, Alias):
            self._add_max(node, Window(kernel=(1, 1)), (low, high))
            return
        before = last.clamp
        clamp = (min(max(before[0], low), high), min(max(before[1], low), high))
        self.layers[-1] = replace(last, clamp=clamp)

    def _add_alias(self, node: Node) -> None:
        """A reshape keeps the bytes; the order they are in stays the map's."""
        shape = feature_map(self._graph.shape(node.output))
        if shape == self.value.tensor.shape:
            return
        tensor = self.value.tensor
        output = replace(tensor, name=self._tensor_name(node), shape=shape)
        layer = Alias(
            name=self._names.layers.make(node.name or node.output), input=tensor, output=output
        )
        self.layers.append(layer)
        self.value = Value(tensor=output, order=self.value.order)

    def _output(self, node: Node, shape: FeatureMap) -> TensorSpec:
        inferred = self._graph.shape(node.output)
        if prod(inferred) != shape.elements:
            raise ModelError(
                f"{node.label}: the output must have the {prod(inferred)} elements that ONNX "
                f"infers, got {shape.elements}; export the model again"
            )
        return tensor_spec(self._tensor_name(node), shape, self._quantisation)

    def _tensor_name(self, node: Node) -> str:
        quantizer = self._segment.quantizer
        last = node.output in (quantizer.input(0), quantizer.output)
        return self._names.tensors.make(self._segment.name if last else node.output)

    def _order_after(self, shape: FeatureMap) -> FeatureMap:
        """A layer that works channel by channel leaves the channels in their order."""
        tensor = self.value.tensor
        return self.value.order if shape == tensor.shape else shape

    def _append(self, layer: Conv | MaxPool | GlobalAveragePool, order: FeatureMap) -> None:
        self.layers.append(layer)
        self.value = Value(tensor=layer.output, order=order)
        self._requantised = True


def _in_byte_order(weights: NDArray[np.int8], order: FeatureMap) -> NDArray[np.int8]:
    """Weights whose input channels follow the bytes of a map that was flattened, CHW to HWC."""
    if order.channels == weights.shape[3]:
        return weights
    chw = weights.reshape(*weights.shape[:3], order.channels, order.height, order.width)
    return np.ascontiguousarray(chw.transpose(0, 1, 2, 4, 5, 3).reshape(weights.shape))


def _checked(node: Node, multiplier: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = MULTIPLIERS
    unusable = multiplier[~((multiplier >= low) & (multiplier <= high))]
    if unusable.size:
        raise ModelError(
            f"{node.label}: input scale x weight scale / output scale must be 2^-60 to 2^20, "
            f"got {unusable[0]:g}; quantise again with other calibration data"
        )
    return multiplier
