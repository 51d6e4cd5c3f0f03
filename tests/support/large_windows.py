"""Random poolings whose window is larger than the activation buffer."""

from dataclasses import replace
from math import isqrt

import numpy as np

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import FeatureMap, PoolShape, Window
from sim.multipliers import add_multipliers, pool_multiplier
from sim.network import Add, AveragePool, Bytes, Layer, MaxPool, Network, Table, element_type
from tests.support.random_maps import (
    DEFAULT_LIMITS,
    has_input_in_every_window,
    of_words,
    random_clamp,
    random_spec,
    up_to,
)
from tests.support.random_multipliers import random_scale
from tests.support.random_pools import average_of_shape, max_of_shape


def random_large_window(
    rng: np.random.Generator, config: AcceleratorConfig
) -> tuple[Network, Bytes]:
    """A maximum or average, half of them with what the post-processor can do on the way out: the
    sum with another pooling of the same map, and a table."""
    shape, limits = _large_shape(rng, config), of_words(DEFAULT_LIMITS, config)
    pool: AveragePool | MaxPool
    if rng.random() < 0.5:
        padded = bool(rng.random() < 0.5)
        pool, (image,) = average_of_shape(rng, "pool", shape, padded, (0, 0), limits)
    else:
        pool, (image,) = max_of_shape(rng, shape, limits)
    layers: tuple[Layer, ...] = (pool,)
    if rng.random() < 0.5:
        layers = _with_sum_and_table(rng, pool)
    network = Network(
        name="large_window", input=pool.input, layers=layers, outputs=(layers[-1].output,)
    )
    return network, image


def _large_shape(rng: np.random.Generator, config: AcceleratorConfig) -> PoolShape:
    """Up to four outputs of up to three groups of columns. Windows of one or two rows that do not
    fit one by one, of more rows, or square; with and without dilation and padding, up to most of a
    window."""
    while True:
        channels = int(rng.integers(ceil_div(config.cols, 2), 2 * config.cols, endpoint=True))
        pixel = min(channels, config.cols) * config.activation_bytes
        pixels = config.activation_buffer_bytes // pixel + 1
        rows = int(rng.choice([1, 2, 5, isqrt(pixels), isqrt(pixels)]))
        columns = int(pixels / (rows if rows > 2 else 1) * rng.uniform(1.0, 1.2)) + 1
        most = (4, 4) if rng.random() < 0.5 else (rows, columns)
        stride, dilation = (up_to(rng, 3), up_to(rng, 3)), (up_to(rng, 2), 1)
        top, left, bottom, right = (
            int(rng.integers(min(most[side % 2], window_side)))
            for side, window_side in enumerate((rows, columns) * 2)
        )
        window = Window(
            kernel=(rows, columns),
            stride=stride,
            dilation=dilation,
            padding=(top, left, bottom, right),
        )
        sizes = [
            window.extent[axis]
            + window.stride[axis] * int(rng.integers(2))
            - window.padding[axis]
            - window.padding[axis + 2]
            for axis in (0, 1)
        ]
        if min(sizes) < 1:
            continue
        ifmap = FeatureMap(height=sizes[0], width=sizes[1], channels=channels)
        seen = [min(*pair) for pair in zip(window.extent, sizes, strict=True)]
        too_large = seen[0] * seen[1] >= pixels
        if too_large and has_input_in_every_window(ifmap, window):
            return PoolShape(ifmap=ifmap, window=window)


def _with_sum_and_table(rng: np.random.Generator, pool: AveragePool | MaxPool) -> tuple[Layer, ...]:
    source, shape, bits = pool.input, pool.output.shape, pool.input.bits
    other = MaxPool(
        name="other",
        input=source,
        output=replace(source, name="other_out", shape=shape),
        shape=pool.shape,
        multiplier=pool_multiplier(source.scale, source.scale),
        clamp=source.limits,
    )
    scale = np.float32(max(pool.output.scale, source.scale) * np.float32(1.5))
    total = random_spec(rng, "sum_out", shape, scale, bits)
    multiplier, other_multiplier, shift = add_multipliers(pool.output.scale, source.scale, scale)
    added = Add(
        name="sum",
        input=pool.output,
        other=other.output,
        output=total,
        multiplier=multiplier,
        other_multiplier=other_multiplier,
        shift=shift,
        clamp=random_clamp(rng, total),
    )
    output = random_spec(rng, "table_out", shape, random_scale(rng), bits)
    size = (256,) if bits == 8 else (256, 2)
    table = rng.integers(0, 1 << bits, size=size).astype(element_type(bits, False))
    return pool, other, added, Table(name="table", input=total, output=output, table=table)
