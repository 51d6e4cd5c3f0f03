"""Requantisation against exact rationals, and its multipliers."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.errors import CompileError, ModelError
from arch.layers import FeatureMap
from sim.golden.requantise import check_accumulator, requantise
from sim.network import TensorSpec
from tests.support.exact_reference import exact_requantise

PIXEL = FeatureMap(height=1, width=1, channels=1)
INT32 = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-2000, 2000),
    # Odd numbers beyond 2**24 lie between two float32 values.
    st.integers(2**24 - 8, 2**24 + 8),
    st.integers(2**31 - 300, 2**31 - 1),
)
MULTIPLIERS = st.one_of(
    st.floats(2.0**-40, 2.0**8, width=32),
    # Halves, quarters ...: products on rounding ties.
    st.builds(lambda odd, bits: odd * 2.0**-bits, st.integers(1, 7), st.integers(0, 24)),
)


def spec(*, signed: bool = True, zero_point: int = 0) -> TensorSpec:
    return TensorSpec(
        name="y", shape=PIXEL, signed=signed, scale=np.float32(1), zero_point=zero_point
    )


def output(
    accumulator: int, multiplier: float, zero_point: int = 0, clamp: tuple[int, int] = (-128, 127)
) -> int:
    y = requantise(
        np.array([accumulator], np.int32),
        np.float32(multiplier),
        spec(zero_point=zero_point),
        clamp,
    )
    return int(y[0])


@given(INT32, MULTIPLIERS, st.integers(-128, 127), st.integers(-128, 127))
def test_equals_exact_rational_arithmetic(
    accumulator: int, multiplier: float, zero_point: int, low: int
) -> None:
    exact = exact_requantise(accumulator, Fraction(multiplier), zero_point, (low, 127))
    assert output(accumulator, multiplier, zero_point, (low, 127)) == exact


@pytest.mark.parametrize(
    ("accumulator", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)]
)
def test_ties_round_to_even(accumulator: int, expected: int) -> None:
    assert output(accumulator, 0.5) == expected


def test_the_zero_point_is_added_after_rounding() -> None:
    assert output(1, 0.5, zero_point=1) == 1  # rne(1.5) would be 2
    assert output(3, 0.5, zero_point=1) == 3  # rne(2.5) would be 2


def test_the_accumulator_rounds_to_float32_before_the_product() -> None:
    # 2**24 + 1 becomes 2**24, whose product is the tie 0.5; unrounded it would lie above it.
    assert output(2**24 + 1, 2.0**-25) == 0
    assert output(2**24 + 3, 2.0**-25) == 1  # becomes 2**24 + 4


def test_the_product_rounds_to_float32_before_the_rounding_to_an_integer() -> None:
    multiplier = np.float32(0.5 / 3)
    assert 3 * Fraction(float(multiplier)) > Fraction(1, 2)  # exactly: above the tie
    assert output(3, float(multiplier)) == 0  # in float32: on the tie


def test_products_beyond_every_integer_saturate() -> None:
    assert output(2**31 - 1, 3e38) == 127
    assert output(-(2**31), 3e38) == -128


def test_each_channel_has_its_multiplier() -> None:
    accumulator = np.full((1, 2, 3), 8, np.int64)
    multipliers = np.array([1.0, 0.5, 0.25], np.float32)
    y = requantise(accumulator, multipliers, spec(), (-128, 127))
    assert y.dtype == np.int8
    assert y.tolist() == [[[8, 4, 2], [8, 4, 2]]]


def test_unsigned_outputs() -> None:
    y = requantise(
        np.array([-9, 100, 300], np.int32),
        np.float32(1),
        spec(signed=False, zero_point=5),
        (0, 255),
    )
    assert y.dtype == np.uint8
    assert y.tolist() == [0, 105, 255]


@pytest.mark.parametrize(("bits", "width"), [(8, 32), (16, 48)])
def test_an_accumulator_holds_its_limits_and_no_more(bits: int, width: int) -> None:
    source, most = replace(spec(), bits=bits), 2 ** (width - 1)
    limits = np.array([-most, most - 1], np.int64)
    assert check_accumulator("a", limits, source).tolist() == limits.tolist()
    for value in (most, -most - 1):
        message = (
            f"layer a: sums must fit a {width}-bit accumulator, got {value}; "
            "split the layer's input channels or quantise its weights smaller"
        )
        with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
            check_accumulator("a", np.array([0, value], np.int64), source)


@pytest.mark.parametrize("multiplier", [0.0, -1.0, float("inf"), float("nan")])
def test_a_multiplier_must_be_positive_and_finite(multiplier: float) -> None:
    message = f"^tensor y: a multiplier must be positive and finite, got {multiplier}; "
    with pytest.raises(ModelError, match=message):
        output(1, multiplier)


def test_a_multiplier_must_be_float32() -> None:
    with pytest.raises(ModelError, match=r"^tensor y: a multiplier must be float32, got float64$"):
        requantise(np.array([1], np.int32), np.array([0.5]), spec(), (-128, 127))


@pytest.mark.parametrize("clamp", [(-129, 127), (0, 128), (5, 4)])
def test_a_clamp_must_lie_within_the_output(clamp: tuple[int, int]) -> None:
    message = f"tensor y: a clamp must be ordered and within (-128, 127), got {clamp}"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        output(1, 1.0, clamp=clamp)
