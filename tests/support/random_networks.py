"""Constrained-random networks of one input: a random layer, or branches that meet again."""

from dataclasses import replace

import numpy as np

from arch.layers import FeatureMap, PoolShape, Window
from sim.multipliers import pool_multiplier
from sim.network import (
    Add,
    Bytes,
    Concat,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Slice,
    TensorSpec,
)
from tests.support.random_convolutions import random_conv
from tests.support.random_elementwise import random_slice
from tests.support.random_layers import COMPUTING_KINDS, random_layer
from tests.support.random_maps import DEFAULT_LIMITS, SizeLimits, up_to

NETWORK_KINDS = (*COMPUTING_KINDS, "branches")


def random_network(
    rng: np.random.Generator,
    limits: SizeLimits = DEFAULT_LIMITS,
    kinds: tuple[str, ...] = NETWORK_KINDS,
) -> tuple[Network, Bytes]:
    """A network of one of ``kinds`` and an image for it.

    A layer of one operand stands alone. Before one of two, a pooling makes the second operand from
    the first. ``branches`` are slices of the input, each requantised alike and side by side again,
    and a convolution of that.
    """
    if "branches" in kinds and rng.random() < 1 / len(kinds):
        return random_branches(rng, limits)
    layer, maps = random_layer(rng, limits, tuple(kind for kind in kinds if kind != "branches"))
    layers: tuple[Layer, ...] = (layer,)
    if isinstance(layer, Add | Multiply):
        layers = (_second_operand(layer), layer)
    network = Network(
        name="one_layer", input=layer.inputs[0], layers=layers, outputs=(layer.output,)
    )
    return network, maps[0]


def random_branches(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Network, Bytes]:
    """A network of two to four boxes of one map, and its image."""
    cut, (image,) = random_slice(rng, limits)
    conv, _ = random_conv(rng, limits)
    target = conv.input
    height, width = cut.output.shape.height, cut.output.shape.width
    layers: list[Layer] = []
    parts: list[TensorSpec] = []
    for index in range(int(rng.integers(2, 4, endpoint=True))):
        box = _box(rng, f"slice{index}", cut, height, width)
        part = replace(target, name=f"part{index}", shape=box.output.shape)
        layers += [box, _requantisation(f"requantise{index}", box.output, part)]
        parts.append(part)
    channels = sum(part.shape.channels for part in parts)
    whole = FeatureMap(height=height, width=width, channels=channels)
    joined = replace(target, name="joined", shape=whole)
    layers.append(Concat(name="concat", inputs=tuple(parts), output=joined))
    layers.append(_pointwise(rng, conv, joined))
    network = Network(
        name="branches", input=cut.input, layers=tuple(layers), outputs=(layers[-1].output,)
    )
    return network, image


def _second_operand(layer: Add | Multiply) -> MaxPool:
    """A pooling of the first operand to the shape and quantisation of the second."""
    kernel = (1, 1)
    if layer.broadcasts:
        kernel = (layer.input.shape.height, layer.input.shape.width)
    return _requantisation("second", layer.input, layer.other, kernel)


def _requantisation(
    name: str, source: TensorSpec, output: TensorSpec, kernel: tuple[int, int] = (1, 1)
) -> MaxPool:
    return MaxPool(
        name=name,
        input=source,
        output=output,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=kernel)),
        multiplier=pool_multiplier(source.scale, output.scale),
        clamp=output.limits,
    )


def _box(rng: np.random.Generator, name: str, cut: Slice, height: int, width: int) -> Slice:
    """A box of some channels, as high and wide as ``cut``, of its input."""
    shape = cut.input.shape
    channels = up_to(rng, shape.channels)
    room = (shape.height - height, shape.width - width, shape.channels - channels)
    start = tuple(int(rng.integers(most, endpoint=True)) for most in room)
    part = FeatureMap(height=height, width=width, channels=channels)
    return Slice(
        name=name,
        input=cut.input,
        output=replace(cut.input, name=f"{name}_out", shape=part),
        start=(start[0], start[1], start[2]),
    )


def _pointwise(rng: np.random.Generator, conv: Conv, source: TensorSpec) -> Conv:
    """A 1x1 convolution of ``source`` with the multipliers and outputs of ``conv``."""
    channels = conv.shape.out_channels
    shape = replace(
        conv.shape, ifmap=source.shape, window=Window(kernel=(1, 1)), out_channels=channels
    )
    limits, size = np.iinfo(conv.weights.dtype), (channels, 1, 1, source.shape.channels)
    weights = rng.integers(limits.min, limits.max, size, endpoint=True)
    return replace(
        conv,
        input=source,
        output=replace(conv.output, shape=shape.ofmap),
        shape=shape,
        weights=weights.astype(conv.weights.dtype),
    )
