"""The accumulators against plain sums, visited as densely as their contract allows."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.timing import ACCUMULATE_LATENCY, BUFFER_READ_LATENCY
from hw.accumulators import Accumulators
from tests.support.amaranth_sim import simulate, to_verilog

CYCLES = 1500


def small_config(cols: int) -> AcceleratorConfig:
    """Eight entries in each half."""
    sizes = {"rows": 5, "cols": cols, "accumulator_buffer_bytes": 256, "requantiser_lanes": 1}
    return AcceleratorConfig.from_mapping(PRESETS["tiny"].model_dump() | sizes)


@dataclass(frozen=True)
class Addition:
    """Psums that arrive in a cycle."""

    entry: int
    first: bool
    psums: list[int]


@dataclass
class Model:
    """Sums by entry, and when each entry was last visited."""

    config: AcceleratorConfig
    sums: dict[int, list[int]] = field(default_factory=dict)
    visited: dict[int, int] = field(default_factory=dict)

    def half(self, entry: int) -> int:
        return entry // self.config.accumulator_half_entries

    def settled(self, entry: int, cycle: int) -> bool:
        return entry in self.sums and cycle - self.visited[entry] >= ACCUMULATE_LATENCY

    def addition(self, rng: random.Random, cycle: int) -> Addition | None:
        """A random one that the contract allows."""
        entry = rng.randrange(self.config.accumulator_entries)
        first = not self.settled(entry, cycle) or rng.random() < 0.1
        limit = 1 << self.config.psum_bits - 1
        psums = [rng.choice([-limit, limit - 1, rng.randrange(-limit, limit)])] * self.config.cols
        psums[0] = rng.randrange(-limit, limit)
        return Addition(entry, first, psums) if rng.random() < 0.8 else None

    def add(self, addition: Addition, cycle: int) -> None:
        before = [0] * self.config.cols if addition.first else self.sums[addition.entry]
        self.sums[addition.entry] = [
            old + psum for old, psum in zip(before, addition.psums, strict=True)
        ]
        self.visited[addition.entry] = cycle


class Bench:
    """Drives random additions and drains in every cycle, and checks all outputs."""

    def __init__(self, config: AcceleratorConfig, rng: random.Random) -> None:
        self.model, self.rng = Model(config), rng
        self.dut = Accumulators(config=config)
        self.coming: list[list[int] | None] = [None] * BUFFER_READ_LATENCY
        self.writes = [False] * (ACCUMULATE_LATENCY - 1)
        self.conflicts = [False]
        self.compared = 0

    async def run(self, ctx: Any) -> None:
        for cycle in range(CYCLES):
            addition = self.model.addition(self.rng, cycle)
            adds = addition is not None and not addition.first
            self.add(ctx, addition)
            self.drain(ctx, cycle, addition if adds else None)
            assert ctx.get(self.dut.read) == adds, cycle
            self.writes.append(addition is not None)
            assert ctx.get(self.dut.write) == self.writes.pop(0), cycle
            assert ctx.get(self.dut.conflict) == self.conflicts[cycle], cycle
            if addition is not None:
                self.model.add(addition, cycle)
            await ctx.tick()

    def add(self, ctx: Any, addition: Addition | None) -> None:
        dut, rng = self.dut, self.rng
        shown = addition or Addition(rng.getrandbits(4), rng.random() < 0.5, [7] * len(dut.psums))
        ctx.set(dut.valid, addition is not None)
        ctx.set(dut.address, shown.entry)
        ctx.set(dut.first, shown.first)
        ctx.set(dut.psums, shown.psums)

    def drain(self, ctx: Any, cycle: int, added_to: Addition | None) -> None:
        """Drain some settled entry, unless that would spoil the addition; any entry else."""
        dut, model = self.dut, self.model
        entry = self.rng.randrange(model.config.accumulator_entries)
        conflict = added_to is not None and model.half(added_to.entry) == model.half(entry)
        drains = self.rng.random() < 0.7 and not conflict
        known = drains and model.settled(entry, cycle)
        ctx.set(dut.drain.valid, drains)
        ctx.set(dut.drain.address, entry)
        self.conflicts.append(False)
        self.coming.append(model.sums[entry] if known else None)
        wanted = self.coming.pop(0)
        if wanted is not None:
            columns = range(model.config.cols)
            assert [ctx.get(dut.drain.data[column]) for column in columns] == wanted, cycle
            self.compared += 1


@pytest.mark.parametrize("cols", [3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_sums_are_exact_at_the_stated_cycles(seed: int, cols: int) -> None:
    bench = Bench(small_config(cols), random.Random(seed))
    simulate(bench.dut, bench.run)
    assert bench.compared > CYCLES // 5


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("other_half", [False, True])
@pytest.mark.parametrize("drains", [False, True])
def test_a_conflict_is_told_in_the_next_cycle(first: bool, other_half: bool, drains: bool) -> None:
    config = small_config(4)
    dut = Accumulators(config=config)

    async def run(ctx: Any) -> None:
        ctx.set(dut.valid, 1)
        ctx.set(dut.first, first)
        ctx.set(dut.address, 3)
        ctx.set(dut.drain.valid, drains)
        ctx.set(dut.drain.address, 5 + other_half * config.accumulator_half_entries)
        assert not ctx.get(dut.conflict)
        await ctx.tick()
        ctx.set(dut.valid, 0)
        assert ctx.get(dut.conflict) == (drains and not first and not other_half)
        await ctx.tick()
        assert not ctx.get(dut.conflict)

    simulate(dut, run)


def test_sums_are_signed_and_wider_than_psums() -> None:
    config = small_config(3)
    dut = Accumulators(config=config)
    least, times = -(1 << config.psum_bits - 1), 40

    async def run(ctx: Any) -> None:
        for number in range(times):
            ctx.set(dut.valid, 1)
            ctx.set(dut.first, number == 0)
            ctx.set(dut.psums, [least, -least - 1, -1])
            await ctx.tick()
            ctx.set(dut.valid, 0)
            await ctx.tick().repeat(ACCUMULATE_LATENCY - 1)
        ctx.set(dut.drain.valid, 1)
        await ctx.tick().repeat(BUFFER_READ_LATENCY)
        sums = [ctx.get(dut.drain.data[column]) for column in range(config.cols)]
        assert sums == [times * least, times * (-least - 1), -times]

    simulate(dut, run)


def test_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(Accumulators(config=small_config(4)))
