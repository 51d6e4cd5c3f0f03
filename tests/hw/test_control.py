from itertools import product
from random import Random
from typing import Any

import pytest

from arch.commands import COUNTS, Engine
from arch.registers import Status
from hw.control import ERRORS, RunControl
from tests.support.amaranth_sim import simulate, to_verilog

NAMES = [engine.name.lower() for engine in Engine]


async def pulse(ctx: Any, *signals: Any) -> None:
    """The signals are 1 in this cycle and 0 in the next."""
    for signal in signals:
        ctx.set(signal, 1)
    await ctx.tick()
    for signal in signals:
        ctx.set(signal, 0)


async def skip(ctx: Any, cycles: int) -> None:
    for _ in range(cycles):
        await ctx.tick()


def state(ctx: Any, dut: RunControl) -> dict[str, int]:
    names = ("busy", "done", "abort", "clear", "restart", "interrupt_pending", "error")
    return {name: ctx.get(getattr(dut, name)) for name in names if ctx.get(getattr(dut, name))}


BUSY = {"busy": 1}
ENDED = {"done": 1, "interrupt_pending": 1}


def test_an_empty_program_runs_for_one_cycle() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        assert state(ctx, dut) == {}
        ctx.set(dut.fetched, 1)
        ctx.set(dut.start, 1)
        assert state(ctx, dut) == {"restart": 1}
        await pulse(ctx, dut.start)
        assert state(ctx, dut) == BUSY
        await ctx.tick()
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


@pytest.mark.parametrize("engine", NAMES)
def test_the_run_ends_two_cycles_after_the_last_completion(engine: str) -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await pulse(ctx, *(dut.dispatch[name] for name in NAMES))
        ctx.set(dut.fetched, 1)
        await pulse(ctx, *(dut.counted[name] for name in NAMES if name != engine))
        await skip(ctx, 5)
        assert state(ctx, dut) == BUSY
        await pulse(ctx, dut.counted[engine])
        assert ctx.get(dut.counts[engine]) == 1
        assert state(ctx, dut) == BUSY
        await ctx.tick()
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


def test_the_run_does_not_end_before_all_has_settled() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.dispatch.execute)
        ctx.set(dut.fetched, 1)
        ctx.set(dut.settling, 1)
        await pulse(ctx, dut.counted.execute)
        await skip(ctx, 5)
        assert state(ctx, dut) == BUSY
        ctx.set(dut.settling, 0)
        assert state(ctx, dut) == BUSY
        await ctx.tick()
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


def test_the_run_does_not_end_before_all_is_dispatched() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await skip(ctx, 5)
        assert state(ctx, dut) == BUSY

    simulate(dut, bench)


@pytest.mark.parametrize("seed", range(2))
def test_counts_are_new_in_the_next_cycle_and_restart_at_zero(seed: int) -> None:
    dut, random = RunControl(), Random(seed)
    kinds = {"dispatch": NAMES, "counted": COUNTS}
    expected = {kind: dict.fromkeys(names, 0) for kind, names in kinds.items()}

    async def bench(ctx: Any) -> None:
        for _ in range(3):
            await pulse(ctx, dut.start)
            expected.update({kind: dict.fromkeys(names, 0) for kind, names in kinds.items()})
            for _ in range(100):
                for kind, counts in expected.items():
                    for name in counts:
                        event = random.getrandbits(1)
                        ctx.set(getattr(dut, kind)[name], event)
                        shown = dut.dispatched if kind == "dispatch" else dut.counts
                        assert ctx.get(shown[name]) == counts[name]
                        counts[name] += event
                await ctx.tick()
            for kind in expected:
                ctx.set(getattr(dut, kind).as_value(), 0)
            await pulse(ctx, dut.abort_request, dut.quiet)
            await skip(ctx, 1)
            ctx.set(dut.quiet, 1)
            await skip(ctx, 2)
            ctx.set(dut.quiet, 0)
            assert state(ctx, dut) == ENDED | {"error": Status.ABORTED}

    simulate(dut, bench)


@pytest.mark.parametrize("wait", [0, 1, 6])
@pytest.mark.parametrize("cause", ERRORS)
def test_an_error_aborts_waits_for_quiet_clears_and_ends(cause: str, wait: int) -> None:
    dut = RunControl()
    code = {"error": int(ERRORS[cause])}

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await skip(ctx, 3)
        assert state(ctx, dut) == BUSY
        await pulse(ctx, getattr(dut, cause))
        for _ in range(wait):
            assert state(ctx, dut) == BUSY | code | {"abort": 1}
            await ctx.tick()
        assert state(ctx, dut) == BUSY | code | {"abort": 1}
        ctx.set(dut.quiet, 1)
        assert state(ctx, dut) == BUSY | code | {"abort": 1, "clear": 1}
        await pulse(ctx, dut.quiet)
        assert state(ctx, dut) == BUSY | code | {"abort": 1}
        await ctx.tick()
        assert state(ctx, dut) == ENDED | code
        # The next run is as if nothing had been.
        await pulse(ctx, dut.start)
        assert state(ctx, dut) == BUSY | {"interrupt_pending": 1}
        await pulse(ctx, dut.fetched)
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


def test_the_first_errors_code_wins() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        for first, second in product(ERRORS, repeat=2):
            await pulse(ctx, dut.start)
            await pulse(ctx, getattr(dut, first))
            await pulse(ctx, getattr(dut, second))
            await pulse(ctx, dut.quiet, getattr(dut, second))
            await pulse(ctx, getattr(dut, second))
            assert state(ctx, dut) == ENDED | {"error": int(ERRORS[first])}

    simulate(dut, bench)


def test_of_errors_in_one_cycle_the_lowest_code_wins() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        for kept in range(1, 1 << len(ERRORS)):
            causes = [name for bit, name in enumerate(ERRORS) if kept >> bit & 1]
            await pulse(ctx, dut.start)
            await pulse(ctx, *(getattr(dut, name) for name in causes))
            assert ctx.get(dut.error) == min(ERRORS[name] for name in causes)
            await pulse(ctx, dut.quiet)
            await ctx.tick()

    simulate(dut, bench)


def test_an_error_in_the_last_cycle_of_a_run_counts() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.fetched, dut.bank_conflict)
        assert state(ctx, dut) == BUSY | {"abort": 1, "error": int(Status.BANK_CONFLICT)}

    simulate(dut, bench)


@pytest.mark.parametrize("cause", ERRORS)
def test_errors_and_aborts_are_ignored_while_idle(cause: str) -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, getattr(dut, cause))
        assert state(ctx, dut) == {}
        # In the very cycle of a start too.
        await pulse(ctx, dut.start, getattr(dut, cause))
        assert state(ctx, dut) == BUSY
        await pulse(ctx, dut.fetched)
        assert state(ctx, dut) == ENDED
        await pulse(ctx, getattr(dut, cause))
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


def test_start_is_ignored_while_busy() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.dispatch.load)
        ctx.set(dut.start, 1)
        assert state(ctx, dut) == BUSY
        await pulse(ctx, dut.start)
        assert ctx.get(dut.dispatched.load) == 1
        await pulse(ctx, dut.start, dut.abort_request)
        await pulse(ctx, dut.start, dut.quiet)
        ctx.set(dut.start, 1)
        assert not ctx.get(dut.restart)
        await pulse(ctx, dut.start)
        assert state(ctx, dut) == ENDED | {"error": int(Status.ABORTED)}

    simulate(dut, bench)


def test_the_interrupt_is_pending_until_cleared_and_goes_out_if_enabled() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.fetched, 1)
        await pulse(ctx, dut.start)
        await ctx.tick()
        for enable in (0, 1):
            ctx.set(dut.interrupt_enable, enable)
            assert ctx.get(dut.interrupt_pending) == 1
            assert ctx.get(dut.interrupt) == enable
        await pulse(ctx, dut.clear_interrupt)
        assert not ctx.get(dut.interrupt_pending)
        assert not ctx.get(dut.interrupt)
        assert ctx.get(dut.done)

    simulate(dut, bench)


def test_an_interrupt_is_not_lost_to_a_clear_in_the_cycle_in_which_it_comes() -> None:
    dut = RunControl()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.fetched, 1)
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.clear_interrupt)
        assert state(ctx, dut) == ENDED

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(RunControl())
