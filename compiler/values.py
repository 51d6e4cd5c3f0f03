"""The integer network under construction, and the tensors that its layers pass on."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from compiler.graph import Node
from compiler.layout import Layout, View
from compiler.names import SafeNames
from compiler.quantisation import Quantisation
from sim.multipliers import pool_multiplier
from sim.network import Alias, Conv, Layer, MaxPool, TensorSpec

MULTIPLIERS = (2.0**-60, 2.0**20)
# Channels of one map, and weights of all shuffles together: they are not in the file.
_MAX_SHUFFLED = 4096
_MAX_SHUFFLE_WEIGHTS = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Value:
    """A quantised tensor of the network, and how an ONNX tensor's elements lie in it."""

    tensor: TensorSpec
    layout: Layout


@dataclass(kw_only=True)
class Build:
    """Layers in the order in which they are made, with the names given to them."""

    layers: list[Layer] = field(default_factory=list)
    layer_names: SafeNames = field(default_factory=SafeNames)
    tensor_names: SafeNames = field(default_factory=SafeNames)
    # Forms of a tensor that were made before, by its name and what was asked for.
    _shaped: dict[tuple[str, FeatureMap], TensorSpec] = field(default_factory=dict)
    _ordered: dict[tuple[str, Layout, int], TensorSpec] = field(default_factory=dict)
    _shuffle_weights: int = 0

    def tensor(
        self, name: str, shape: FeatureMap, quantisation: Quantisation | TensorSpec
    ) -> TensorSpec:
        """A new tensor."""
        return TensorSpec(
            name=self.tensor_names.make(name),
            shape=shape,
            signed=quantisation.signed,
            scale=quantisation.scale,
            zero_point=quantisation.zero_point,
            bits=quantisation.bits,
        )

    def shaped(self, tensor: TensorSpec, shape: FeatureMap) -> TensorSpec:
        """The same bytes as a map of ``shape``."""
        if tensor.shape == shape:
            return tensor
        known = self._shaped.get((tensor.name, shape))
        if known is None:
            name = f"{tensor.name}_as_{shape.height}x{shape.width}x{shape.channels}"
            known = replace(tensor, name=self.tensor_names.make(name), shape=shape)
            layer = Alias(name=self.layer_names.make(name), input=tensor, output=known)
            self.layers.append(layer)
            self._shaped[tensor.name, shape] = known
        return known

    def view(
        self, value: Value, axis: int, node: Node, *, any_map: bool = False
    ) -> tuple[TensorSpec, View]:
        """The value as a map whose channels are ``axis``, perhaps in another order.

        With ``any_map``, height and width may be others of as many pixels. Raises ``ModelError``
        where bytes would have to move.
        """
        view = value.layout.view(axis)
        if view is None:
            raise _scattered(value, node)
        if any_map and value.tensor.shape.channels == view.shape.channels:
            return value.tensor, view
        return self.shaped(value.tensor, view.shape), view

    def in_order(self, value: Value, axis: int, node: Node) -> Value:
        """The value as a map whose channels are ``axis``, in the order of ONNX.

        A convolution with weights of 0 and 1 moves channels, which is exact. Raises ``ModelError``
        where other bytes would move too.
        """
        tensor, view = self.view(value, axis, node)
        if view.in_order:
            return Value(tensor=tensor, layout=value.layout)
        layout = Layout.with_channels(value.layout.shape, axis)
        key = (tensor.name, value.layout, axis)
        if key not in self._ordered:
            self._ordered[key] = self._shuffled(tensor, view, node)
        return Value(tensor=self._ordered[key], layout=layout)

    def requantised(
        self,
        node: Node,
        tensor: TensorSpec,
        output: TensorSpec,
        window: Window,
        clamp: tuple[int, int],
    ) -> None:
        """Append a max pool that brings ``tensor`` to ``output``; a 1x1 window only requantises."""
        multiplier = np.atleast_1d(pool_multiplier(tensor.scale, output.scale))
        self.layers.append(
            MaxPool(
                name=self.layer_names.make(node.name or node.output),
                input=tensor,
                output=output,
                shape=PoolShape(ifmap=tensor.shape, window=window),
                multiplier=np.float32(checked_multiplier(node, multiplier)[0]),
                clamp=clamp,
            )
        )

    def _shuffled(self, tensor: TensorSpec, view: View, node: Node) -> TensorSpec:
        channels = tensor.shape.channels
        if channels > _MAX_SHUFFLED:
            raise ModelError(
                f"{node.label}: at most {_MAX_SHUFFLED} channels may be brought in order, "
                f"got {channels}; remove the Transpose or Flatten before it"
            )
        self._shuffle_weights += channels * channels
        if self._shuffle_weights > _MAX_SHUFFLE_WEIGHTS:
            raise ModelError(
                f"{node.label}: shuffles of channels may take at most {_MAX_SHUFFLE_WEIGHTS} "
                f"weights, got {self._shuffle_weights}; remove the Transpose before it"
            )
        weights = np.zeros((channels, 1, 1, channels), np.int8)
        weights[view.order(), 0, 0, np.arange(channels)] = 1
        name = f"{tensor.name}_in_order"
        output = replace(tensor, name=self.tensor_names.make(name))
        self.layers.append(
            Conv(
                name=self.layer_names.make(name),
                input=tensor,
                output=output,
                shape=ConvShape(
                    ifmap=tensor.shape, out_channels=channels, window=Window(kernel=(1, 1))
                ),
                weights=weights,
                bias=np.zeros(channels, np.int32),
                multiplier=np.ones(channels, np.float32),
                clamp=output.limits,
            )
        )
        return output


def checked_multiplier(node: Node, multiplier: NDArray[np.float32]) -> NDArray[np.float32]:
    """``multiplier``; raises ``ModelError`` if the hardware could not hold one of them."""
    low, high = MULTIPLIERS
    unusable = multiplier[~((multiplier >= low) & (multiplier <= high))]
    if unusable.size:
        raise ModelError(
            f"{node.label}: input scale x weight scale / output scale must be 2^-60 to 2^20, "
            f"got {unusable[0]:g}; quantise again with other calibration data"
        )
    return multiplier


def is_quantised_as(tensor: TensorSpec, quantisation: Quantisation) -> bool:
    """Whether the tensor's bytes already mean what ``quantisation`` says."""
    return (tensor.scale, tensor.zero_point, tensor.signed, tensor.bits) == (
        quantisation.scale,
        quantisation.zero_point,
        quantisation.signed,
        quantisation.bits,
    )


def _scattered(value: Value, node: Node) -> ModelError:
    return ModelError(
        f"{node.label}: its input of shape {list(value.layout.shape)} must have its channels side "
        "by side in memory, got it transposed; export the model without the Transpose before it"
    )
