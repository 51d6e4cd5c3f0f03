"""The execute engine between random stalls: sums, done cycles and accesses as the simulator's."""

from collections import Counter
from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from arch.commands import COMMAND_BYTES, Command, Engine, unpack
from arch.config import AcceleratorConfig
from arch.timing import BUFFER_READ_LATENCY
from sim.command.engines import ExecuteTiming
from sim.command.functional import Storage
from tests.cocotb.watch import PinMonitor, Pins, ReadResponder, bounded_test, until
from tests.support.command_side import word_of
from tests.support.execute_model import Fields, positions, random_command
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

BATCHES, COMMANDS = 3, 10
TIMEOUT = 30_000
UNTOUCHED = 0x7EDC_BA98
"""Held by the entries that no command wrote."""
EVENTS = {
    "vector_issued": "array_busy",
    "activation_read": "activation_read_execute",
    "weight_read": "weight_read",
    "accumulator_read": "accumulator_read",
    "accumulator_write": "accumulator_write",
}
"""Pins, and the counters that count them."""


class ExecuteModel:
    """The command-level simulator, hearing commands as they are taken."""

    def __init__(self, config: AcceleratorConfig, activation: bytes, weight: bytes) -> None:
        self._storage = Storage(config, np.zeros(0, np.uint8))
        self._storage.activation[:] = np.frombuffer(activation, np.uint8)
        self._storage.weight[:] = np.frombuffer(weight, np.uint8)
        self._storage.accumulator[:] = UNTOUCHED
        self._timing = ExecuteTiming(config)
        self._config, self._reads = config, 0
        self._accesses: Counter[str] = Counter()
        self.done: list[int] = []

    def hear(self, cycle: int, payload: int) -> None:
        command = unpack(payload.to_bytes(COMMAND_BYTES, "little"))
        self._storage.apply(command)
        self._reads += sum(
            bool(position.lanes) for position in positions(command.values, self._config)
        )
        done, accesses = self._timing.take(cycle, command)
        assert done is not None
        self.done.append(done)
        self._accesses.update(accesses)

    @property
    def accesses(self) -> dict[str, int]:
        counted = {name: self._accesses[name] for name in EVENTS.values()}
        return counted | {"activation_read_execute": self._reads}

    @property
    def sums(self) -> dict[int, list[int]]:
        """The columns of each entry that a command wrote."""
        accumulator = self._storage.accumulator
        written = np.flatnonzero((accumulator != UNTOUCHED).any(axis=1))
        return {int(entry): accumulator[entry].tolist() for entry in written}


class Bench:
    """Drivers, monitors, model and checks around the engine."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.config = CONFIGS[bench_parameters()["config"]]
        self.activation = self.rng.randbytes(self.config.activation_buffer_bytes)
        self.weight = self.rng.randbytes(self.config.weight_buffer_bytes)
        self.pins = PinMonitor(dut, (*EVENTS, "done", "conflict", "stepping"))
        self.commands = StreamMonitor(dut, "commands")
        self.commands.listeners.append(self.hear)
        self.pins.listeners.append(self.check)
        ReadResponder(dut, "activation", self.read_activation, self.rng)
        ReadResponder(dut, "weight", self.read_weight, self.rng)
        dut.drain__valid.value = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a reset."""
        self.model = ExecuteModel(self.config, self.activation, self.weight)
        self.done: list[int] = []
        self.accesses: Counter[str] = Counter()

    def read_activation(self, address: int) -> bytes:
        return (self.activation[address:] + self.activation)[: self.config.rows]

    def read_weight(self, address: int) -> bytes:
        return (self.weight[address:] + self.weight)[: self.config.cols]

    def hear(self, payload: int) -> None:
        self.model.hear(self.commands.cycles[-1], payload)

    def check(self, pins: Pins) -> None:
        assert not pins["conflict"]
        assert not (pins["stepping"] and pins["vector_issued"])
        for name, counter in EVENTS.items():
            self.accesses[counter] += pins[name]
        if pins["done"]:
            self.done.append(self.pins.cycle)

    def send(self) -> Task[None]:
        commands: list[Fields] = []
        for _ in range(COMMANDS):
            former = commands[-1] if commands else None
            commands.append(random_command(self.rng, self.config, former))
        words = [word_of(Command.of(Engine.EXECUTE, fields), self.config) for fields in commands]
        source = StreamSource(self.dut, "commands", random_stalls(self.rng))
        return cocotb.start_soon(source.send(words))

    async def finish(self, sending: Task[None]) -> None:
        total = len(self.done) + COMMANDS
        await until(self.dut, lambda: len(self.done) == total, timeout=TIMEOUT, what="done")
        await RisingEdge(self.dut.clk)
        settled = "all sums in"
        await until(self.dut, lambda: not self.dut.settling.value, timeout=TIMEOUT, what=settled)
        assert sending.done()
        assert self.done == self.model.done
        assert self.accesses == self.model.accesses
        await self.drain()

    async def drain(self) -> None:
        """Read every entry that was written, in any order."""
        dut, wanted = self.dut, self.model.sums
        entries = self.rng.sample(list(wanted), len(wanted))
        for number in range(len(entries) + BUFFER_READ_LATENCY + 1):
            if number > BUFFER_READ_LATENCY:
                entry = entries[number - BUFFER_READ_LATENCY - 1]
                found = int(dut.drain__data.value).to_bytes(4 * self.config.cols, "little")
                assert np.frombuffer(found, np.int32).tolist() == wanted[entry]
            dut.drain__valid.value = number < len(entries)
            dut.drain__address.value = entries[min(number, len(entries) - 1)]
            await RisingEdge(dut.clk)


@bounded_test
async def sums_and_cycles_are_the_simulators(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(BATCHES):
        await bench.finish(bench.send())


@bounded_test
async def after_a_reset_in_mid_run_all_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(BATCHES):
        sending = bench.send()
        await ClockCycles(dut.clk, bench.rng.randint(1, 400))
        sending.cancel()
        dut.commands__valid.value, dut.rst.value = 0, 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        bench.forget()
    await bench.finish(bench.send())
