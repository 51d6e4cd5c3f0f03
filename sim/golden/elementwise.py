"""Layers that work element by element: sum and product of two maps, functions of one number.

Sums and products are exact integers, below 2^58 in magnitude; each is divided by a power of two
and rounded half to even, once.
"""

import numpy as np
from numpy.typing import NDArray

from sim.golden.requantise import clamped_outputs
from sim.network import Add, Bytes, Multiply, Table, TensorSpec, element_type


def add(layer: Add, x: Bytes, other: Bytes) -> Bytes:
    """The layer's output map [height, width, channels]; ``other`` may be one pixel."""
    total = _difference(layer.input, x) * layer.multiplier
    total = total + _difference(layer.other, other) * layer.other_multiplier
    return clamped_outputs(rounded_shift(total, layer.shift), layer.output, layer.clamp)


def multiply(layer: Multiply, x: Bytes, other: Bytes) -> Bytes:
    """The layer's output map [height, width, channels]; ``other`` may be one pixel."""
    product = _difference(layer.input, x) * _difference(layer.other, other)
    rounded = rounded_shift(product * layer.multiplier, layer.shift)
    return clamped_outputs(rounded, layer.output, layer.clamp)


def look_up(layer: Table, x: Bytes) -> Bytes:
    """The layer's output map: what the table has for each element of ``x``."""
    bits = x.view(element_type(layer.input.bits, False))
    return np.asarray(table_outputs(layer.table, bits).view(layer.output.dtype))


def table_outputs(
    table: NDArray[np.uint8] | NDArray[np.uint16], bits: NDArray[np.uint8] | NDArray[np.uint16]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Output bits of a table (see ``sim.network.Table``) by input bits.

    Of 16 bits, start + floor(change * f / 256 + 1/2), f being the input's lower byte.
    """
    if table.ndim == 1:
        return table[bits]
    segments = table[bits >> 8]
    start, change = segments[..., 0], segments[..., 1].astype(np.int16).astype(np.int64)
    return np.asarray(start + (change * (bits & 0xFF) + 0x80 >> 8)).astype(np.uint16)


def rounded_shift(values: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """values / 2^``shift``, rounded half to even."""
    quotient = values >> shift
    remainder = values - (quotient << shift)
    half = (1 << shift) >> 1
    # A remainder on the half goes up where the quotient is odd.
    up = (remainder > half) | ((remainder == half) & (quotient & 1 == 1))
    return quotient if shift == 0 else np.asarray(quotient + up, np.int64)


def _difference(spec: TensorSpec, values: Bytes) -> NDArray[np.int64]:
    return values.astype(np.int64) - spec.zero_point
