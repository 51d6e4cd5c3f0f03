"""The post-processor between random stalls: bytes, done cycles and accesses as the simulator's."""

import random
from collections import Counter
from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from arch.commands import (
    COMMAND_BYTES,
    COUNTS,
    POST_LOOPS,
    ROW_LOOPS,
    Command,
    Engine,
    PostMode,
    PostOperand,
    PostSource,
    unpack,
)
from arch.config import AcceleratorConfig
from sim.command.engines import PostTiming
from sim.command.functional import Storage
from tests.cocotb.watch import PinMonitor, Pins, ReadResponder, bounded_test, until
from tests.support.command_side import random_command, word_of
from tests.support.elements import whole_elements
from tests.support.machines import CONFIGS
from tests.support.streams import (
    StreamMonitor,
    StreamSource,
    bench_parameters,
    bench_random,
    random_stalls,
    start_clock,
)

COMMANDS = 20
TIMEOUT = 50_000
EVENTS = {
    "position": "post_busy",
    "activation__valid": "activation_read_post",
    "drain__valid": "accumulator_drain",
    "parameter__valid": "parameter_read",
    "operand__valid": "activation_read_operand",
    "table_read": "table_read",
    "write__valid": "activation_write_post",
}
"""Pins, and the counters that count them."""


def random_posts(rng: random.Random, config: AcceleratorConfig, count: int) -> list[int]:
    """So many in a row; some that have no more channels than the one before continue its window."""
    words: list[int] = []
    mode, channels = 0, -1
    for _ in range(count):
        values = random_post(rng, config)
        values["continues"] = int(values["channels"] <= channels and rng.random() < 0.75)
        if values["continues"]:
            values["mode"] = mode
            if mode == PostMode.PRODUCTS:
                values["source"] = PostSource.ACTIVATION
                values = whole_elements(Engine.POST, values, config)
        mode, channels = values["mode"], values["channels"]
        words.append(word_of(Command.of(Engine.POST, values), config))
    return words


def random_post(rng: random.Random, config: AcceleratorConfig) -> dict[str, int]:
    """Small loops around the bounds, everything else from anywhere in its field."""
    command = random_command(Engine.POST, config, rng, dict.fromkeys(COUNTS, 0))
    values = dict(command.values)
    for loop in POST_LOOPS:
        values[f"{loop}_count"] = rng.choice((0, 0, 1, 2, 4))
        if loop in ROW_LOOPS:
            values[f"{loop}_dy"] = rng.randint(-2, 3)
        else:
            values[f"{loop}_dx"] = rng.randint(-3, 6)
    values |= {"y": rng.randint(-3, 2), "x": rng.randint(-5, 4)}
    values |= {"height": rng.choice((0, 4, 0xFFFF)), "width": rng.choice((1, 12, 0xF_FFFF))}
    values["low"], values["high"] = sorted(rng.randint(-256, 255) for _ in range(2))
    values |= {"operand": rng.randrange(3), "table": rng.randrange(3)}
    # A block begins at a multiple of 8 bytes; the one before an operand's constants is the last.
    alignment = max(1, 8 // config.bus_bytes)
    last = operand_constants_word(config) - config.parameter_block_words
    blocks = last // alignment
    with_operand = values["operand"] != PostOperand.NONE
    values["parameter_address"] = last if with_operand else alignment * rng.randint(0, blocks)
    return values


def operand_constants_word(config: AcceleratorConfig) -> int:
    """Where the parameter buffer of the bench holds the constants of second operands."""
    return config.parameter_words - config.operand_block_words


def random_storage(config: AcceleratorConfig, seed: int) -> Storage:
    """Multipliers bring most values into an output's range."""
    rng, storage = np.random.default_rng(seed), Storage(config, np.zeros(0, np.uint8))
    storage.activation[:] = rng.integers(0, 256, storage.activation.shape)
    sums = rng.integers(-(1 << 31), 1 << 31, storage.accumulator.shape)
    storage.accumulator[:] = sums >> rng.integers(0, 28, sums.shape)
    pairs = storage.parameter.view(np.int32).reshape(-1, 2)
    pairs[:, 0] = rng.integers(-2000, 2000, len(pairs))
    pairs[:, 1] = np.exp2(rng.uniform(-14, 1, len(pairs))).astype(np.float32).view(np.int32)
    start = operand_constants_word(config) * config.bus_bytes
    shift = int(rng.integers(0, 41))
    words = np.array([rng.integers(0, 1 << 24) | shift << 24, rng.integers(0, 1 << 24)], np.uint32)
    halves = np.array([*rng.integers(-128, 256, 2), *np.sort(rng.integers(-128, 256, 2))], np.int16)
    storage.parameter[start : start + 8] = words.view(np.uint8)
    storage.parameter[start + 8 : start + 16] = halves.view(np.uint8)
    storage.table[:] = rng.integers(0, 256, storage.table.shape)
    return storage


class PostModel:
    """The command-level simulator, hearing commands as they are taken."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._timing = PostTiming(storage.config)
        self._static = storage.activation.copy()
        self._accesses: Counter[str] = Counter()
        self.done: list[int] = []
        self.written: list[bytes] = []
        """The activation buffer after each command alone."""

    def hear(self, cycle: int, payload: int) -> None:
        command = unpack(payload.to_bytes(COMMAND_BYTES, "little"))
        self._storage.apply(command)
        self.written.append(self._storage.activation.tobytes())
        # What the bench's buffer answers does not change.
        self._storage.activation[:] = self._static
        assert self._timing.ready is not None
        assert cycle >= self._timing.ready
        done, accesses = self._timing.take(cycle, command)
        assert done is not None
        self.done.append(done)
        self._accesses.update(accesses)

    @property
    def accesses(self) -> dict[str, int]:
        return {name: self._accesses[name] for name in EVENTS.values()}


class Bench:
    """Drivers, monitors, model and checks around the engine."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.config = CONFIGS[bench_parameters()["config"]]
        self.storage = random_storage(self.config, self.rng.getrandbits(32))
        self.pins = PinMonitor(
            dut, (*EVENTS, "done", "write__address", "write__mask", "write__data")
        )
        self.commands = StreamMonitor(dut, "commands")
        self.commands.listeners.append(self.hear)
        self.pins.listeners += [self.check_done, self.note]
        ReadResponder(dut, "activation", self.read_activation, self.rng)
        ReadResponder(dut, "drain", self.read_accumulators, self.rng)
        ReadResponder(dut, "parameter", self.read_parameters, self.rng)
        ReadResponder(dut, "operand", self.read_operands, self.rng)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a reset."""
        self.model = PostModel(self.storage)
        self.done: list[int] = []
        self.accesses: Counter[str] = Counter()
        self.image = bytearray(self.storage.activation.tobytes())

    def read_activation(self, address: int) -> bytes:
        buffer = self.storage.activation
        return bytes(np.roll(buffer, -address)[: self.config.cols])

    def read_operands(self, address: int) -> bytes:
        buffer = self.storage.activation
        return bytes(np.roll(buffer, -address)[: self.config.requantiser_lanes])

    async def load_tables(self) -> None:
        """Fill both tables, a bus beat at a time."""
        size = self.config.bus_bytes
        for address in range(0, len(self.storage.table), size):
            self.dut.tables__valid.value, self.dut.tables__address.value = 1, address
            self.dut.tables__mask.value = (1 << size) - 1
            beat = self.storage.table[address : address + size].tobytes()
            self.dut.tables__data.value = int.from_bytes(beat, "little")
            await RisingEdge(self.dut.clk)
        self.dut.tables__valid.value = 0

    def read_accumulators(self, entry: int) -> bytes:
        return bytes(self.storage.accumulator[entry].astype(np.int32))

    def read_parameters(self, address: int) -> bytes:
        return bytes(self.storage.parameter[address : address + self.config.bus_bytes])

    def hear(self, payload: int) -> None:
        self.model.hear(self.commands.cycles[-1], payload)

    def check_done(self, pins: Pins) -> None:
        """With ``done``, all of the command's writes were requested in cycles before."""
        if pins["done"]:
            assert self.image == self.model.written[len(self.done)]
            self.done.append(self.pins.cycle)
            self.image = bytearray(self.storage.activation.tobytes())

    def note(self, pins: Pins) -> None:
        for name, counter in EVENTS.items():
            self.accesses[counter] += pins[name]
        if pins["write__valid"]:
            mask, data = pins["write__mask"], pins["write__data"]
            for lane in range(mask.bit_length()):
                if mask >> lane & 1:
                    place = (pins["write__address"] + lane) % len(self.image)
                    self.image[place] = data >> 8 * lane & 0xFF

    def send(self) -> Task[None]:
        source = StreamSource(self.dut, "commands", random_stalls(self.rng))
        words = random_posts(self.rng, self.config, COMMANDS)
        return cocotb.start_soon(source.send(words))

    async def finish(self) -> None:
        total = len(self.done) + COMMANDS
        await until(self.dut, lambda: len(self.done) == total, timeout=TIMEOUT, what="done")
        await RisingEdge(self.dut.clk)
        assert self.dut.idle.value
        assert self.done == self.model.done
        assert self.accesses == self.model.accesses


@bounded_test
async def bytes_and_cycles_are_the_simulators(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    await bench.load_tables()
    bench.send()
    await bench.finish()


@bounded_test
async def after_a_reset_in_mid_run_all_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    await bench.load_tables()
    for _ in range(4):
        sending = bench.send()
        await ClockCycles(dut.clk, bench.rng.randint(1, 200))
        sending.cancel()
        dut.commands__valid.value, dut.rst.value = 0, 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        bench.forget()
    bench.send()
    await bench.finish()
