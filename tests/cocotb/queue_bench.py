"""An engine's queue between random stalls, with counts that wrap: order, gate and room."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from arch.commands import COMMAND_BYTES, COUNT_BITS, COUNTS, WAITS, Engine, unpack
from hw.interfaces import counts_layout
from hw.queue import engine_flags
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, fields, packed
from tests.support.command_side import random_command, word_of
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSink,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

COMMANDS = 300
HALF, WHOLE = 1 << COUNT_BITS - 1, 1 << COUNT_BITS


class QueueModel:
    """The commands that have come in and not gone out, and for whom the first one waits."""

    def __init__(self, engine: Engine) -> None:
        names = [wait.removeprefix("wait_") for wait in WAITS[engine]]
        self._counts = [name for name in names if COUNTS[name] is not engine]
        self._waiting: list[int] = []

    def push(self, payload: int) -> None:
        self._waiting.append(payload)

    def pop(self) -> int:
        return self._waiting.pop(0)

    def __len__(self) -> int:
        return len(self._waiting)

    def head(self) -> int | None:
        return self._waiting[0] if self._waiting else None

    def waits_for(self, counts: Pins) -> dict[str, int]:
        """By engine, whether the first command waits for it."""
        found = {engine.name.lower(): 0 for engine in Engine}
        if self._waiting:
            command = unpack(self._waiting[0].to_bytes(COMMAND_BYTES, "little"))
            for name in self._counts:
                missing = (command[f"wait_{name}"] - counts[name]) % WHOLE
                found[COUNTS[name].name.lower()] |= int(0 < missing <= HALF)
        return found


class Bench:
    """Drivers, monitors, model and checks around the queue."""

    def __init__(self, dut: Any) -> None:
        parameters, self.rng = bench_parameters(), bench_random()
        self.dut, self.depth = dut, parameters["depth"]
        self.engine, self.config = Engine(parameters["engine"]), CONFIGS["tiny"]
        self.model = QueueModel(self.engine)
        # Of this cycle: what was next in the one before.
        self.counts = dict.fromkeys(COUNTS, 0)
        # Made before the monitor that fills the model: checks see a command from the next cycle on.
        self.pins = PinMonitor(
            dut, ("i__ready", "o__valid", "o__ready", "o__payload", "next_counts", "waits_for")
        )
        self.pushed, self.taken = StreamMonitor(dut, "i"), StreamMonitor(dut, "o")
        self.pins.listeners.append(self.check)
        self.pushed.listeners.append(self.model.push)

    def check(self, pins: Pins) -> None:
        waits = self.model.waits_for(self.counts)
        self.counts = fields(counts_layout, pins["next_counts"])
        head = self.model.head()
        assert fields(engine_flags, pins["waits_for"]) == waits
        assert pins["i__ready"] == (len(self.model) < self.depth)
        assert pins["o__valid"] == (head is not None and not any(waits.values()))
        if pins["o__valid"]:
            assert pins["o__payload"] == head
            if pins["o__ready"]:
                self.model.pop()

    def commands(self, start: dict[str, int], goal: dict[str, int]) -> list[int]:
        """Commands whose waits rise from ``start``; ``goal`` becomes the last ones."""
        goal |= start
        words = []
        for _ in range(COMMANDS):
            for name in COUNTS:
                goal[name] += self.rng.randrange(3)
            command = random_command(self.engine, self.config, self.rng, goal)
            words.append(word_of(command, self.config))
        return words


async def complete(bench: Bench, counts: dict[str, int], goal: dict[str, int]) -> None:
    """Drives the counts: each rises to its goal, one at a time, with stalls of its own."""
    stalls = {name: random_stalls(bench.rng) for name in COUNTS}
    while True:
        values = {name: count % WHOLE for name, count in counts.items()}
        bench.dut.next_counts.value = packed(counts_layout, values)
        await RisingEdge(bench.dut.clk)
        for name in COUNTS:
            counts[name] += counts[name] < goal[name] and not next(stalls[name])


@bounded_test
async def commands_come_in_order_and_not_too_soon(dut: Any) -> None:
    bench = Bench(dut)
    # Counts pass through 2^15 or 2^16 on the way.
    counts = {name: bench.rng.choice((HALF, WHOLE)) - 50 for name in COUNTS}
    goal = dict(counts)
    commands = bench.commands(counts, goal)
    cocotb.start_soon(complete(bench, counts, goal))
    source = StreamSource(dut, "i", random_stalls(bench.rng))
    StreamSink(dut, "o", random_stalls(bench.rng))
    await start_clock(dut)
    cocotb.start_soon(source.send(commands))
    await bench.taken.wait_for(COMMANDS, timeout=100 * COMMANDS)
    assert bench.pushed.payloads == commands
    assert bench.taken.payloads == bench.pushed.payloads


@bounded_test
async def one_a_cycle_if_nothing_stalls(dut: Any) -> None:
    bench = Bench(dut)
    counts = dict.fromkeys(COUNTS, 0)
    commands = bench.commands(counts, goal := dict(counts))
    cocotb.start_soon(complete(bench, goal, goal))
    source = StreamSource(dut, "i")
    StreamSink(dut, "o")
    await start_clock(dut)
    cocotb.start_soon(source.send(commands))
    await bench.taken.wait_for(COMMANDS, timeout=2 * COMMANDS)
    first = bench.pushed.cycles[0]
    assert bench.taken.cycles == list(range(first + 1, first + 1 + COMMANDS))
