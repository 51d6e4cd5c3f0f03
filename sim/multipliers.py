"""From scales to the multipliers of layers: the formulas of docs/numbers.md."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from arch.errors import ModelError

MAX_SHIFT = 40
MULTIPLIER_BITS = 24
# What scales in a file may lead to; the compiler refuses multipliers that are not finite.
_BEYOND_FLOAT32 = np.errstate(over="ignore", divide="ignore", invalid="ignore")


@_BEYOND_FLOAT32
def conv_multiplier(
    scale_in: np.float32, scale_weights: NDArray[np.float32], scale_out: np.float32
) -> NDArray[np.float32]:
    """float32(float32(sx * sw_c) / sy) for each output channel; shape of ``scale_weights``."""
    product = np.float32(scale_in) * np.asarray(scale_weights, np.float32)
    return np.asarray(product / np.float32(scale_out), np.float32)


@_BEYOND_FLOAT32
def pool_multiplier(scale_in: np.float32, scale_out: np.float32) -> np.float32:
    """float32(sx / sy)."""
    return np.float32(np.float32(scale_in) / np.float32(scale_out))


@_BEYOND_FLOAT32
def average_multiplier(scale_in: np.float32, scale_out: np.float32, taps: int) -> np.float32:
    """float32(sx / float32(sy * float32(taps))), each operation rounded to float32."""
    return np.float32(np.float32(scale_in) / np.float32(np.float32(scale_out) * np.float32(taps)))


def add_multipliers(
    scale_in: np.float32, scale_other: np.float32, scale_out: np.float32
) -> tuple[int, int, int]:
    """(multiplier, other_multiplier, shift) of an addition.

    Integers near sa / sy * 2^shift and sb / sy * 2^shift, rounded half to even. ``shift`` is the
    largest, up to 40, that keeps both below 2^24; the smaller multiplier may be 0. Raises
    ``ModelError`` if no shift does, or if both multipliers are 0.
    """
    (first, second), shift = _fixed_point(
        [_exact(scale_in) / _exact(scale_out), _exact(scale_other) / _exact(scale_out)]
    )
    return first, second, shift


def product_multiplier(
    scale_in: np.float32, scale_other: np.float32, scale_out: np.float32
) -> tuple[int, int]:
    """(multiplier, shift) of a multiplication.

    The integer near sa * sb / sy * 2^shift, rounded half to even; ``shift`` as for an addition.
    Raises ``ModelError`` if no shift does, or if the multiplier is 0.
    """
    (multiplier,), shift = _fixed_point(
        [_exact(scale_in) * _exact(scale_other) / _exact(scale_out)]
    )
    return multiplier, shift


def _exact(scale: np.float32) -> Fraction:
    return Fraction(float(scale))


def _fixed_point(ratios: Sequence[Fraction]) -> tuple[list[int], int]:
    """The ratios times 2^shift as integers, with the largest shift that keeps them in range."""
    for shift in range(MAX_SHIFT, -1, -1):
        integers = [round(ratio * (1 << shift)) for ratio in ratios]  # ties to even
        if max(integers) < 1 << MULTIPLIER_BITS:
            break
    else:
        integers, shift = [0], 0
    if max(integers) == 0:
        raise ModelError(
            f"input scales over output scale must be 2^-{MAX_SHIFT} to 2^{MULTIPLIER_BITS}, "
            f"got {float(max(ratios)):g}; quantise again with other calibration data"
        )
    return integers, shift
