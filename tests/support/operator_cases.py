"""Constrained-random networks of every operator that runs on the machine.

``OPERATORS[name].draw(np.random.default_rng(seed))`` gives a network that has the operator, and an
image for it; the same seed gives the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from sim.multipliers import pool_multiplier
from sim.network import (
    Add,
    Alias,
    AveragePool,
    Bytes,
    Concat,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Slice,
    Table,
    TensorSpec,
)
from tests.support.random_convolutions import random_long_conv
from tests.support.random_maps import SizeLimits, up_to
from tests.support.random_networks import random_branches, random_network
from tests.support.random_pools import random_average, random_global_average, random_pool

LIMITS = SizeLimits(max_height=12, max_width=12, max_channels=40, max_macs=200_000)
_POINTWISE = replace(LIMITS, max_kernel=1, max_stride=1, max_dilation=1)

Drawn = tuple[Network, Bytes]
Draw = Callable[[np.random.Generator], Drawn]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """How networks with one operator are drawn, and which layers are it."""

    draw: Draw
    is_one: Callable[[Layer], bool]


def _last(
    kind: str, is_one: Callable[[Layer], bool] = lambda _: True, limits: SizeLimits = LIMITS
) -> Operator:
    """An operator that is the last layer of a random network of ``kind``."""

    def draw(rng: np.random.Generator) -> Drawn:
        while True:
            network, image = random_network(rng, limits, (kind,))
            if is_one(network.layers[-1]):
                return network, image

    return Operator(draw=draw, is_one=is_one)


def _conv(holds: Callable[[ConvShape], bool]) -> Callable[[Layer], bool]:
    return lambda layer: isinstance(layer, Conv) and holds(layer.shape)


def _average(holds: Callable[[AveragePool], bool]) -> Callable[[Layer], bool]:
    return lambda layer: isinstance(layer, AveragePool) and holds(layer)


def _sides_differ(shape: ConvShape) -> bool:
    top, left, bottom, right = shape.window.padding
    return top != bottom or left != right


def _dilated(shape: ConvShape) -> bool:
    window = shape.window
    pairs = zip(window.kernel, window.dilation, strict=True)
    return any(taps > 1 and step > 1 for taps, step in pairs)


def _clamped(layer: Layer, *, above: bool) -> bool:
    """A 1x1 pooling that cuts off what is below zero, or besides what is above some limit."""
    if not isinstance(layer, MaxPool) or layer.shape.window != Window(kernel=(1, 1)):
        return False
    (low, high), (least, most) = layer.clamp, layer.output.limits
    return low > least and (high < most) == above


def _alone(layer: Layer, image: Bytes) -> Drawn:
    network = Network(name="alone", input=layer.input, layers=(layer,), outputs=(layer.output,))
    return network, image


def _draw_long(rng: np.random.Generator) -> Drawn:
    layer, (image,) = random_long_conv(rng, LIMITS)
    return _alone(layer, image)


def _draw_ceil_max(rng: np.random.Generator) -> Drawn:
    while True:
        layer, (image,) = random_average(rng, LIMITS)
        if layer.overhang != (0, 0):
            return _alone(_maximum(layer), image)


def _draw_global_max(rng: np.random.Generator) -> Drawn:
    layer, (image,) = random_global_average(rng, LIMITS)
    return _alone(_maximum(layer), image)


def _maximum(layer: AveragePool) -> MaxPool:
    """A max pool of the windows of ``layer``."""
    return MaxPool(
        name="max_pool",
        input=layer.input,
        output=replace(layer.input, name="max_pool_out", shape=layer.output.shape),
        shape=layer.shape,
        multiplier=np.float32(1),
        clamp=layer.input.limits,
    )


def _draw_split(rng: np.random.Generator) -> Drawn:
    """Two to four parts of a map's channels, each requantised by itself."""
    while True:
        source, image = _source(rng)
        most = source.shape.channels
        if most > 1:
            break
    cuts = rng.choice(np.arange(1, most), min(up_to(rng, 3), most - 1), replace=False)
    ends = [0, *sorted(int(cut) for cut in cuts), most]
    layers: list[Layer] = []
    for index, (start, stop) in enumerate(pairwise(ends)):
        shape = replace(source.shape, channels=stop - start)
        part = replace(source, name=f"part{index}", shape=shape)
        layers.append(Slice(name=f"split{index}", input=source, output=part, start=(0, 0, start)))
        layers.append(_requantised(rng, part))
    outputs = tuple(layer.output for layer in layers[1::2])
    return Network(name="split", input=source, layers=tuple(layers), outputs=outputs), image


def _draw_reshape(rng: np.random.Generator) -> Drawn:
    """A requantised map, flattened or with its axes merged, and requantised again."""
    source, image = _source(rng)
    first = _requantised(rng, source)
    height, width, channels = source.shape.height, source.shape.width, source.shape.channels
    sizes = ((1, 1, height * width * channels), (1, height * width, channels))
    new = (*sizes, (height, 1, width * channels))[rng.integers(3)]
    shape = FeatureMap(height=new[0], width=new[1], channels=new[2])
    flat = replace(first.output, name="reshaped", shape=shape)
    alias = Alias(name="reshape", input=first.output, output=flat)
    last = _requantised(rng, flat)
    layers = (first, alias, last)
    return Network(name="reshape", input=source, layers=layers, outputs=(last.output,)), image


def _draw_shuffle(rng: np.random.Generator) -> Drawn:
    """A permutation of channels, which the compiler makes a 1x1 convolution of ones."""
    source, image = _source(rng)
    channels = source.shape.channels
    weights = np.zeros((channels, 1, 1, channels), np.int8)
    weights[np.arange(channels), 0, 0, rng.permutation(channels)] = 1
    layer = Conv(
        name="shuffle",
        input=source,
        output=replace(source, name="shuffled"),
        shape=ConvShape(ifmap=source.shape, out_channels=channels, window=Window(kernel=(1, 1))),
        weights=weights,
        bias=np.zeros(channels, np.int32),
        multiplier=np.ones(channels, np.float32),
        clamp=source.limits,
    )
    return _alone(layer, image)


def _source(rng: np.random.Generator) -> tuple[TensorSpec, Bytes]:
    layer, (image,) = random_pool(rng, _POINTWISE)
    return layer.input, image


def _requantised(rng: np.random.Generator, source: TensorSpec) -> MaxPool:
    """``source`` with another scale and zero point."""
    scale = np.float32(float(source.scale) * 2.0 ** rng.uniform(-0.5, 2.0))
    low, high = source.limits
    output = replace(
        source,
        name=f"{source.name}_requantised",
        scale=scale,
        zero_point=int(rng.integers(low, high, endpoint=True)),
    )
    return MaxPool(
        name=f"requantise {source.name}",
        input=source,
        output=output,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=pool_multiplier(source.scale, scale),
        clamp=output.limits,
    )


def _draw_branches(rng: np.random.Generator) -> Drawn:
    return random_branches(rng, LIMITS)


OPERATORS: dict[str, Operator] = {
    "convolution": _last("conv"),
    "kernel 1x7, 7x1, 11x11": Operator(
        draw=_draw_long, is_one=_conv(lambda shape: max(shape.window.kernel) >= 7)
    ),
    "stride": _last("conv", _conv(lambda shape: shape.window.stride != (1, 1))),
    "dilation": _last("conv", _conv(_dilated)),
    "asymmetric padding": _last("conv", _conv(_sides_differ)),
    "groups": _last("grouped_conv", _conv(lambda s: s.groups > 1 and s.group_inputs > 1)),
    "depthwise": _last(
        "grouped_conv", _conv(lambda s: s.groups > 1 and s.group_inputs == s.group_outputs == 1)
    ),
    "depthwise, multiplier": _last(
        "grouped_conv", _conv(lambda s: s.group_inputs == 1 and s.group_outputs > 1)
    ),
    "1-D convolution": _last("conv_1d", _conv(lambda shape: shape.ifmap.height == 1)),
    "fully connected": _last("fully_connected"),
    "matrix product": _last(
        "conv",
        _conv(lambda shape: shape.ifmap.height == 1 and shape.ifmap.width > 1),
        replace(_POINTWISE, max_height=1),
    ),
    "max pool": _last("max_pool"),
    "max pool, ceil_mode": Operator(
        draw=_draw_ceil_max, is_one=lambda layer: isinstance(layer, MaxPool)
    ),
    "average pool": _last("average", _average(lambda layer: not layer.include_padding)),
    "average pool, count_include_pad": _last(
        "average", _average(lambda layer: layer.include_padding and any(layer.shape.window.padding))
    ),
    "average pool, ceil_mode": _last("average", _average(lambda layer: layer.overhang != (0, 0))),
    "global average pool": _last("global_average"),
    "global max pool": Operator(
        draw=_draw_global_max, is_one=lambda layer: isinstance(layer, MaxPool)
    ),
    "add": _last("add", lambda layer: isinstance(layer, Add) and not layer.broadcasts),
    "add, one pixel": _last("add", lambda layer: isinstance(layer, Add) and layer.broadcasts),
    "multiply": _last(
        "multiply", lambda layer: isinstance(layer, Multiply) and not layer.broadcasts
    ),
    "multiply per channel": _last(
        "multiply", lambda layer: isinstance(layer, Multiply) and layer.broadcasts
    ),
    "table": _last("table", lambda layer: isinstance(layer, Table)),
    "ReLU": _last("max_pool", lambda layer: _clamped(layer, above=False), _POINTWISE),
    "ReLU6, clip": _last("max_pool", lambda layer: _clamped(layer, above=True), _POINTWISE),
    "concat": Operator(draw=_draw_branches, is_one=lambda layer: isinstance(layer, Concat)),
    "slice": Operator(draw=_draw_branches, is_one=lambda layer: isinstance(layer, Slice)),
    "split": Operator(draw=_draw_split, is_one=lambda layer: isinstance(layer, Slice)),
    "reshape, flatten": Operator(draw=_draw_reshape, is_one=lambda x: isinstance(x, Alias)),
    "channel shuffle": Operator(draw=_draw_shuffle, is_one=lambda x: isinstance(x, Conv)),
}
"""Every operator that becomes commands or views of maps, by name."""
