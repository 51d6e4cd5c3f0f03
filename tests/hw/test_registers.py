from random import Random
from typing import Any

import pytest

from arch.counters import COUNTER_NAMES
from arch.presets import PRESETS
from arch.registers import COUNTER_BASE, REGISTER_ADDRESS, REGISTERS, Status
from hw.registers import WRITABLE, ControlRegisters, Response
from tests.support.amaranth_sim import simulate, to_verilog

TINY = PRESETS["tiny"]
UNMAPPED = sorted(set(range(0, 256, 4)) - set(REGISTER_ADDRESS.values()))


async def write(
    ctx: Any,
    dut: ControlRegisters,
    address: int,
    value: int,
    *,
    strb: int = 15,
    lag: tuple[int, int, int] = (0, 0, 0),
) -> int:
    """One write; address, data and response are late by the cycles in ``lag``. Returns the
    response."""
    ctx.set(dut.aw.payload, address)
    ctx.set(dut.w.payload.data, value)
    ctx.set(dut.w.payload.strb, strb)
    lags = {dut.aw: lag[0], dut.w: lag[1]}
    cycle = 0
    while lags:
        for channel, start in list(lags.items()):
            ctx.set(channel.valid, cycle >= start)
        taken = [c for c, start in lags.items() if cycle >= start and ctx.get(c.ready)]
        await ctx.tick()
        for channel in taken:
            ctx.set(channel.valid, 0)
            del lags[channel]
        cycle += 1
    await wait_for(ctx, dut.b.valid)
    response = int(ctx.get(dut.b.payload))
    for _ in range(lag[2]):
        await ctx.tick()
        assert ctx.get(dut.b.valid)
        assert ctx.get(dut.b.payload) == response
    ctx.set(dut.b.ready, 1)
    await ctx.tick()
    ctx.set(dut.b.ready, 0)
    return response


async def read(ctx: Any, dut: ControlRegisters, address: int, *, lag: int = 0) -> tuple[int, int]:
    """One read, its answer taken late by ``lag`` cycles. Returns data and response."""
    ctx.set(dut.ar.payload, address)
    ctx.set(dut.ar.valid, 1)
    await wait_for(ctx, dut.ar.ready)
    await ctx.tick()
    ctx.set(dut.ar.valid, 0)
    await wait_for(ctx, dut.r.valid)
    answer = ctx.get(dut.r.payload.data), ctx.get(dut.r.payload.resp)
    for _ in range(lag):
        await ctx.tick()
        assert ctx.get(dut.r.valid)
        assert (ctx.get(dut.r.payload.data), ctx.get(dut.r.payload.resp)) == answer
    ctx.set(dut.r.ready, 1)
    await ctx.tick()
    ctx.set(dut.r.ready, 0)
    return answer


async def wait_for(ctx: Any, signal: Any) -> None:
    for _ in range(50):
        if ctx.get(signal):
            return
        await ctx.tick()
    raise AssertionError(f"{signal} stays 0")


def test_every_register_reads_as_the_table_says() -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        for index, name in enumerate(COUNTER_NAMES):
            ctx.set(dut.counters[name], 0xC000_0000 + index)
        ctx.set(dut.error_command, 0x0123_4567)
        expected = {
            "identity": 0x5449_4C45,
            "version": 4,
            "fingerprint": TINY.fingerprint,
            "control": 0,
            "status": 0,
            "interrupt_enable": 0,
            "program_address": 0,
            "program_commands": 0,
            "error_command": 0x0123_4567,
            **{name: 0xC000_0000 + index for index, name in enumerate(COUNTER_NAMES)},
        }
        assert set(expected) == {register.name for register in REGISTERS}
        for register in REGISTERS:
            answer = await read(ctx, dut, register.address)
            assert answer == (expected[register.name], Response.OKAY), register.name

    simulate(dut, bench)


def test_counters_follow_one_another() -> None:
    places = [REGISTER_ADDRESS[name] for name in COUNTER_NAMES]
    assert places == list(range(COUNTER_BASE, COUNTER_BASE + 4 * len(places), 4))


@pytest.mark.parametrize(
    ("signal", "value", "expected"),
    [
        ("busy", 1, 1),
        ("done", 1, 2),
        ("interrupt_pending", 1, 4),
        *(("error", int(status), int(status) << 8) for status in Status),
    ],
)
def test_the_parts_of_the_status(signal: str, value: int, expected: int) -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        ctx.set(getattr(dut, signal), value)
        assert await read(ctx, dut, REGISTER_ADDRESS["status"]) == (expected, Response.OKAY)

    simulate(dut, bench)


@pytest.mark.parametrize("seed", range(3))
def test_registers_keep_the_bytes_written(seed: int) -> None:
    dut, random = ControlRegisters(config=TINY), Random(seed)
    kept = dict.fromkeys(WRITABLE, 0)
    masks = {
        "interrupt_enable": 1,
        "program_address": 0xFFFF_FFC0,
        "program_commands": 0x00FF_FFFF,
    }

    async def bench(ctx: Any) -> None:
        for _ in range(60):
            name = random.choice(list(WRITABLE))
            value, strb = random.getrandbits(32), random.getrandbits(4)
            lag = (random.randrange(4), random.randrange(4), random.randrange(4))
            place = REGISTER_ADDRESS[name] + random.randrange(4)
            assert await write(ctx, dut, place, value, strb=strb, lag=lag) == Response.OKAY
            lanes = sum(0xFF << 8 * lane for lane in range(4) if strb >> lane & 1)
            kept[name] = (kept[name] & ~lanes | value & lanes) & masks[name]
            for other, expected in kept.items():
                assert ctx.get(getattr(dut, other)) == expected
            answer = await read(ctx, dut, place, lag=random.randrange(4))
            assert answer == (kept[name], Response.OKAY)

    simulate(dut, bench)


def test_what_is_not_mapped_answers_with_an_error() -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        for address in UNMAPPED:
            assert await read(ctx, dut, address) == (0, Response.SLVERR)
            assert await write(ctx, dut, address, 0xFFFF_FFFF) == Response.SLVERR
        for name in WRITABLE:
            assert ctx.get(getattr(dut, name)) == 0

    simulate(dut, bench)


def test_a_write_to_a_read_only_register_changes_nothing() -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        for register in REGISTERS:
            if register.access == "ro":
                before = await read(ctx, dut, register.address)
                assert await write(ctx, dut, register.address, 0xFFFF_FFFF) == Response.OKAY
                assert await read(ctx, dut, register.address) == before

    simulate(dut, bench)


STROBES = {"start": 1, "abort": 2, "clear_interrupt": 4}


@pytest.mark.parametrize("value", range(8))
@pytest.mark.parametrize("strb", [1, 14, 15])
def test_control_bits_strobe_in_the_cycle_after_the_write_is_taken(value: int, strb: int) -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.aw.payload, REGISTER_ADDRESS["control"])
        ctx.set(dut.w.payload.data, 0xFFFF_FFF8 | value)
        ctx.set(dut.w.payload.strb, strb)
        seen = []
        for cycle in range(5):
            ctx.set(dut.aw.valid, cycle == 0)
            ctx.set(dut.w.valid, cycle == 0)
            seen.append({name for name in STROBES if ctx.get(getattr(dut, name))})
            assert ctx.get(dut.b.valid) == (cycle >= 2)
            await ctx.tick()
        high = {name for name, bit in STROBES.items() if value & bit and strb & 1}
        assert seen == [set(), high, set(), set(), set()]

    simulate(dut, bench)


def test_no_strobe_for_another_register() -> None:
    dut = ControlRegisters(config=TINY)
    finished: list[bool] = []

    async def watch(ctx: Any) -> None:
        while not finished:
            assert not any(ctx.get(getattr(dut, name)) for name in STROBES)
            await ctx.tick()

    async def bench(ctx: Any) -> None:
        for address in range(0, 256, 4):
            if address != REGISTER_ADDRESS["control"]:
                await write(ctx, dut, address, 7)
        finished.append(True)

    simulate(dut, bench, watch)


def test_a_write_waits_until_the_response_before_is_taken() -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.aw.payload, REGISTER_ADDRESS["interrupt_enable"])
        ctx.set(dut.w.payload.strb, 15)
        ctx.set(dut.aw.valid, 1)
        ctx.set(dut.w.valid, 1)
        for cycle, enable in enumerate([0, 0, 0, 0, 0, 0, 1]):
            ctx.set(dut.w.payload.data, cycle != 0)
            ctx.set(dut.b.ready, cycle == 4)
            assert ctx.get(dut.interrupt_enable) == enable
            assert ctx.get(dut.b.valid) == (2 <= cycle <= 4 or cycle == 6)
            await ctx.tick()

    simulate(dut, bench)


def test_a_read_takes_two_cycles_and_samples_in_between() -> None:
    dut = ControlRegisters(config=TINY)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.ar.payload, REGISTER_ADDRESS["error_command"])
        ctx.set(dut.ar.valid, 1)
        # The second address, taken in cycle 2, waits for the first answer to be taken in cycle 6.
        for cycle, answer in enumerate([None, None, 11, 11, 11, 11, 11, None, 17, 17]):
            ctx.set(dut.error_command, 10 + cycle)
            ctx.set(dut.r.ready, cycle == 6)
            assert ctx.get(dut.r.valid) == (answer is not None)
            assert ctx.get(dut.ar.ready) == (cycle in (0, 2, 8))
            if answer is not None:
                assert ctx.get(dut.r.payload.data) == answer
            await ctx.tick()

    simulate(dut, bench)


def test_no_output_depends_on_an_input_of_the_same_cycle() -> None:
    dut = ControlRegisters(config=TINY)
    bus_inputs = [dut.aw.valid, dut.w.valid, dut.b.ready, dut.ar.valid, dut.r.ready]
    bus_outputs = [dut.aw.ready, dut.w.ready, dut.b.valid, dut.ar.ready, dut.r.valid]

    async def bench(ctx: Any) -> None:
        random = Random(1)
        for _ in range(100):
            before = [ctx.get(output) for output in bus_outputs]
            for signal in bus_inputs:
                ctx.set(signal, random.getrandbits(1))
                assert [ctx.get(output) for output in bus_outputs] == before
            await ctx.tick()

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(ControlRegisters(config=TINY))
