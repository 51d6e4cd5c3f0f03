from itertools import product
from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from arch.counters import COUNTER_BITS, COUNTER_NAMES
from hw.counters import CAUSES, CounterBank, CycleSorter, counters_layout
from tests.support.amaranth_sim import simulate, to_verilog

EVENTS = [name for name in COUNTER_NAMES if name != "cycles"]


@pytest.mark.parametrize("seed", range(2))
def test_counters_count_enabled_events_from_the_restart_on(seed: int) -> None:
    dut, random = CounterBank(), Random(seed)
    expected = dict.fromkeys(COUNTER_NAMES, 0)
    came, restarts = dict.fromkeys(COUNTER_NAMES, 0), False

    async def bench(ctx: Any) -> None:
        nonlocal restarts
        for _ in range(300):
            enable, restart = random.random() < 0.8, random.random() < 0.02
            events = {name for name in EVENTS if random.random() < 0.5}
            ctx.set(dut.enable, enable)
            ctx.set(dut.restart, restart)
            for name in EVENTS:
                ctx.set(dut.events[name], name in events)
            for name in COUNTER_NAMES:
                assert ctx.get(dut.values[name]) == expected[name], name
            for name in COUNTER_NAMES:
                # What came in the cycle before.
                expected[name] = 0 if restarts else expected[name] + came[name]
                came[name] = int(enable and (name == "cycles" or name in events))
            restarts = restart
            await ctx.tick()

    simulate(dut, bench)


def test_counters_have_the_width_of_the_table() -> None:
    assert [(name, part.width) for name, part in counters_layout] == [
        (name, COUNTER_BITS) for name in COUNTER_NAMES
    ]


def cause(
    array_busy: bool, stepping: bool, taking: bool, load: bool, post: bool, store: bool
) -> str:
    order = [
        (array_busy, "array_busy"),
        (stepping, "stall_weights"),
        (taking, "stall_idle"),
        (load, "stall_load"),
        (post, "stall_post"),
        (store, "stall_store"),
        (True, "stall_idle"),
    ]
    return next(name for holds, name in order if holds)


def test_every_cycle_has_one_cause() -> None:
    dut = CycleSorter()

    async def bench(ctx: Any) -> None:
        for state in product([False, True], repeat=6):
            ctx.set(dut.array_busy, state[0])
            ctx.set(dut.stepping, state[1])
            ctx.set(dut.taking, state[2])
            ctx.set(dut.waits_for.load, state[3])
            ctx.set(dut.waits_for.post, state[4])
            ctx.set(dut.waits_for.store, state[5])
            causes = [name for name in CAUSES if ctx.get(dut.cause[name])]
            assert causes == [cause(*state)], state

    simulator = Simulator(dut)  # it has no clock
    simulator.add_testbench(bench)
    simulator.run()


def test_the_causes_are_counters() -> None:
    assert set(CAUSES) < set(COUNTER_NAMES)


def test_they_convert_to_verilog() -> None:
    assert "module dut" in to_verilog(CounterBank())
    assert "module dut" in to_verilog(CycleSorter())
