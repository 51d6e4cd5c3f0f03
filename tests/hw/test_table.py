"""The tables: bytes looked up in every lane while others are written."""

from random import Random
from typing import Any

import pytest

from arch.config import TABLE_BYTES, TABLES, AcceleratorConfig
from arch.post_timing import TABLE_LATENCY
from arch.presets import PRESETS
from arch.timing import BUFFER_WRITE_LATENCY
from hw.table import LookupTables
from tests.support.amaranth_sim import int_to_lanes, lanes_to_int, simulate, to_verilog

WIDE = PRESETS["small"].model_copy(update={"name": "wide", "bus_bits": 512})
CONFIGS = [*PRESETS.values(), WIDE]
ENTRIES = TABLES * TABLE_BYTES


async def write(ctx: Any, dut: LookupTables, word: int, entries: list[int]) -> None:
    """Request the write of one word in this cycle."""
    ctx.set(dut.write.valid, 1)
    ctx.set(dut.write.address, word * len(entries))
    ctx.set(dut.write.mask, (1 << len(entries)) - 1)
    ctx.set(dut.write.data, lanes_to_int(entries))
    await ctx.tick()
    ctx.set(dut.write.valid, 0)


def looked_up(content: list[int], table: int, given: list[int]) -> list[int]:
    return [content[(table - 1) * TABLE_BYTES + byte] if table else byte for byte in given]


@pytest.mark.parametrize("table", range(TABLES + 1))
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_entry_in_every_lane(config: AcceleratorConfig, table: int) -> None:
    dut, rng = LookupTables(config=config), Random(f"{config.name} {table}")
    lanes, bus = config.requantiser_lanes, config.bus_bytes
    content = [rng.randrange(256) for _ in range(ENTRIES)]
    # All entries in each lane, the lanes at different ones.
    given = [[(byte + 37 * lane) % TABLE_BYTES for lane in range(lanes)] for byte in range(256)]

    async def bench(ctx: Any) -> None:
        words = list(range(ENTRIES // bus))
        rng.shuffle(words)
        for word in words:
            await write(ctx, dut, word, content[word * bus :][:bus])
            # Without a request, data and address do not matter.
            ctx.set(dut.write.data, rng.getrandbits(8 * bus))
            if rng.random() < 0.3:
                await ctx.tick()
        for _ in range(BUFFER_WRITE_LATENCY - 1):
            await ctx.tick()
        ctx.set(dut.table, table)
        for cycle in range(len(given) + TABLE_LATENCY):
            if cycle < len(given):
                ctx.set(dut.bytes, lanes_to_int(given[cycle]))
            if cycle >= TABLE_LATENCY:
                wanted = looked_up(content, table, given[cycle - TABLE_LATENCY])
                assert int_to_lanes(ctx.get(dut.results), lanes) == wanted, cycle
            await ctx.tick()

    simulate(dut, bench)


def test_a_write_is_seen_after_the_write_latency() -> None:
    config = PRESETS["tiny"]
    dut, bus = LookupTables(config=config), config.bus_bytes
    lanes = config.requantiser_lanes

    async def bench(ctx: Any) -> None:
        ctx.set(dut.table, 2)
        ctx.set(dut.bytes, lanes_to_int([bus + 1] * lanes))
        for value in (5, 6, 7):
            word = TABLE_BYTES // bus + 1
            await write(ctx, dut, word, [value + 10 * place for place in range(bus)])
            # The bytes of the cycle after the request still find the old entry, or anything.
            for _ in range(BUFFER_WRITE_LATENCY - 1 + TABLE_LATENCY):
                await ctx.tick()
            assert int_to_lanes(ctx.get(dut.results), lanes) == [value + 10] * lanes

    simulate(dut, bench)


def test_tables_are_independent_of_one_another() -> None:
    config = PRESETS["tiny"]
    dut, bus = LookupTables(config=config), config.bus_bytes
    lanes = config.requantiser_lanes

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, 0, [1] * bus)
        await write(ctx, dut, TABLE_BYTES // bus, [2] * bus)
        ctx.set(dut.bytes, 0)
        for table in (1, 2):
            ctx.set(dut.table, table)
            for _ in range(BUFFER_WRITE_LATENCY + TABLE_LATENCY):
                await ctx.tick()
            assert int_to_lanes(ctx.get(dut.results), lanes) == [table] * lanes

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(LookupTables(config=PRESETS["tiny"]))
