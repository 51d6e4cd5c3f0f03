"""Random convolutions with what the post-processor may do to their outputs."""

from dataclasses import replace

import numpy as np

from arch.layers import PoolShape
from sim.network import Add, Layer, MaxPool, Multiply, Table, TensorSpec
from tests.support.random_convolutions import random_conv
from tests.support.random_maps import SizeLimits, random_window


def random_fused(rng: np.random.Generator, limits: SizeLimits) -> tuple[Layer, ...]:
    """A convolution, and any of a maximum pooling, a sum or product, and a table behind it; without
    data that means anything."""
    conv, _ = random_conv(rng, limits)
    layers: list[Layer] = [conv]
    output = conv.output
    if rng.random() < 0.6:
        shape = PoolShape(ifmap=output.shape, window=random_window(rng, output.shape, limits))
        pooled = replace(output, name="pooled", shape=shape.ofmap)
        layers.append(_pool(output, pooled, shape))
        output = pooled
    if rng.random() < 0.6:
        layers.append(_join(rng, output))
        output = layers[-1].output
    if rng.random() < 0.4:
        size, dtype = ((256,), np.uint8) if limits.activation_bits == 8 else ((256, 2), np.uint16)
        looked_up = replace(output, name="looked_up")
        table = np.zeros(size, dtype)
        layers.append(Table(name="table", input=output, output=looked_up, table=table))
    return tuple(layers)


def _pool(source: TensorSpec, output: TensorSpec, shape: PoolShape) -> MaxPool:
    return MaxPool(
        name="pool",
        input=source,
        output=output,
        shape=shape,
        multiplier=np.float32(1),
        clamp=source.limits,
    )


def _join(rng: np.random.Generator, source: TensorSpec) -> Add | Multiply:
    """With a map as large as ``source``, or one pixel."""
    other = replace(source, name="other")
    if rng.random() < 0.5:
        other = replace(other, shape=replace(other.shape, height=1, width=1))
    output = replace(source, name="joined")
    if rng.random() < 0.5:
        return Multiply(
            name="product",
            input=source,
            other=other,
            output=output,
            multiplier=1 << 20,
            shift=20,
            clamp=source.limits,
        )
    return Add(
        name="sum",
        input=source,
        other=other,
        output=output,
        multiplier=1 << 20,
        other_multiplier=1 << 20,
        shift=20,
        clamp=source.limits,
    )
