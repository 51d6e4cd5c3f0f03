"""The operand unit against exact integers."""

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from random import Random
from typing import Any

import pytest

from arch.post_timing import OPERAND_LATENCY
from hw.operand import OperandUnit, constants_layout, passing
from tests.support.amaranth_sim import simulate, to_verilog

SHIFTS = range(64)
MOST = (1 << 24) - 1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the unit holds while elements are in flight."""

    multiply: int
    operand_unsigned: int
    multiplier: int
    operand_multiplier: int
    shift: int
    operand_zero_point: int
    zero_point: int
    low: int
    high: int
    bits: int = 9

    @property
    def constants(self) -> dict[str, int]:
        names = constants_layout(self.bits).members
        return {name: getattr(self, name) for name in names if name[0] != "_"}

    def total(self, value: int, operand: int) -> int:
        codes = 1 << self.bits - 1
        negative = operand >= codes // 2 and not self.operand_unsigned
        b = operand - codes * negative - self.operand_zero_point
        if self.multiply:
            return value * b * self.multiplier
        return value * self.multiplier + b * self.operand_multiplier

    def result(self, value: int, operand: int) -> int:
        # Python rounds halves to even.
        rounded = round(Fraction(self.total(value, operand), 1 << self.shift))
        return min(max(rounded + self.zero_point, self.low), self.high)


def random_setting(rng: Random, shift: int, bits: int) -> Setting:
    """Multipliers that bring most results of this shift within their limits, or any."""
    most = 1 << bits - 1

    def limit() -> int:
        ends = [-most, 1 - most, -most // 2, 0, most // 2 - 1, most - 1]
        return rng.choice([*ends, rng.randint(-most, most - 1)])

    multiply = rng.randrange(2)
    fitting = min(MOST, 1 << max(0, shift - (bits - 1) * multiply + rng.randint(-2, 2)))
    multipliers = [fitting, rng.randint(1, fitting), MOST, rng.randint(0, MOST), 0]
    low, high = (-most, most - 1) if rng.random() < 0.6 else sorted((limit(), limit()))
    return Setting(
        multiply=multiply,
        operand_unsigned=rng.randrange(2),
        multiplier=rng.choices(multipliers, [4, 4, 1, 1, 1])[0],
        operand_multiplier=rng.choices(multipliers, [4, 4, 1, 1, 1])[0],
        shift=shift,
        operand_zero_point=limit() if rng.random() < 0.5 else 0,
        zero_point=limit() if rng.random() < 0.5 else 0,
        low=low,
        high=high,
        bits=bits,
    )


def random_elements(rng: Random, count: int, bits: int = 9) -> list[tuple[int, int]]:
    most = 1 << bits - 1
    operands = (0, 1, most // 2 - 1, most // 2, most - 1)
    ends = [(value, operand) for value in (-most, -1, 0, 1, most - 1) for operand in operands]
    return ends + [(rng.randint(-most, most - 1), rng.randrange(most)) for _ in range(count)]


def simulated(setting: dict[str, Any], elements: list[tuple[int, int]], bits: int = 9) -> list[int]:
    """One element in every cycle; results as they stand LATENCY cycles after their elements."""
    dut = OperandUnit(value_bits=bits)
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        for name, held in setting.items():
            ctx.set(getattr(dut, name), held)
        for cycle in range(len(elements) + OPERAND_LATENCY):
            if cycle < len(elements):
                ctx.set(dut.value, elements[cycle][0])
                ctx.set(dut.operand, elements[cycle][1])
            if cycle >= OPERAND_LATENCY:
                results.append(ctx.get(dut.result))
            await ctx.tick()

    simulate(dut, bench)
    return results


def check(setting: Setting, elements: list[tuple[int, int]]) -> None:
    held = {
        "multiply": setting.multiply,
        "operand_unsigned": setting.operand_unsigned,
        "constants": setting.constants,
    }
    found = simulated(held, elements, setting.bits)
    assert found == [setting.result(*element) for element in elements], setting


@pytest.mark.parametrize("bits", [9, 17])
@pytest.mark.parametrize("shift", SHIFTS)
def test_random_elements_of_every_shift(shift: int, bits: int) -> None:
    rng = Random(shift)
    for _ in range(6):
        check(random_setting(rng, shift, bits), random_elements(rng, 200, bits))


@pytest.mark.parametrize("shift", [1, 2, 3, 4, 5, 12, 15, 16, 17, 23, 24])
def test_ties_and_their_neighbours(shift: int) -> None:
    """Totals of every value around a half of the last place kept: value * 2^(shift - 1) + b."""
    rng = Random(shift)
    for unsigned, step in ((0, 1), (1, 1), (0, MOST >> 10)):
        setting = Setting(
            multiply=0,
            operand_unsigned=unsigned,
            multiplier=1 << shift - 1,
            operand_multiplier=step,
            shift=shift,
            operand_zero_point=0,
            zero_point=0,
            low=-256,
            high=255,
        )
        near = [0, 1, 255] if not unsigned else [0, 1, 2]
        elements = [(value, byte) for value in range(-256, 256) for byte in near]
        totals = [setting.total(*element) for element in elements]
        halves = sum(2 * total % (1 << shift + 1) == 1 << shift for total in totals)
        assert halves >= 128
        check(setting, elements + random_elements(rng, 50))


@pytest.mark.parametrize("shift", [0, 17, 31, 32, 33, 40])
@pytest.mark.parametrize("unsigned", [0, 1])
@pytest.mark.parametrize(
    ("bits", "zero_point"),
    [(9, -256), (9, -255), (9, 255), (17, -(1 << 16)), (17, -(1 << 16) + 1), (17, (1 << 16) - 1)],
)
def test_the_largest_products(unsigned: int, bits: int, zero_point: int, shift: int) -> None:
    most = 1 << bits - 1
    for multiply in (0, 1):
        setting = Setting(
            multiply=multiply,
            operand_unsigned=unsigned,
            multiplier=MOST,
            operand_multiplier=MOST,
            shift=shift,
            operand_zero_point=zero_point,
            zero_point=0,
            low=-most,
            high=most - 1,
            bits=bits,
        )
        check(setting, random_elements(Random(shift), 50, bits))


def test_the_reference_rounds_half_to_even() -> None:
    setting = Setting(
        multiply=0,
        operand_unsigned=0,
        multiplier=1,
        operand_multiplier=0,
        shift=1,
        operand_zero_point=0,
        zero_point=0,
        low=-256,
        high=255,
    )
    for value in range(-256, 256):
        below = floor(value / 2)
        even = below + (value % 2 and below % 2)
        assert setting.result(value, 0) == even


@pytest.mark.parametrize("bits", [9, 17])
@pytest.mark.parametrize("unsigned", [0, 1])
def test_passing_constants_give_out_every_value_itself(unsigned: int, bits: int) -> None:
    rng, most = Random(unsigned), 1 << bits - 1
    values = range(-most, most, most // 256)
    elements = [(value, rng.randrange(most)) for value in (*values, most - 1)]
    held = {"multiply": 0, "operand_unsigned": unsigned, "constants": passing(bits)}
    assert simulated(held, elements, bits) == [value for value, _ in elements]


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(OperandUnit())
