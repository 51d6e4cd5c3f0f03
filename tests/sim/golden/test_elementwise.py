"""Sums, products and tables by hand-made cases; random ones are in test_run.py."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.layers import FeatureMap
from sim.golden.elementwise import add, look_up, multiply, rounded_shift
from sim.network import Add, Multiply, Table, TensorSpec


def spec(name: str, zero_point: int = 0, *, pixels: int = 2, signed: bool = True) -> TensorSpec:
    shape = FeatureMap(height=1, width=pixels, channels=2)
    return TensorSpec(
        name=name, shape=shape, signed=signed, scale=np.float32(1), zero_point=zero_point
    )


def values(*elements: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.array(elements, np.int8).reshape(1, -1, 2)


def sum_layer(other: TensorSpec, multipliers: tuple[int, int], shift: int) -> Add:
    return Add(
        name="s",
        input=spec("x", 1),
        other=other,
        output=spec("y", 3),
        multiplier=multipliers[0],
        other_multiplier=multipliers[1],
        shift=shift,
        clamp=(-100, 100),
    )


def product_layer(other: TensorSpec, multiplier: int, shift: int) -> Multiply:
    return Multiply(
        name="p",
        input=spec("x", 1),
        other=other,
        output=spec("y", 3),
        multiplier=multiplier,
        shift=shift,
        clamp=(-100, 100),
    )


@given(st.integers(-(2**42), 2**42), st.integers(0, 40))
def test_a_shift_rounds_half_to_even(value: int, shift: int) -> None:
    (rounded,) = rounded_shift(np.array([value], np.int64), shift)
    assert rounded == round(Fraction(value, 2**shift))


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)]
)
def test_ties(value: int, expected: int) -> None:
    assert rounded_shift(np.array([value], np.int64), 1).tolist() == [expected]


def test_a_sum_is_rounded_once() -> None:
    """Two halves are one: (1 * 1 + 1 * 1) / 2, and 1.5 is a tie."""
    layer = sum_layer(spec("b", -2), (1, 1), 1)
    y = add(layer, values(2, 3, 1, -128), values(-1, -1, -2, -128))
    assert y.tolist() == [[[3 + 1, 3 + 2], [3, -100]]]
    assert y.dtype == np.int8


def test_operands_have_their_own_multipliers() -> None:
    layer = sum_layer(spec("b"), (4, 2**23), 2)
    assert add(layer, values(11, 1, 1, 0), values(0, 0, 1, -1)).tolist() == [[[13, 3], [100, -100]]]


def test_one_pixel_is_added_to_all() -> None:
    layer = sum_layer(spec("b", pixels=1), (1, 1), 0)
    assert layer.broadcasts
    assert add(layer, values(1, 1, 2, 3), values(10, -20)).tolist() == [[[13, -17], [14, -15]]]


def test_products() -> None:
    layer = product_layer(spec("b", 2), 1, 2)
    # (a - 1) * (b - 2) / 4: 2 * 3 / 4 = 1.5 is a tie, as 2 * 5 / 4.
    y = multiply(layer, values(3, 3, 1, -128), values(5, 7, 9, 127))
    assert y.tolist() == [[[3 + 2, 3 + 2], [3, -100]]]


def test_the_largest_product_is_exact() -> None:
    layer = product_layer(spec("b", 127), 2**24 - 1, 40)
    y = multiply(layer, values(-128, -127, 1, 1), values(-128, -128, 0, 0))
    exact = [round(Fraction(difference * -255 * (2**24 - 1), 2**40)) for difference in (-129, -128)]
    assert y.tolist() == [[[3 + exact[0], 3 + exact[1]], [3, 3]]]


def test_one_pixel_scales_all() -> None:
    layer = product_layer(spec("b", pixels=1), 1, 0)
    assert multiply(layer, values(2, 3, 4, 5), values(10, -1)).tolist() == [[[13, 1], [33, -1]]]


def test_a_table_is_indexed_by_the_bits() -> None:
    table = np.arange(255, -1, -1, dtype=np.uint8)  # the complement
    signed = Table(name="t", input=spec("x"), output=spec("y"), table=table)
    assert look_up(signed, values(0, -1, 127, -128)).tolist() == [[[-1, 0], [-128, 127]]]
    mixed = Table(name="t", input=spec("x"), output=spec("y", signed=False), table=table)
    y = look_up(mixed, values(0, -1, 127, -128))
    assert y.dtype == np.uint8
    assert y.tolist() == [[[255, 0], [128, 127]]]
