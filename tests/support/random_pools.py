"""Random pooling layers."""

from dataclasses import replace

import numpy as np

from arch.layers import PoolShape, Window
from sim.golden.pooling import window_sums
from sim.multipliers import pool_multiplier
from sim.network import AveragePool, MaxPool
from tests.support.random_maps import (
    DEFAULT_LIMITS,
    Maps,
    SizeLimits,
    has_input_in_every_window,
    lively,
    random_clamp,
    random_map,
    random_map_values,
    random_spec,
    random_window,
)
from tests.support.random_multipliers import random_adjustment, random_scale


def random_pool(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[MaxPool, Maps]:
    """A max pool and its input map; half of them keep scale and zero point, as exporters do."""
    return lively(lambda: _draw_pool(rng, limits))


def random_average(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[AveragePool, Maps]:
    """An average pool: either rule of padding, a third with windows beyond it (ceil_mode)."""
    return lively(lambda: _draw_average(rng, limits))


def random_global_average(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[AveragePool, Maps]:
    """An average pool whose window is the whole map."""
    return lively(lambda: _draw_global_average(rng, limits))


def _draw_pool(rng: np.random.Generator, limits: SizeLimits) -> tuple[MaxPool, Maps]:
    shape = _random_shape(rng, limits)
    source = random_spec(rng, "max_pool_in", shape.ifmap, random_scale(rng), limits.activation_bits)
    x = random_map_values(rng, source)
    if rng.random() < 0.5:
        output = replace(source, name="max_pool_out", shape=shape.ofmap)
    else:
        largest = int(x.max()) - source.zero_point
        target = random_adjustment(rng)(rng.uniform(0.3, 3.0), largest)
        scale = np.float32(float(source.scale) / target)
        output = random_spec(rng, "max_pool_out", shape.ofmap, scale, source.bits)
    layer = MaxPool(
        name="max_pool",
        input=source,
        output=output,
        shape=shape,
        multiplier=pool_multiplier(source.scale, output.scale),
        clamp=random_clamp(rng, output),
    )
    return layer, (x,)


def _draw_average(rng: np.random.Generator, limits: SizeLimits) -> tuple[AveragePool, Maps]:
    shape = _random_shape(rng, limits)
    overhang = (0, 0)
    if rng.random() < 1 / 3:
        shape, overhang = _rounded_up(shape)
    include_padding = bool(rng.random() < 0.5)
    return _average_of_shape(rng, "average", shape, include_padding, overhang, limits)


def _draw_global_average(rng: np.random.Generator, limits: SizeLimits) -> tuple[AveragePool, Maps]:
    ifmap = random_map(rng, limits)
    shape = PoolShape(ifmap=ifmap, window=Window(kernel=(ifmap.height, ifmap.width)))
    return _average_of_shape(rng, "global_average", shape, False, (0, 0), limits)


def _average_of_shape(
    rng: np.random.Generator,
    name: str,
    shape: PoolShape,
    include_padding: bool,
    overhang: tuple[int, int],
    limits: SizeLimits,
) -> tuple[AveragePool, Maps]:
    source = random_spec(rng, f"{name}_in", shape.ifmap, random_scale(rng), limits.activation_bits)
    x = random_map_values(rng, source)
    layer = AveragePool(
        name=name,
        input=source,
        output=replace(source, name=f"{name}_out", shape=shape.ofmap),
        shape=shape,
        include_padding=include_padding,
        overhang=overhang,
        clamp=source.limits,
    )
    taps = int(layer.taps[0, 0])
    first_sum = int(window_sums(layer, x)[0, 0, 0])
    # A sum of uniform values scatters by the square root of their number.
    target = random_adjustment(rng)(rng.uniform(0.5, 2.0) / np.sqrt(taps), first_sum)
    scale = np.float32(float(source.scale) / (target * taps))
    output = random_spec(rng, f"{name}_out", shape.ofmap, scale, source.bits)
    return replace(layer, output=output, clamp=random_clamp(rng, output)), (x,)


def _random_shape(rng: np.random.Generator, limits: SizeLimits) -> PoolShape:
    """A window with an input pixel at every place."""
    while True:
        ifmap = random_map(rng, limits)
        window = random_window(rng, ifmap, limits)
        if has_input_in_every_window(ifmap, window):
            return PoolShape(ifmap=ifmap, window=window)


def _rounded_up(shape: PoolShape) -> tuple[PoolShape, tuple[int, int]]:
    """The shape with sizes rounded up as ONNX ceil_mode does, and what then hangs over."""
    ends = [_overhang(shape, axis) for axis in (0, 1)]
    top, left, bottom, right = shape.window.padding
    padding = (top, left, bottom + ends[0], right + ends[1])
    rounded = replace(shape, window=replace(shape.window, padding=padding))
    if has_input_in_every_window(rounded.ifmap, rounded.window):
        return rounded, (ends[0], ends[1])
    return shape, (0, 0)


def _overhang(shape: PoolShape, axis: int) -> int:
    """How far one more window, which must start on the map or before it, reaches too far."""
    window, ifmap = shape.window, shape.ifmap
    size = (ifmap.height, ifmap.width)[axis]
    before, after = window.padding[axis], window.padding[2 + axis]
    start = window.output_size(ifmap.height, ifmap.width)[axis] * window.stride[axis] - before
    uncovered = start + window.extent[axis] - (size + after)
    # Without a remainder, sizes round to the same number both ways.
    remainder = (size + before + after - window.extent[axis]) % window.stride[axis]
    return uncovered if remainder and start < size else 0
