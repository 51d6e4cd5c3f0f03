"""Random scales, and multipliers that make the roundings of requantisation matter."""

from collections.abc import Callable
from functools import partial

import numpy as np

# (multiplier wanted, an accumulator that the layer has) -> multiplier near it.
Adjustment = Callable[[float, int], float]


def random_scale(rng: np.random.Generator) -> np.float32:
    """Log-uniform from 1/1024 to 1; a power of two every other time."""
    exponent = rng.uniform(-10.0, 0.0)
    return np.float32(2.0 ** (round(exponent) if rng.random() < 0.5 else exponent))


def random_adjustment(rng: np.random.Generator) -> Adjustment:
    """Leave a multiplier as it is, keep 1 or 3 of its bits, or aim it at a tie.

    Few bits put many products on exact ties. An aimed multiplier, rounded to float32, puts the
    accumulator's product beside a tie or, once rounded to float32 itself, on it.
    """
    kinds: tuple[Adjustment, ...] = (
        lambda multiplier, _: multiplier,
        lambda multiplier, _: multiplier,
        partial(_keep_bits, 1),
        partial(_keep_bits, 3),
        _aim_at_tie,
        _aim_at_tie,
    )
    return kinds[int(rng.integers(len(kinds)))]


def _keep_bits(bits: int, multiplier: float, _: int) -> float:
    mantissa, exponent = np.frexp(multiplier)
    return float(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))


def _aim_at_tie(multiplier: float, accumulator: int) -> float:
    if accumulator == 0:
        return multiplier
    return (int(abs(accumulator) * multiplier) + 0.5) / abs(accumulator)
