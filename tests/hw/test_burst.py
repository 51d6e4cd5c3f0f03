"""Bursts against a walk over the bytes of the rows, and the cycles in which they come."""

import random
from typing import Any

import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from hw.burst import BurstSplitter
from tests.support.trace import Trace, run, send
from tests.support.transfers import PAGE, Transfer, bursts_of, random_transfer, variant

CONFIGS = {
    "short bursts": PRESETS["tiny"],
    "long bursts": PRESETS["small"],
    "single beats": variant("tiny", burst_beats=1),
    "two beats": variant("small", burst_beats=2),
    "bursts of a page": variant("tiny", bus_bits=512, burst_beats=64),
    "bursts beyond a page": variant("small", bus_bits=256, burst_beats=256),
}
SEEDS = range(3)


def split(
    config: AcceleratorConfig, transfers: list[Transfer], *, seed: int, stall: float
) -> Trace:
    """What a splitter does with ``transfers``; ``stall`` is the share of cycles without ``ready``,
    and twice that with ``hold``."""
    rng = random.Random(seed)
    dut = BurstSplitter(config=config)
    bursts = dut.bursts
    trace = Trace(
        given=dut.transfers.valid,
        free=dut.transfers.ready,
        valid=bursts.valid,
        ready=bursts.ready,
        taken=bursts.valid & bursts.ready,
        busy=dut.busy,
        hold=dut.hold,
        **{name: bursts.payload[name] for name, _ in bursts.payload.shape()},
    )
    number = sum(len(bursts_of(transfer, config)) for transfer in transfers)

    async def take(context: Any) -> None:
        context.set(bursts.ready, stall == 0)
        async for _ in context.tick():
            context.set(bursts.ready, rng.random() >= stall)
            context.set(dut.hold, rng.random() < stall / 2)

    gaps = [rng.choice((0, 0, 5)) if stall else 0 for _ in transfers]
    run(
        dut,
        take,
        send(dut.transfers, [transfer.payload for transfer in transfers], gaps),
        trace=trace,
        until=lambda: trace.count("taken") == number and not trace["busy"][-1],
        limit=20 * number + 1000,
    )
    return trace


def check_bursts(config: AcceleratorConfig, transfers: list[Transfer], trace: Trace) -> None:
    expected = [burst for transfer in transfers for burst in bursts_of(transfer, config)]
    taken = trace.cycles("taken")
    assert len(taken) == len(expected)
    for cycle, burst in zip(taken, expected, strict=True):
        first, last = burst.beats[0].lanes, burst.beats[-1].lanes
        lane, address = next(iter(first.items()))
        assert (
            trace["address"][cycle],
            trace["length"][cycle],
            trace["first_lane"][cycle],
            trace["last_lane"][cycle],
            trace["buffer_address"][cycle],
            trace["last"][cycle],
        ) == (
            burst.address,
            len(burst.beats) - 1,
            lane,
            max(last),
            (address - lane) % (1 << 20),
            burst.last,
        )


def check_cycles(config: AcceleratorConfig, transfers: list[Transfer], trace: Trace) -> None:
    """The recurrence in the splitter's docstring; ``hold`` counts in the cycle before an offer."""
    given, begun = trace.offered_and_taken("given", "free")
    offered, taken = trace.offered_and_taken("valid", "ready")
    burst, free = 0, 0
    for transfer, there, start in zip(transfers, given, begun, strict=True):
        assert start == max(there, free)
        earliest = start + 2
        for _ in bursts_of(transfer, config):
            while trace["hold"][earliest - 1]:
                earliest += 1
            assert offered[burst] == earliest
            free, earliest, burst = taken[burst] + 1, taken[burst] + 2, burst + 1
    assert burst == len(offered)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("name", CONFIGS)
def test_random_transfers(name: str, stall: float, seed: int) -> None:
    config, rng = CONFIGS[name], random.Random(f"{name}/{stall}/{seed}")
    transfers = [random_transfer(rng, config) for _ in range(12)]
    trace = split(config, transfers, seed=seed, stall=stall)
    check_bursts(config, transfers, trace)
    check_cycles(config, transfers, trace)


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_that_wrap_in_memory_and_buffer(name: str) -> None:
    config = CONFIGS[name]
    wraps = Transfer(
        dram_address=(1 << 32) - 3,
        dram_pitch=(1 << 32) - 1,
        row_bytes=9,
        rows=2,
        buffer_address=1,
        buffer_pitch=(1 << 20) - 1,
    )
    trace = split(config, [wraps], seed=0, stall=0.0)
    check_bursts(config, [wraps], trace)
    check_cycles(config, [wraps], trace)


def test_the_longest_row() -> None:
    config = CONFIGS["bursts of a page"]
    longest = Transfer(
        dram_address=PAGE - 1,
        dram_pitch=0,
        row_bytes=(1 << 20) - 1,
        rows=0,
        buffer_address=7,
        buffer_pitch=0,
    )
    trace = split(config, [longest], seed=0, stall=0.0)
    check_bursts(config, [longest], trace)
    check_cycles(config, [longest], trace)


def test_a_burst_every_second_cycle() -> None:
    config = CONFIGS["single beats"]
    transfer = Transfer(
        dram_address=0, dram_pitch=64, row_bytes=8, rows=9, buffer_address=0, buffer_pitch=8
    )
    trace = split(config, [transfer, transfer], seed=0, stall=0.0)
    taken = trace.cycles("taken")
    (first, second), (_, start) = trace.offered_and_taken("given", "free")
    assert taken[:20] == list(range(first + 2, first + 2 + 40, 2))
    assert (start, taken[20]) == (max(second, taken[19] + 1), start + 2)


def test_hold_withholds_every_burst_not_yet_offered() -> None:
    config = PRESETS["tiny"]
    dut = BurstSplitter(config=config)
    transfer = Transfer(
        dram_address=0, dram_pitch=64, row_bytes=8, rows=9, buffer_address=0, buffer_pitch=8
    )

    async def hold_from_5(context: Any) -> None:
        context.set(dut.bursts.ready, 1)
        await context.tick().repeat(5)
        context.set(dut.hold, 1)

    trace = Trace(valid=dut.bursts.valid, hold=dut.hold, busy=dut.busy)
    run(
        dut,
        hold_from_5,
        send(dut.transfers, [transfer.payload], [0]),
        trace=trace,
        until=lambda: len(trace["busy"]) == 100,
        limit=101,
    )
    assert trace.cycles("valid") == [2, 4]
    assert trace.cycles("hold")[0] == 5
    assert trace["busy"][-1]
