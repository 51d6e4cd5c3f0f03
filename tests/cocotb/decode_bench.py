"""The decoder between random stalls: every legal command in its queue, no illegal one in any."""

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from arch.commands import (
    COMMAND_BITS,
    COUNT_BITS,
    COUNTS,
    FORMATS,
    OPCODE_BITS,
    WAITS,
    Engine,
    LoadTarget,
    PostMode,
    PostOperand,
    PostSource,
)
from arch.config import TABLES, AcceleratorConfig
from hw.interfaces import dispatched_layout
from hw.queue import engine_flags
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, fields, packed, until
from tests.support.command_side import random_program, word_of
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

COMMANDS = 120
MUTATIONS = 60
TIMEOUT = 20_000
NAMES = {engine: engine.name.lower() for engine in Engine}
ALIGNED = ("dram_address", "row_bytes", "buffer_address", "dram_pitch", "buffer_pitch")
HALF = 1 << COUNT_BITS - 1


class Legality:
    """Judges commands by the text of the command set, and keeps count of the legal ones."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self.sent = dict.fromkeys(Engine, 0)

    def values(self, word: int) -> tuple[Engine, dict[str, int]] | None:
        """Engine and unsigned fields; None if a bit is set that means nothing."""
        opcode = word & (1 << OPCODE_BITS) - 1
        if opcode not in FORMATS:
            return None
        engine, values = Engine(opcode), {}
        for field in FORMATS[engine].fields:
            values[field.name] = word & (1 << field.bits) - 1
            word >>= field.bits
            used = field.used_bits(self._config)
            above = values[field.name] >> (used - 1 if field.signed else used)
            continued = field.signed and above == (1 << field.bits - used + 1) - 1
            if above and not continued:
                return None
        return None if word else (engine, values)

    def is_legal(self, word: int) -> bool:
        found = self.values(word)
        if found is None:
            return False
        engine, values = found
        for wait in WAITS[engine]:
            sent = self.sent[COUNTS[wait.removeprefix("wait_")]]
            if (sent - values[wait]) % (2 * HALF) >= HALF:
                return False
        if engine is Engine.POST:
            return (
                values["channels"] + 1 <= self._config.cols
                and values["operand"] in list(PostOperand)
                and values["table"] <= TABLES
                and values["mode"] in list(PostMode)
                and (
                    values["mode"] != PostMode.PRODUCTS or values["source"] == PostSource.ACTIVATION
                )
            )
        if engine in (Engine.LOAD, Engine.STORE) and values["row_bytes"] == 0:
            return False
        return engine is not Engine.LOAD or self._target_is_legal(values)

    def _target_is_legal(self, values: dict[str, int]) -> bool:
        if values["target"] not in (LoadTarget.PARAMETER, LoadTarget.TABLE):
            return True
        aligned = ["dram_address", "row_bytes", "buffer_address"]
        if values["rows"]:
            aligned += ["dram_pitch", "buffer_pitch"]
        return all(values[name] % self._config.bus_bytes == 0 for name in aligned)

    def hear(self, word: int) -> Engine:
        """A command was taken; gives its engine."""
        assert self.is_legal(word), f"{word:#x} was taken, and is illegal"
        engine = Engine(word & (1 << OPCODE_BITS) - 1)
        self.sent[engine] += 1
        return engine


def mutated(word: int, rng: random.Random) -> int:
    """The command with one thing changed, mostly for the worse."""
    engine = Engine(word & (1 << OPCODE_BITS) - 1)
    format_ = FORMATS[engine]
    kind = rng.choice(("bit", "unused", "opcode", "field", "field", "parameter"))
    if kind == "bit":
        return word ^ 1 << rng.randrange(COMMAND_BITS)
    if kind == "unused":
        return word ^ 1 << rng.randrange(format_.bits, COMMAND_BITS)
    if kind == "opcode":
        return word & ~((1 << OPCODE_BITS) - 1) | rng.choice((0, 5, 6, 7))
    if kind == "parameter" and engine is Engine.LOAD:
        return parameter_load(word, rng)
    names = [f"wait_{name}" for name in NAMES.values()]
    names += [name for name in ("row_bytes", "target", "channels") if name in format_.offsets]
    name = rng.choice(names)
    bits = next(field.bits for field in format_.fields if field.name == name)
    values = {"row_bytes": 0, "target": rng.randrange(2, 4), "channels": rng.getrandbits(bits)}
    return replaced(word, name, values.get(name, rng.getrandbits(bits)))


def replaced(word: int, name: str, value: int) -> int:
    """The command with another value in one field."""
    format_ = FORMATS[Engine(word & (1 << OPCODE_BITS) - 1)]
    bits = next(field.bits for field in format_.fields if field.name == name)
    offset = format_.offsets[name]
    return word & ~((1 << bits) - 1 << offset) | value << offset


def parameter_load(word: int, rng: random.Random) -> int:
    """A load turned into one of parameters: aligned to any bus but, perhaps, for one field."""
    word = replaced(word, "target", LoadTarget.PARAMETER)
    word = replaced(word, "rows", rng.choice((0, 1)))
    odd = rng.choice(("", *ALIGNED))
    for name in ALIGNED:
        word = replaced(word, name, 64 * rng.randint(1, 99) + (name == odd))
    return word


class Bench:
    """Drivers, monitors, model and checks around the decoder."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.config = CONFIGS[bench_parameters()["config"]]
        self.model = Legality(self.config)
        self.expected: dict[Engine, list[int]] = {engine: [] for engine in Engine}
        self.pins = PinMonitor(dut, ("abort", "dispatch"))
        self.commands = StreamMonitor(dut, "commands")
        self.queues: dict[Engine, StreamMonitor] = {}
        self.commands.listeners.append(self.hear)
        self.pins.listeners.append(self.check)
        for name in NAMES.values():
            StreamSink(dut, name, random_stalls(self.rng))
        self.dispatched = dict.fromkeys(NAMES.values(), 0)
        dut.abort.value, dut.dispatched.value = 0, 0
        cocotb.start_soon(self._count())

    def watch_queues(self) -> None:
        """From now on; not with aborts, which take offers back."""
        self.queues = {engine: StreamMonitor(self.dut, name) for engine, name in NAMES.items()}

    def hear(self, word: int) -> None:
        engine = self.model.hear(word)
        self.expected[engine].append(word & (1 << FORMATS[engine].bits) - 1)

    def check(self, pins: Pins) -> None:
        assert not (pins["abort"] and pins["dispatch"])
        assert pins["dispatch"].bit_count() <= 1

    def check_queues(self) -> None:
        for engine, queue in self.queues.items():
            assert queue.payloads == self.expected[engine]

    async def _count(self) -> None:
        """The counts that the decoder's surroundings keep of its dispatches."""
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value:
                self.dispatched = dict.fromkeys(NAMES.values(), 0)
            for name, bit in fields(engine_flags, int(self.dut.dispatch.value)).items():
                self.dispatched[name] += bit
            self.dut.dispatched.value = packed(dispatched_layout, self.dispatched)


@bounded_test
async def legal_commands_reach_their_queues(dut: Any) -> None:
    bench = Bench(dut)
    bench.watch_queues()
    program = random_program(COMMANDS, bench.config, bench.rng)
    words = [word_of(command, bench.config) for command in program]
    source = StreamSource(dut, "commands", random_stalls(bench.rng))
    await start_clock(dut)
    sending = cocotb.start_soon(source.send(words))
    await until(dut, sending.done, timeout=TIMEOUT, what="all taken")
    await RisingEdge(dut.clk)
    assert bench.commands.payloads == words
    assert not dut.illegal.value
    bench.check_queues()


@bounded_test
async def an_illegal_command_goes_nowhere(dut: Any) -> None:
    bench = Bench(dut)
    bench.watch_queues()
    await start_clock(dut)
    verdicts = set()
    for _ in range(MUTATIONS):
        program = random_program(4, bench.config, bench.rng)
        *before, last = (word_of(command, bench.config) for command in program)
        source = StreamSource(dut, "commands", random_stalls(bench.rng))
        await source.send(before)
        await RisingEdge(dut.clk)
        verdicts.add(await bad_or_taken(bench, mutated(last, bench.rng)))
        bench.check_queues()
        await reset(bench)
    assert verdicts == {True, False}


@bounded_test
async def nothing_is_dispatched_with_an_abort(dut: Any) -> None:
    bench = Bench(dut)
    await start_clock(dut)
    for _ in range(5):
        program = random_program(COMMANDS, bench.config, bench.rng)
        source = StreamSource(dut, "commands", random_stalls(bench.rng))
        words = [word_of(command, bench.config) for command in program]
        sending = cocotb.start_soon(source.send(words))
        await ClockCycles(dut.clk, bench.rng.randint(1, 100))
        dut.abort.value = 1
        await ClockCycles(dut.clk, 50)
        sending.cancel()
        await reset(bench)


async def reset(bench: Bench) -> None:
    """Reset the decoder, and begin anew."""
    dut = bench.dut
    dut.commands__valid.value, dut.abort.value, dut.rst.value = 0, 0, 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    bench.model = Legality(bench.config)


async def bad_or_taken(bench: Bench, word: int) -> bool:
    """Offer ``word`` until it is taken or called illegal, whichever it must be; gives which."""
    dut, total = bench.dut, len(bench.commands.payloads)
    if legal := bench.model.is_legal(word):
        source = StreamSource(dut, "commands", random_stalls(bench.rng))
        await source.send([word])
        await RisingEdge(dut.clk)
        assert not dut.illegal.value
        assert len(bench.commands.payloads) == total + 1
        return legal
    dut.commands__payload.value, dut.commands__valid.value = word, 1
    await until(dut, lambda: bool(dut.illegal.value), timeout=3, what="illegal")
    for _ in range(40):
        await RisingEdge(dut.clk)
        assert dut.illegal.value
    assert len(bench.commands.payloads) == total
    return legal
