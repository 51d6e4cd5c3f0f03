"""The tables: elements looked up in every lane while others are written."""

from random import Random
from typing import Any

import pytest

from arch.config import TABLES, AcceleratorConfig
from arch.post_timing import table_latency
from arch.presets import PRESETS
from arch.timing import BUFFER_WRITE_LATENCY
from hw.table import LookupTables
from tests.support.amaranth_sim import int_to_lanes, lanes_to_int, simulate, to_verilog
from tests.support.post_model import looked_up

WIDE = PRESETS["small"].model_copy(update={"name": "wide", "bus_bits": 512})
CONFIGS = [*PRESETS.values(), WIDE]


async def write(ctx: Any, dut: LookupTables, word: int, content: list[int]) -> None:
    """Request the write of one word of bytes in this cycle."""
    ctx.set(dut.write.valid, 1)
    ctx.set(dut.write.address, word * len(content))
    ctx.set(dut.write.mask, (1 << len(content)) - 1)
    ctx.set(dut.write.data, lanes_to_int(content))
    await ctx.tick()
    ctx.set(dut.write.valid, 0)


def expected(config: AcceleratorConfig, content: bytes, table: int, element: int) -> int:
    """What the bytes ``content`` of all tables make of an element."""
    size = config.table_bytes
    return looked_up(content[(table - 1) * size :][:size], element) if table else element


@pytest.mark.parametrize("table", range(TABLES + 1))
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_every_entry_in_every_lane(config: AcceleratorConfig, table: int) -> None:
    dut, rng = LookupTables(config=config), Random(f"{config.name} {table}")
    lanes, bus, bits = config.requantiser_lanes, config.bus_bytes, config.activation_bits
    latency = table_latency(config)
    content = rng.randbytes(TABLES * config.table_bytes)
    # All entries in each lane, the lanes at different ones.
    given = [
        [
            (entry + 37 * lane) % 256 << bits - 8 | rng.getrandbits(bits) >> 8
            for lane in range(lanes)
        ]
        for entry in range(256)
    ]

    async def bench(ctx: Any) -> None:
        words = list(range(len(content) // bus))
        rng.shuffle(words)
        for word in words:
            await write(ctx, dut, word, list(content[word * bus :][:bus]))
            # Without a request, data and address do not matter.
            ctx.set(dut.write.data, rng.getrandbits(8 * bus))
            if rng.random() < 0.3:
                await ctx.tick()
        for _ in range(BUFFER_WRITE_LATENCY - 1):
            await ctx.tick()
        ctx.set(dut.table, table)
        for cycle in range(len(given) + latency):
            if cycle < len(given):
                ctx.set(dut.elements, lanes_to_int(given[cycle], bits))
            if cycle >= latency:
                wanted = [expected(config, content, table, q) for q in given[cycle - latency]]
                assert int_to_lanes(ctx.get(dut.results), lanes, bits) == wanted, cycle
            await ctx.tick()

    simulate(dut, bench)


def test_a_write_is_seen_after_the_write_latency() -> None:
    config = PRESETS["tiny"]
    dut, bus = LookupTables(config=config), config.bus_bytes
    lanes = config.requantiser_lanes

    async def bench(ctx: Any) -> None:
        ctx.set(dut.table, 2)
        ctx.set(dut.elements, lanes_to_int([bus + 1] * lanes))
        for value in (5, 6, 7):
            word = config.table_bytes // bus + 1
            await write(ctx, dut, word, [value + 10 * place for place in range(bus)])
            # The bytes of the cycle after the request still find the old entry, or anything.
            for _ in range(BUFFER_WRITE_LATENCY - 1 + table_latency(config)):
                await ctx.tick()
            assert int_to_lanes(ctx.get(dut.results), lanes) == [value + 10] * lanes

    simulate(dut, bench)


def test_tables_are_independent_of_one_another() -> None:
    config = PRESETS["tiny"]
    dut, bus = LookupTables(config=config), config.bus_bytes
    lanes = config.requantiser_lanes

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, 0, [1] * bus)
        await write(ctx, dut, config.table_bytes // bus, [2] * bus)
        ctx.set(dut.elements, 0)
        for table in (1, 2):
            ctx.set(dut.table, table)
            for _ in range(BUFFER_WRITE_LATENCY + table_latency(config)):
                await ctx.tick()
            assert int_to_lanes(ctx.get(dut.results), lanes) == [table] * lanes

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(LookupTables(config=PRESETS["tiny"]))
