"""The execute engine: every event in its stated cycle, every sum as computed plainly."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.post_timing import execute_done_latency
from arch.presets import PRESETS
from arch.timing import BUFFER_READ_LATENCY, execute_latency
from hw.execute import ExecuteEngine
from tests.support.amaranth_sim import lanes_to_int, simulate, to_verilog
from tests.support.execute_model import (
    Fields,
    Memories,
    Timeline,
    accumulate,
    payload,
    random_command,
    timeline,
)

COMMANDS = 12
# Fewer, as many and more rows than MINIMUM_STEP; as many rows as columns, and not.
SIZES = [(2, 3), (4, 4), (7, 2)]


WORDS = [(8, 8), (16, 8), (16, 16)]


def execute_config(rows: int, cols: int, words: tuple[int, int] = (8, 8)) -> AcceleratorConfig:
    sizes = {
        "activation_bits": words[0],
        "weight_bits": words[1],
        "accumulator_bits": 32 if words == (8, 8) else 48,
        "rows": rows,
        "cols": cols,
        "requantiser_lanes": 1,
        "activation_buffer_bytes": 512,
        "weight_buffer_bytes": 256,
        "accumulator_buffer_bytes": 256,
    }
    return AcceleratorConfig.from_mapping(PRESETS["tiny"].model_dump() | sizes)


def random_arrivals(rng: random.Random) -> list[int]:
    """Bunched, or with gaps up to longer than a command."""
    cycle, arrivals = 0, []
    for _ in range(COMMANDS):
        cycle += rng.choice([0, 0, 1, rng.randrange(20), rng.randrange(200)])
        arrivals.append(cycle)
    return arrivals


class Bench:
    """Feeds commands, stands in for the operand buffers, and notes every event."""

    def __init__(self, dut: ExecuteEngine, memories: Memories) -> None:
        self.dut, self.memories = dut, memories
        self.config, self.seen = dut.config, Timeline()
        self.rng = np.random.default_rng(1)

    def answer(self, ctx: Any, port: Any, memory: np.ndarray) -> int | None:
        """The data of the request on ``port``, if any; masked bytes are arbitrary."""
        if not ctx.get(port.valid):
            return None
        elements, mask = len(port.mask), ctx.get(port.mask)
        bits = len(port.data) // elements
        first = ctx.get(port.address) // (bits // 8)
        data = memory[(first + np.arange(elements)) % len(memory)]
        wanted = np.array([mask >> element & 1 for element in range(elements)], bool)
        noise = self.rng.integers(1 << bits, size=elements)
        return lanes_to_int(np.where(wanted, data, noise).tolist(), bits)

    async def buffers(self, ctx: Any) -> None:
        """Answers after BUFFER_READ_LATENCY; at other times data is arbitrary."""
        dut = self.dut
        ports = (dut.activation, self.memories.activation), (dut.weight, self.memories.weight)
        coming: list[deque[int | None]]
        coming = [deque([None] * BUFFER_READ_LATENCY) for _ in ports]
        while True:
            for (port, memory), queue in zip(ports, coming, strict=True):
                queue.append(self.answer(ctx, port, memory))
                data = queue.popleft()
                noise = int.from_bytes(self.rng.bytes(len(port.data) // 8), "little")
                ctx.set(port.data, noise if data is None else data)
            await ctx.tick()

    def note(self, ctx: Any, cycle: int) -> None:
        """Events of this cycle."""
        dut, seen = self.dut, self.seen
        if ctx.get(dut.commands.valid) and ctx.get(dut.commands.ready):
            seen.taken.append(cycle)
        if ctx.get(dut.weight_read):
            assert ctx.get(dut.weight.mask) == (1 << self.config.cols) - 1
            seen.weight_reads.append((cycle, ctx.get(dut.weight.address)))
        if ctx.get(dut.activation_read):
            mask = ctx.get(dut.activation.mask)
            lanes = tuple(lane for lane in range(self.config.rows) if mask >> lane & 1)
            seen.activation_reads.append((cycle, ctx.get(dut.activation.address), lanes))
        assert ctx.get(dut.weight_read) == ctx.get(dut.weight.valid)
        assert ctx.get(dut.activation_read) == ctx.get(dut.activation.valid)
        assert not ctx.get(dut.conflict)
        for signal, cycles in (
            (dut.vector_issued, seen.issued),
            (dut.accumulator_read, seen.accumulator_reads),
            (dut.accumulator_write, seen.accumulator_writes),
            (dut.stepping, seen.stepping),
            (dut.taking, seen.taking),
            (dut.done, seen.done),
            (dut.settling, seen.settling),
        ):
            if ctx.get(signal):
                cycles.append(cycle)

    def run(self, commands: list[Fields], arrivals: list[int], entries: list[int]) -> list[Any]:
        """Run ``commands``; as soon as the last sums are in, begin to drain ``entries``."""
        drained: list[list[int]] = []

        async def feed(ctx: Any) -> None:
            dut, waiting, cycle = self.dut, deque(zip(arrivals, commands, strict=True)), 0
            while len(self.seen.done) < len(commands):
                at_hand = bool(waiting) and waiting[0][0] <= cycle
                ctx.set(dut.commands.valid, at_hand)
                shown = (
                    waiting[0][1]
                    if at_hand
                    else random_command(random.Random(0), self.config, None)
                )
                ctx.set(dut.commands.payload, payload(shown))
                self.note(ctx, cycle)
                if at_hand and ctx.get(dut.commands.ready):
                    waiting.popleft()
                if len(self.seen.done) < len(commands):
                    await ctx.tick()
                    cycle += 1
            for _ in range(execute_latency(self.config) - execute_done_latency(self.config)):
                await ctx.tick()
                cycle += 1
                self.note(ctx, cycle)
            await drain(ctx)

        async def drain(ctx: Any) -> None:
            port = self.dut.drain
            ctx.set(port.valid, 1)
            for number in range(len(entries) + BUFFER_READ_LATENCY):
                ctx.set(port.address, entries[min(number, len(entries) - 1)])
                if number >= BUFFER_READ_LATENCY:
                    drained.append([ctx.get(port.data[c]) for c in range(self.config.cols)])
                await ctx.tick()

        simulate(self.dut, feed, background=(self.buffers,))
        return drained


def check(
    config: AcceleratorConfig, commands: list[Fields], arrivals: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    memories = Memories(
        activation=rng.integers(
            1 << config.activation_bits,
            size=config.activation_buffer_bytes // config.activation_bytes,
        ),
        weight=rng.integers(
            1 << config.weight_bits, size=config.weight_buffer_bytes // config.weight_bytes
        ),
    )
    sums: dict[int, np.ndarray] = {}
    for command in commands:
        accumulate(sums, command, memories, config)
    bench = Bench(ExecuteEngine(config=config), memories)
    # The entry written last is drained first.
    entries = list(reversed(sums))
    drained = bench.run(commands, arrivals, entries)
    assert bench.seen == timeline(commands, arrivals, config)
    assert dict(zip(entries, drained, strict=True)) == {
        entry: values.tolist() for entry, values in sums.items()
    }


@pytest.mark.parametrize(("rows", "cols"), SIZES)
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("seed", range(4))
def test_random_commands(seed: int, words: tuple[int, int], rows: int, cols: int) -> None:
    rng, config = random.Random(seed), execute_config(rows, cols, words)
    commands: list[Fields] = []
    for _ in range(COMMANDS):
        former = commands[-1] if commands else None
        commands.append(random_command(rng, config, former))
    check(config, commands, random_arrivals(rng), seed)


def test_commands_in_a_row_leave_no_gap() -> None:
    config = execute_config(4, 4)
    rng = random.Random(0)
    command = random_command(rng, config, None) | {
        f"{loop}_count": count
        for loop, count in zip(("ky", "kx", "kc", "oy", "ox"), (0, 1, 1, 1, 3), strict=True)
    }
    commands, arrivals = [command] * 5, [0] * 5
    issued = timeline(commands, arrivals, config).issued
    assert issued == list(range(issued[0], issued[0] + 5 * 4 * 8))
    check(config, commands, arrivals, seed=0)


def test_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(ExecuteEngine(config=execute_config(2, 3)))
