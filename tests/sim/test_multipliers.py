"""Multipliers against exact rationals."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.errors import ModelError
from sim.multipliers import (
    add_multipliers,
    average_multiplier,
    conv_multiplier,
    pool_multiplier,
    product_multiplier,
)
from tests.support.exact_reference import (
    exact_add_multipliers,
    exact_average_multiplier,
    exact_conv_multiplier,
    exact_pool_multiplier,
    exact_product_multiplier,
)

SCALES = st.floats(2.0**-20, 2.0**20, width=32)
NEAR_SCALES = st.floats(2.0**-7, 2.0**5, width=32)


@given(SCALES, SCALES, SCALES)
def test_conv_multiplier_rounds_twice(scale_in: float, weights: float, scale_out: float) -> None:
    multiplier = conv_multiplier(
        np.float32(scale_in), np.array([weights], np.float32), np.float32(scale_out)
    )
    assert multiplier.dtype == np.float32
    assert Fraction(float(multiplier[0])) == exact_conv_multiplier(scale_in, weights, scale_out)


@given(SCALES, SCALES)
def test_pool_multiplier_rounds_once(scale_in: float, scale_out: float) -> None:
    multiplier = pool_multiplier(np.float32(scale_in), np.float32(scale_out))
    assert isinstance(multiplier, np.float32)
    assert Fraction(float(multiplier)) == exact_pool_multiplier(scale_in, scale_out)


@given(SCALES, SCALES, st.integers(1, 2**16))
def test_average_multiplier_rounds_twice(scale_in: float, scale_out: float, pixels: int) -> None:
    multiplier = average_multiplier(np.float32(scale_in), np.float32(scale_out), pixels)
    assert isinstance(multiplier, np.float32)
    assert Fraction(float(multiplier)) == exact_average_multiplier(scale_in, scale_out, pixels)


@given(NEAR_SCALES, NEAR_SCALES, NEAR_SCALES)
def test_add_multipliers_are_the_ratios_in_fixed_point(
    first: float, other: float, out: float
) -> None:
    made = add_multipliers(np.float32(first), np.float32(other), np.float32(out))
    assert list(made) == exact_add_multipliers(first, other, out)
    assert max(made[:2]) < 2**24
    # The larger one has 24 bits, unless the shift is at its end.
    assert max(made[:2]) >= 2**23 or made[2] == 40


@given(NEAR_SCALES, NEAR_SCALES, NEAR_SCALES)
def test_product_multiplier_is_the_ratio_in_fixed_point(
    first: float, other: float, out: float
) -> None:
    made = product_multiplier(np.float32(first), np.float32(other), np.float32(out))
    assert list(made) == exact_product_multiplier(first, other, out)


def one(value: float) -> np.float32:
    return np.float32(value)


def test_fixed_point_by_hand() -> None:
    assert add_multipliers(one(1), one(0.5), one(2)) == (2**23, 2**22, 24)
    # 1 - 2^-24 times 2^23 is a tie, and rounds up.
    below = np.nextafter(one(1), one(0))
    assert add_multipliers(below, one(1), one(1)) == (2**23, 2**23, 23)
    assert add_multipliers(below, below, one(1)) == (2**24 - 1, 2**24 - 1, 24)
    assert product_multiplier(one(2), one(4), one(0.5)) == (2**23, 19)


def test_a_small_operand_may_vanish() -> None:
    assert add_multipliers(one(1), one(2.0**-26), one(1)) == (2**23, 0, 23)
    assert product_multiplier(one(2.0**-20), one(2.0**-20), one(1)) == (1, 40)


@pytest.mark.parametrize(
    ("scale_in", "scale_out", "shown"),
    [(2.0**-60, 1.0, "8.67362e-19"), (2.0**30, 1.0, "1.07374e+09")],
)
def test_ratios_out_of_range(scale_in: float, scale_out: float, shown: str) -> None:
    message = (
        f"input scales over output scale must be 2^-40 to 2^24, got {shown}; "
        "quantise again with other calibration data"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        add_multipliers(one(scale_in), one(scale_in), one(scale_out))
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        product_multiplier(one(scale_in), one(1), one(scale_out))
