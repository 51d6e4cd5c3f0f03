"""The requantiser against NumPy's float32 arithmetic, bit for bit."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray

from arch.post_timing import REQUANTISE_LATENCY
from hw.requantise import Requantiser

SMALLEST = np.float32(2.0**-149)
LARGEST = np.finfo(np.float32).max

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the requantiser holds while elements are in flight."""

    zero_point: int
    low: int
    high: int

    bits: int = 32
    """Width of the accumulator."""
    result_bits: int = 9


INT8 = Output(zero_point=0, low=-128, high=127)
# Wide enough to tell neighbouring integers apart up to the saturation.
WIDE = Output(zero_point=0, low=-256, high=255)
WIDE16 = Output(zero_point=0, low=-(1 << 16), high=(1 << 16) - 1, bits=48, result_bits=17)
WIDTHS = pytest.mark.parametrize("wide", [WIDE, WIDE16], ids=["8 bits", "16 bits"])


def expected(values: Integers, multipliers: Floats, output: Output) -> list[int]:
    with np.errstate(over="ignore"):
        # One rounding: NumPy converts 64-bit integers as 32-bit ones.
        product = values.astype(np.float32) * multipliers
    assert product.dtype == np.float32
    rounded = np.clip(np.rint(product), -(2.0**30), 2.0**30).astype(np.int64)
    return [int(y) for y in np.clip(rounded + output.zero_point, output.low, output.high)]


def simulated(values: Integers, multipliers: Floats, output: Output) -> list[int]:
    """One element in every cycle; results as they stand LATENCY cycles after their elements."""
    dut = Requantiser(bits=output.bits, result_bits=output.result_bits)
    bits = [int(word) for word in multipliers.view(np.uint32)]
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.zero_point, output.zero_point)
        ctx.set(dut.low, output.low)
        ctx.set(dut.high, output.high)
        for cycle in range(len(bits) + REQUANTISE_LATENCY):
            if cycle < len(bits):
                ctx.set(dut.value, int(values[cycle]))
                ctx.set(dut.multiplier, bits[cycle])
            if cycle >= REQUANTISE_LATENCY:
                results.append(ctx.get(dut.result))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def check(values: Integers, multipliers: Floats, output: Output) -> None:
    wrong = [
        f"value={value} multiplier={multiplier.hex()} {output}: got {got}, expected {want}"
        for value, multiplier, got, want in zip(
            values.tolist(),
            multipliers.astype(np.float64).tolist(),
            simulated(values, multipliers, output),
            expected(values, multipliers, output),
            strict=True,
        )
        if got != want
    ]
    assert not wrong, f"{len(wrong)} of {len(values)} elements differ; first: {wrong[0]}"


def pairs(values: Integers, multipliers: Floats) -> tuple[Integers, Floats]:
    """Every value with every multiplier."""
    return np.repeat(values, len(multipliers)), np.tile(multipliers, len(values))


def signs(values: Integers) -> Integers:
    return np.concatenate([values, -values])


def odd(rng: np.random.Generator, bits: Integers) -> Integers:
    """Odd integers of exactly ``bits`` bits each, at least 2."""
    top = np.int64(1) << (bits - 1)
    return top | rng.integers(0, top) | 1


def powers_and_neighbours(bits: int) -> tuple[Integers, Floats]:
    around = (np.int64(1) << np.arange(bits))[:, None] + np.arange(-1, 2)
    values = signs(np.concatenate([around.ravel(), [0]]))
    most = 1 << bits - 1
    values = np.unique(values[(values >= -most) & (values < most)])
    multipliers = np.ldexp(np.float32(1), np.arange(-2 - bits, 10)).astype(np.float32)
    return pairs(values, multipliers)


def all_exponents(bits: int) -> tuple[Integers, Floats]:
    most = (1 << bits - 1) - 1
    values = np.array([-most - 1, most, most - 63, -1, 0, 1, 3, 1 << 24, -(1 << 24) - 1])
    exponents = np.arange(255, dtype=np.uint32) << 23
    fractions = np.array([0, 1, 1 << 22, (1 << 23) - 1], np.uint32)
    return pairs(values, (exponents[:, None] | fractions).ravel().view(np.float32))


def conversion_ties(rng: np.random.Generator, bits: int) -> tuple[Integers, Floats]:
    """Values halfway between two float32, and their neighbours; products that show the lowest
    bits of the converted value."""
    extra = rng.integers(1, bits - 24, 1500)
    exact = odd(rng, np.full(1500, 24)) ^ rng.integers(0, 2, 1500)
    values = ((2 * exact + 1) << (extra - 1)) + rng.integers(-1, 2, 1500) * (extra > 1)
    # Exactly representable steps away from a tie of the result.
    quotient = (rng.integers(0, 250, 1500) + 0.5) / (exact << extra)
    return values * rng.choice([-1, 1], 1500), quotient.astype(np.float32)


def inverse(odds: Integers) -> Integers:
    """x with odds * x = 1 modulo 2^24 (Newton's iteration; each step doubles the exact bits)."""
    x = odds
    for _ in range(4):
        x = x * (2 - odds * x) & 0xFFFFFF
    return x


def product_ties(rng: np.random.Generator) -> tuple[Integers, Floats]:
    """Products that lie halfway between two float32, or a little beside, one of the two being
    halfway between two integers: the product's rounding decides the result.

    A random factor and the low bits wanted of the product give the other factor; one trial in
    2^14 happens to have a product next to such a float32.
    """
    trials = 1 << 22
    dropped = rng.integers(23, 25, trials)
    beside = rng.integers(-1, 2, trials) << rng.choice([0, 22], trials)
    beside[dropped == 23] = np.sign(beside[dropped == 23])
    left = odd(rng, np.full(trials, 24))
    low_bits = (np.int64(1) << (dropped - 1)) + beside
    right = (low_bits * inverse(left) & (np.int64(1) << dropped) - 1) | 1 << 23
    kept = left * right >> dropped
    # Which of the two neighbours it is: its significant bits end above bit 14.
    tie = np.where(kept & 0x7FFF == 0, kept, kept + 1)
    fits = (kept >> 23 == 1) & (tie & 0x7FFF == 0)
    left, right, dropped, tie = left[fits], right[fits], dropped[fits], tie[fits]
    # The lowest set bit of the tie becomes the half.
    half = dropped + np.round(np.log2(tie & -tie)).astype(np.int64)
    multipliers = np.ldexp(right.astype(np.float64), -half - 1).astype(np.float32)
    return left * rng.choice([-1, 1], len(left)), multipliers


def product_carries(rng: np.random.Generator) -> tuple[Integers, Floats]:
    """Products just below a power of two, about half of which round up to it."""
    left = rng.integers(1 << 23, 1 << 24, 1000)
    bits = rng.integers(47, 49, 1000)
    right = (np.int64(1) << bits) // left
    fits = right < 1 << 24
    scale = rng.integers(0, 8, 1000) - bits
    return left[fits], np.ldexp(right.astype(np.float64), scale).astype(np.float32)[fits]


def result_ties(rng: np.random.Generator, most: int) -> tuple[Integers, Floats]:
    """Products exactly halfway between integers, and one float32 step beside."""
    integers = rng.integers(-most - 4, most + 4, 3000)
    scale = rng.integers(1, 13, 3000)
    values = (2 * integers + 1) << rng.integers(0, 12, 3000)
    multipliers = ((integers + 0.5) / values).astype(np.float32)
    step = rng.integers(-1, 2, 3000).astype(np.float32)
    near = np.nextafter(multipliers, multipliers + step).astype(np.float32)
    more = np.ldexp(2.0 * integers + 1, scale).astype(np.int64)
    exact = np.ldexp(np.float32(1), -scale - 1).astype(np.float32)
    return np.concatenate([values, more]), np.concatenate([near, exact])


def spread(rng: np.random.Generator, count: int, wide: Output) -> tuple[Integers, Floats]:
    """Values of every magnitude, multipliers of every mantissa, results mostly within range."""
    most = 1 << wide.bits - 1
    values = rng.integers(-most, most, count) >> rng.integers(0, wide.bits - 1, count)
    target = np.exp2(rng.uniform(-3, wide.result_bits + 1, count))
    multipliers = (target / np.maximum(np.abs(values), 1)).astype(np.float32)
    return values, multipliers


@WIDTHS
def test_powers_of_two_and_their_neighbours(wide: Output) -> None:
    check(*powers_and_neighbours(wide.bits), wide)


@pytest.mark.parametrize("output", [INT8, WIDE16], ids=["8 bits", "16 bits"])
def test_every_exponent_of_the_multiplier(output: Output) -> None:
    check(*all_exponents(output.bits), output)


@WIDTHS
def test_ties_of_the_conversion_to_float32(wide: Output) -> None:
    check(*conversion_ties(np.random.default_rng(1), wide.bits), wide)


@WIDTHS
def test_ties_of_the_product(wide: Output) -> None:
    check(*product_ties(np.random.default_rng(2)), wide)


@WIDTHS
def test_carries_of_the_product(wide: Output) -> None:
    check(*product_carries(np.random.default_rng(4)), wide)


@WIDTHS
def test_ties_of_the_result(wide: Output) -> None:
    check(*result_ties(np.random.default_rng(3), -wide.low), wide)


@WIDTHS
@pytest.mark.parametrize("seed", range(4))
def test_random_elements_and_limits(seed: int, wide: Output) -> None:
    rng, most = np.random.default_rng(seed), -wide.low
    low, high = sorted(int(limit) for limit in rng.integers(-most, most, 2))
    zero_point = int(rng.integers(-most, most))
    output = replace(wide, zero_point=zero_point, low=low, high=high)
    check(*spread(rng, 20_000, wide), output)
