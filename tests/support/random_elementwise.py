"""Random sums, products, tables, and layers that only move bytes."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap
from sim.multipliers import add_multipliers, product_multiplier
from sim.network import Add, Bytes, Concat, Multiply, Slice, Table, TensorSpec, element_type
from tests.support.random_maps import (
    DEFAULT_LIMITS,
    Maps,
    SizeLimits,
    lively,
    random_clamp,
    random_map,
    random_map_values,
    random_spec,
    rms,
    up_to,
)
from tests.support.random_multipliers import random_scale


def random_add(rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS) -> tuple[Add, Maps]:
    """A sum of two maps; the second is one pixel a third of the time.

    Where all three scales are powers of two, exact ties are frequent.
    """
    return lively(lambda: _draw_add(rng, limits))


def random_multiply(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Multiply, Maps]:
    """A product of two maps; the second is one pixel half of the time."""
    return lively(lambda: _draw_multiply(rng, limits))


def random_table(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Table, Maps]:
    """A table: random entries, or, of 8 bits, a quantised sigmoid."""
    ifmap, bits = random_map(rng, limits), limits.activation_bits
    source = random_spec(rng, "table_in", ifmap, random_scale(rng), bits)
    output = random_spec(rng, "table_out", ifmap, np.float32(1 / 255), bits)
    size = (256,) if bits == 8 else (256, 2)
    entries = rng.integers(0, (1 << bits) - 1, size=size, endpoint=True)
    table = entries.astype(element_type(bits, False))
    if bits == 8 and rng.random() < 0.5:
        table = _sigmoid(source, output)
    layer = Table(name="table", input=source, output=output, table=table)
    return layer, (random_map_values(rng, source),)


def random_concat(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Concat, Maps]:
    """Two to four maps side by side, of up to max_channels each."""
    shape, bits = random_map(rng, limits), limits.activation_bits
    output = random_spec(rng, "concat_out", shape, random_scale(rng), bits)
    inputs = []
    for index in range(int(rng.integers(2, 4, endpoint=True))):
        shape = replace(output.shape, channels=up_to(rng, limits.max_channels))
        inputs.append(replace(output, name=f"concat_in{index}", shape=shape))
    channels = sum(spec.shape.channels for spec in inputs)
    output = replace(output, shape=replace(output.shape, channels=channels))
    layer = Concat(name="concat", inputs=tuple(inputs), output=output)
    return layer, tuple(random_map_values(rng, spec) for spec in inputs)


def random_slice(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Slice, Maps]:
    """A box of a map; half of them take channels alone."""
    shape, bits = random_map(rng, limits), limits.activation_bits
    source = random_spec(rng, "slice_in", shape, random_scale(rng), bits)
    boxes = [_part(rng, size) for size in (shape.height, shape.width, shape.channels)]
    if rng.random() < 0.5:
        boxes[:2] = [(0, shape.height), (0, shape.width)]
    (y, height), (x, width), (channel, channels) = boxes
    part = FeatureMap(height=height, width=width, channels=channels)
    output = replace(source, name="slice_out", shape=part)
    layer = Slice(name="slice", input=source, output=output, start=(y, x, channel))
    return layer, (random_map_values(rng, source),)


def _draw_add(rng: np.random.Generator, limits: SizeLimits) -> tuple[Add, Maps]:
    source, other, maps, reals = _operands(rng, limits, "add", pixel=1 / 3)
    scale = _near(rng, sum(map(rms, reals)) / (rng.uniform(10.0, 80.0) * limits.steps))
    output = random_spec(rng, "add_out", source.shape, scale, source.bits)
    multiplier, other_multiplier, shift = add_multipliers(source.scale, other.scale, scale)
    layer = Add(
        name="add",
        input=source,
        other=other,
        output=output,
        multiplier=multiplier,
        other_multiplier=other_multiplier,
        shift=shift,
        clamp=random_clamp(rng, output),
    )
    return layer, maps


def _draw_multiply(rng: np.random.Generator, limits: SizeLimits) -> tuple[Multiply, Maps]:
    source, other, maps, reals = _operands(rng, limits, "multiply", pixel=1 / 2)
    scale = _near(rng, rms(reals[0]) * rms(reals[1]) / (rng.uniform(10.0, 80.0) * limits.steps))
    output = random_spec(rng, "multiply_out", source.shape, scale, source.bits)
    multiplier, shift = product_multiplier(source.scale, other.scale, scale)
    layer = Multiply(
        name="multiply",
        input=source,
        other=other,
        output=output,
        multiplier=multiplier,
        shift=shift,
        clamp=random_clamp(rng, output),
    )
    return layer, maps


def _operands(
    rng: np.random.Generator, limits: SizeLimits, name: str, *, pixel: float
) -> tuple[TensorSpec, TensorSpec, tuple[Bytes, Bytes], list[NDArray[np.float64]]]:
    """Two specs of scales that differ by up to 64, their maps, and their real values.

    With probability ``pixel`` the second is one pixel.
    """
    shape = random_map(rng, limits)
    source = random_spec(rng, f"{name}_in", shape, random_scale(rng), limits.activation_bits)
    if rng.random() < pixel:
        shape = FeatureMap(height=1, width=1, channels=shape.channels)
    scale = _near(rng, float(source.scale) * 2.0 ** rng.uniform(-6.0, 6.0))
    other = random_spec(rng, f"{name}_other", shape, scale, source.bits)
    maps = random_map_values(rng, source), random_map_values(rng, other)
    reals = [
        (values.astype(np.float64) - spec.zero_point) * float(spec.scale)
        for values, spec in zip(maps, (source, other), strict=True)
    ]
    return source, other, maps, reals


def _near(rng: np.random.Generator, scale: float) -> np.float32:
    """``scale``, or the power of two next to it; a small one in place of 0."""
    scale = scale or 2.0**-8
    return np.float32(2.0 ** round(np.log2(scale)) if rng.random() < 0.5 else scale)


def _sigmoid(source: TensorSpec, output: TensorSpec) -> NDArray[np.uint8]:
    bits = np.arange(256, dtype=np.uint8)
    q = bits.view(np.int8) if source.signed else bits
    real = (q.astype(np.float64) - source.zero_point) * float(source.scale)
    values = np.rint(1 / (1 + np.exp(-real)) / float(output.scale)) + output.zero_point
    clamped = np.clip(values, *output.limits)
    return np.asarray(clamped.astype(np.int16).astype(np.uint8))


def _part(rng: np.random.Generator, size: int) -> tuple[int, int]:
    """(start, length) of a part of ``size``."""
    length = up_to(rng, size)
    return int(rng.integers(size - length, endpoint=True)), length
