"""Programs, a memory to fetch them from, and the command side put together, for its tests."""

from collections import deque
from collections.abc import Mapping
from random import Random

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from arch.commands import (
    COMMAND_BYTES,
    COUNT_BITS,
    COUNTS,
    FORMATS,
    WAITS,
    Command,
    Engine,
    Field,
    LoadTarget,
    PostMode,
    PostOperand,
    PostSource,
    pack,
)
from arch.config import TABLES, AcceleratorConfig
from arch.presets import PRESETS
from hw.control import ERRORS, RunControl
from hw.decode import CommandDecoder
from hw.fetch import PROGRAM_COMMANDS_BITS, CommandFetch
from hw.interfaces import AXI_ADDRESS_BITS, MemoryReader, command_stream
from hw.queue import EngineQueue, count_flags, engine_flags
from tests.support.elements import whole_elements

WIDE = AcceleratorConfig.from_mapping(
    PRESETS["small"].model_dump() | {"name": "wide", "bus_bits": 512}
)
"""A machine whose bus takes a command in one beat."""

CONFIGS = (PRESETS["tiny"], PRESETS["small"], WIDE)


def beats_of(config: AcceleratorConfig) -> int:
    """Bus beats of one command."""
    return COMMAND_BYTES // config.bus_bytes


def _random_value(field: Field, config: AcceleratorConfig, random: Random) -> int:
    bits = field.used_bits(config)
    value = random.getrandbits(bits)
    return value - (1 << bits) if field.signed and value >> bits - 1 else value


def random_command(
    engine: Engine, config: AcceleratorConfig, random: Random, waits: Mapping[str, int]
) -> Command:
    """A legal command with every field random but the waits: ``waits`` by the counts' names."""
    values = {
        field.name: _random_value(field, config, random) for field in FORMATS[engine].fields[1:]
    }
    values |= {
        wait: waits[wait.removeprefix("wait_")] % (1 << COUNT_BITS) for wait in WAITS[engine]
    }
    if engine in (Engine.LOAD, Engine.STORE):
        values["row_bytes"] = max(config.activation_bytes, values["row_bytes"])
    if engine is Engine.LOAD:
        values["target"] = random.choice([LoadTarget.ACTIVATION, LoadTarget.WEIGHT])
    if engine is Engine.POST:
        values["channels"] = random.randrange(config.cols)
        values["operand"] = random.choice(list(PostOperand))
        values["table"] = random.randint(0, TABLES)
        values["source"] = random.choice(list(PostSource))
        products = config.depthwise_kernel and values["source"] == PostSource.ACTIVATION
        values["mode"] = random.randint(0, PostMode.PRODUCTS if products else PostMode.SUM)
    return Command.of(engine, whole_elements(engine, values, config))


def random_program(
    length: int, config: AcceleratorConfig, random: Random, *, lag: int = 3
) -> list[Command]:
    """Legal commands for random engines, each waiting for what precedes it, up to a random lag."""
    program: list[Command] = []
    sent = dict.fromkeys(Engine, 0)
    for _ in range(length):
        engine = random.choice(list(Engine))
        waits = {
            name: max(0, sent[other] - random.randrange(lag)) for name, other in COUNTS.items()
        }
        program.append(random_command(engine, config, random, waits))
        sent[engine] += 1
    return program


def word_of(command: Command, config: AcceleratorConfig) -> int:
    """The command as the decoder sees it."""
    return int.from_bytes(pack(command, config), "little")


class ReadMemory:
    """A memory that holds a program, and answers bursts in order.

    A burst whose address is taken in cycle t has its first beat in cycle t + latency or later: one
    beat per cycle, and each cycle is left out with probability ``gap``. The beats whose numbers are
    in ``bad_beats`` have an error response. A read outside of the program is a KeyError.
    """

    def __init__(
        self,
        words: list[int],
        config: AcceleratorConfig,
        random: Random,
        *,
        base: int,
        latency: int = 1,
        gap: float = 0.0,
        bad_beats: frozenset[int] = frozenset(),
    ) -> None:
        self._random, self._latency, self._gap = random, latency, gap
        self._bad_beats = bad_beats
        self._bits = config.bus_bits
        beats = [
            word >> config.bus_bits * beat & (1 << config.bus_bits) - 1
            for word in words
            for beat in range(beats_of(config))
        ]
        self._data = {base + config.bus_bytes * i: beat for i, beat in enumerate(beats)}
        self._bytes = config.bus_bytes
        self._due: deque[tuple[int, int]] = deque()
        self.sent = 0

    def request(self, cycle: int, address: int, beats: int) -> None:
        """An address is taken in this cycle."""
        first = address
        for beat in range(beats):
            self._due.append((cycle + self._latency, self._data[first + beat * self._bytes]))

    def beat(self, cycle: int) -> tuple[int, int] | None:
        """Data and response of this cycle's beat, if there is one."""
        if not self._due or self._due[0][0] > cycle or self._random.random() < self._gap:
            return None
        response = 2 if self.sent in self._bad_beats else 0
        self.sent += 1
        return self._due.popleft()[1], response


class CommandSide(wiring.Component):
    """Fetch, decoder, queues and control, connected as in the machine."""

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        errors = [name for name in ERRORS if name not in ("illegal_command", "read_error")]
        super().__init__(
            {
                "start": In(1),
                **{name: In(1) for name in errors},
                "program_address": In(AXI_ADDRESS_BITS),
                "program_commands": In(PROGRAM_COMMANDS_BITS),
                "memory": Out(MemoryReader(config)),
                **{engine.name.lower(): Out(command_stream(engine)) for engine in Engine},
                "counted": In(count_flags),
                "dispatch": Out(engine_flags),
                "busy": Out(1),
                "done": Out(1),
            }
        )
        self._errors = errors
        self.fetch = CommandFetch(config=config)
        self.decoder = CommandDecoder(config=config)
        self.control = RunControl()

    def elaborate(self, _platform: object) -> Module:
        """The hardware."""
        m = Module()
        fetch, decoder, control = self.fetch, self.decoder, self.control
        m.submodules.control = control
        m.submodules.fetch = ResetInserter(control.clear)(fetch)
        m.submodules.decoder = ResetInserter(control.clear)(decoder)
        connect(m, fetch.commands, decoder.commands)
        connect(m, flipped(self.memory), fetch.memory)
        for engine in Engine:
            name = engine.name.lower()
            queue = EngineQueue(engine=engine, depth=self.config.command_queue_depth)
            m.submodules[f"{name}_queue"] = ResetInserter(control.clear)(queue)
            connect(m, getattr(decoder, name), queue.i)
            connect(m, queue.o, flipped(getattr(self, name)))
            m.d.comb += queue.next_counts.eq(control.next_counts)
        m.d.comb += [
            control.start.eq(self.start),
            *(getattr(control, name).eq(getattr(self, name)) for name in self._errors),
            control.read_error.eq(fetch.read_error),
            control.illegal_command.eq(decoder.illegal),
            control.fetched.eq(fetch.done),
            control.quiet.eq(fetch.quiet),
            control.dispatch.eq(decoder.dispatch),
            control.counted.eq(self.counted),
            fetch.start.eq(control.restart),
            fetch.program_address.eq(self.program_address),
            fetch.program_commands.eq(self.program_commands),
            fetch.abort.eq(control.abort),
            decoder.abort.eq(control.abort),
            decoder.dispatched.eq(control.dispatched),
            self.dispatch.eq(decoder.dispatch),
            self.busy.eq(control.busy),
            self.done.eq(control.done),
        ]
        return m
