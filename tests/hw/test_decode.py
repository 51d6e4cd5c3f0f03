from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from amaranth.lib import data

from arch.commands import (
    COMMAND_BITS,
    COUNT_BITS,
    COUNTS,
    FORMATS,
    WAITS,
    Command,
    Engine,
    LoadTarget,
    PostSource,
)
from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from hw.decode import CommandDecoder, unused_bits
from hw.interfaces import command_layout
from tests.support.amaranth_sim import simulate, to_verilog
from tests.support.command_side import CONFIGS, random_command, random_program, word_of

TINY = PRESETS["tiny"]
NO_WAITS = dict.fromkeys(COUNTS, 0)


@dataclass
class Run:
    """Cycles and contents of what was decoded, by command."""

    shown: list[int] = field(default_factory=list)
    dispatched: list[tuple[int, Engine, int]] = field(default_factory=list)
    room: dict[Engine, list[int]] = field(default_factory=lambda: {e: [] for e in Engine})


def run_decoder(
    config: AcceleratorConfig, words: list[int], random: Random, *, gap: float, full: float
) -> Run:
    """Decode legal commands; ``gap`` is the probability that none is at hand, ``full`` that a
    queue has no room."""
    dut = CommandDecoder(config=config)
    run = Run()

    async def bench(ctx: Any) -> None:
        counts = dict.fromkeys(Engine, 0)
        waiting = list(words)
        offering = False
        cycle = 0
        while waiting:
            if not offering and random.random() >= gap:
                offering = True
                run.shown.append(cycle)
            ctx.set(dut.commands.valid, offering)
            ctx.set(dut.commands.payload, waiting[0] if offering else random.getrandbits(512))
            for engine in Engine:
                room = random.random() >= full
                ctx.set(getattr(dut, engine.name.lower()).ready, room)
                ctx.set(dut.dispatched[engine.name.lower()], counts[engine])
                if room:
                    run.room[engine].append(cycle)
            assert not ctx.get(dut.illegal)
            sent = dispatched_in(ctx, dut, cycle)
            assert ctx.get(dut.commands.ready) == len(sent)
            run.dispatched += sent
            for _, engine, _ in sent:
                counts[engine] += 1
                waiting.pop(0)
                offering = False
            await ctx.tick()
            cycle += 1
            assert cycle < 100 * len(words), "stuck"

    simulate(dut, bench)
    return run


def dispatched_in(ctx: Any, dut: CommandDecoder, cycle: int) -> list[tuple[int, Engine, int]]:
    """What is pushed into queues in this cycle: at most one command."""
    sent = []
    for engine in Engine:
        queue = getattr(dut, engine.name.lower())
        pushed = ctx.get(queue.valid) & ctx.get(queue.ready)
        assert ctx.get(dut.dispatch[engine.name.lower()]) == pushed
        if pushed:
            sent.append((cycle, engine, ctx.get(queue.payload.as_value())))
    assert len(sent) <= 1
    return sent


@pytest.mark.parametrize(("gap", "full"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.8), (0.5, 0.5)])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_commands_go_to_their_queues_when_the_laws_say(
    config: AcceleratorConfig, gap: float, full: float
) -> None:
    random = Random(f"{config.name} {gap} {full}")
    program = random_program(60, config, random)
    words = [word_of(command, config) for command in program]
    run = run_decoder(config, words, random, gap=gap, full=full)
    for command, word, shown, sent in zip(program, words, run.shown, run.dispatched, strict=True):
        cycle, engine, payload = sent
        assert engine is command.engine
        assert payload == word & (1 << FORMATS[engine].bits) - 1
        assert cycle == min(c for c in run.room[engine] if c > shown)


def test_a_command_takes_two_cycles() -> None:
    random = Random(1)
    words = [word_of(command, TINY) for command in random_program(20, TINY, random)]
    run = run_decoder(TINY, words, random, gap=0.0, full=0.0)
    assert [cycle for cycle, _, _ in run.dispatched] == [2 * k + 1 for k in range(20)]


def test_nothing_is_dispatched_during_an_abort() -> None:
    dut = CommandDecoder(config=TINY)
    word = word_of(random_command(Engine.LOAD, TINY, Random(2), NO_WAITS), TINY)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.commands.payload, word)
        ctx.set(dut.commands.valid, 1)
        ctx.set(dut.load.ready, 1)
        ctx.set(dut.abort, 1)
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.load.valid)
            assert not ctx.get(dut.commands.ready)

    simulate(dut, bench)


def verdict(
    config: AcceleratorConfig, words: list[int], dispatched: dict[Engine, int] | None = None
) -> list[bool]:
    """Whether each word, on its own, is illegal: told one cycle after it is offered, and for as
    long as it stays; nothing of it reaches a queue."""
    dut = CommandDecoder(config=config)
    verdicts = []

    async def bench(ctx: Any) -> None:
        for engine, count in (dispatched or {}).items():
            ctx.set(dut.dispatched[engine.name.lower()], count)
        for word in words:
            ctx.set(dut.commands.payload, word)
            ctx.set(dut.commands.valid, 1)
            assert not ctx.get(dut.illegal)
            await ctx.tick()
            illegal = bool(ctx.get(dut.illegal))
            queues = [getattr(dut, engine.name.lower()) for engine in Engine]
            assert sum(ctx.get(queue.valid) for queue in queues) == (not illegal)
            for queue in queues:
                ctx.set(queue.ready, illegal)
            await ctx.tick()
            assert bool(ctx.get(dut.illegal)) == illegal
            assert not ctx.get(dut.commands.ready)
            verdicts.append(illegal)
            for queue in queues:
                ctx.set(queue.ready, 0)
            ctx.set(dut.commands.valid, 0)
            await ctx.tick()

    simulate(dut, bench)
    return verdicts


def changed(command: Command, **values: int) -> int:
    """The word of ``command`` with some of its fields replaced, legal or not."""
    layout = command_layout(command.engine)
    fields = {"opcode": int(command.engine), **command.values, **values}
    return int(data.Const(layout, layout.const(fields).as_bits()).as_bits())


def illegal_in(config: AcceleratorConfig, engine: Engine, **values: int) -> bool:
    """Whether a random legal command becomes illegal by these field values."""
    command = random_command(engine, config, Random(str(values)), NO_WAITS)
    before, after = verdict(config, [changed(command), changed(command, **values)])
    assert not before
    return after


def illegal(engine: Engine, **values: int) -> bool:
    """``illegal_in`` the preset ``tiny``."""
    return illegal_in(TINY, engine, **values)


def test_an_opcode_that_is_no_engines_is_illegal() -> None:
    word = word_of(random_command(Engine.STORE, TINY, Random(3), NO_WAITS), TINY)
    words = [word & ~7 | opcode for opcode in (0, 5, 6, 7)]
    assert verdict(TINY, words) == [True] * 4


@pytest.mark.parametrize("engine", Engine)
def test_every_bit_without_a_meaning_is_illegal(engine: Engine) -> None:
    word = word_of(random_command(engine, TINY, Random(4), NO_WAITS), TINY)
    mask = unused_bits(FORMATS[engine], TINY)
    bits = [bit for bit in range(COMMAND_BITS) if mask >> bit & 1]
    assert all(verdict(TINY, [word | 1 << bit for bit in bits]))


@pytest.mark.parametrize("engine", Engine)
def test_the_bits_without_a_meaning_are_those_outside_of_the_used_ones(engine: Engine) -> None:
    for config in PRESETS.values():
        expected, position = 0, 0
        for part in FORMATS[engine].fields:
            for bit in range(part.bits):
                # Bits beyond a signed value continue its sign.
                unused = bit >= part.used_bits(config) and not part.signed
                expected |= unused << position + bit
            position += part.bits
        expected |= (1 << COMMAND_BITS) - (1 << position)
        assert unused_bits(FORMATS[engine], config) == expected


@pytest.mark.parametrize("name", ["weight_address", "accumulator_address"])
def test_the_first_bit_beyond_a_buffer_is_illegal(name: str) -> None:
    used = next(f for f in FORMATS[Engine.EXECUTE].fields if f.name == name).used_bits(TINY)
    assert not illegal(Engine.EXECUTE, **{name: (1 << used) - 1})
    assert illegal(Engine.EXECUTE, **{name: 1 << used})


@pytest.mark.parametrize(
    ("engine", "wait"), [(engine, wait) for engine, waits in WAITS.items() for wait in waits]
)
def test_a_wait_beyond_what_was_dispatched_is_illegal(engine: Engine, wait: str) -> None:
    other = COUNTS[wait.removeprefix("wait_")]
    half, whole = 1 << COUNT_BITS - 1, 1 << COUNT_BITS
    command = random_command(engine, TINY, Random(5), NO_WAITS)
    for count in (0, 1, 700, half, whole - 1):
        dispatched = dict.fromkeys(Engine, 0) | {other: count}
        waits = [count, count - 1, count - half + 1, count + 1, count + half, count + half + 1]
        met = {each: count for each in WAITS[engine] if COUNTS[each.removeprefix("wait_")] is other}
        words = [changed(command, **met | {wait: w % whole}) for w in waits]
        expected = [False, False, False, True, True, False]
        assert verdict(TINY, words, dispatched) == expected, f"{count} dispatched"


@pytest.mark.parametrize("engine", [Engine.LOAD, Engine.STORE])
def test_an_empty_row_is_illegal(engine: Engine) -> None:
    assert illegal(engine, row_bytes=0)
    assert not illegal(engine, row_bytes=1)


@pytest.mark.parametrize("name", ["operand", "table"])
def test_an_unknown_operand_or_table_is_illegal(name: str) -> None:
    assert [illegal(Engine.POST, **{name: value}) for value in range(4)] == [False] * 3 + [True]


@pytest.mark.parametrize("source", PostSource)
def test_products_are_legal_for_activations_alone(source: PostSource) -> None:
    config = PRESETS["gemmini16"]
    command = random_command(Engine.POST, config, Random(1), NO_WAITS)
    words = [
        word_of(Command.of(Engine.POST, command.values | {"mode": mode, "source": source}), config)
        for mode in range(4)
    ]
    assert verdict(config, words) == [False, False, source is PostSource.ACCUMULATOR, True]


ALIGNED = {
    "dram_address": 0xFFFF_FFC0,
    "row_bytes": 64,
    "buffer_address": 0x40,
    "dram_pitch": 0x1_0000,
    "buffer_pitch": 0xF_FF80,
    "rows": 1,
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize(
    "name", ["dram_address", "row_bytes", "buffer_address", "dram_pitch", "buffer_pitch"]
)
@pytest.mark.parametrize("target", [LoadTarget.PARAMETER, LoadTarget.TABLE])
def test_a_misaligned_load_of_parameters_or_a_table_is_illegal(
    target: LoadTarget, config: AcceleratorConfig, name: str
) -> None:
    aligned = ALIGNED | {"target": target}
    assert not illegal_in(config, Engine.LOAD, **aligned)
    bit = 1
    while bit < config.bus_bytes:
        assert illegal_in(config, Engine.LOAD, **aligned | {name: ALIGNED[name] + bit})
        bit *= 2


@pytest.mark.parametrize("name", ["dram_pitch", "buffer_pitch"])
@pytest.mark.parametrize("target", [LoadTarget.PARAMETER, LoadTarget.TABLE])
def test_the_pitch_of_a_single_row_of_parameters_or_a_table_may_be_anything(
    target: LoadTarget, name: str
) -> None:
    assert not illegal(Engine.LOAD, **ALIGNED | {"target": target, name: 1, "rows": 0})


@pytest.mark.parametrize("target", [LoadTarget.ACTIVATION, LoadTarget.WEIGHT])
def test_other_loads_may_be_misaligned(target: int) -> None:
    odd = {name: value + 1 for name, value in ALIGNED.items()}
    assert not illegal(Engine.LOAD, **odd | {"target": target})


@pytest.mark.parametrize("name", ["zero_point", "low", "high"])
def test_a_value_beyond_the_machines_width_is_illegal(name: str) -> None:
    field = next(field for field in FORMATS[Engine.POST].fields if field.name == name)
    word = word_of(random_command(Engine.POST, TINY, Random(5), NO_WAITS), TINY)
    first = FORMATS[Engine.POST].offsets[name]
    without = word & ~((1 << field.bits) - 1 << first)
    for value, wrong in ((-256, False), (255, False), (256, True), (-257, True)):
        bits = (value & (1 << field.bits) - 1) << first
        assert verdict(TINY, [without | bits]) == [wrong]


BROKEN = [
    *((Engine.STORE, name) for name in ("dram_address", "row_bytes", "buffer_address")),
    *((Engine.LOAD, name) for name in ("dram_address", "row_bytes", "buffer_address")),
    *((Engine.EXECUTE, name) for name in ("address", "x", "width", "ky_da", "kx_dx", "ox_dx")),
    (Engine.EXECUTE, "weight_address"),
    *((Engine.POST, name) for name in ("address", "x", "width", "py_da", "wx_dx")),
    *((Engine.POST, name) for name in ("out_address", "out_px", "operand_address", "operand_py")),
]


@pytest.mark.parametrize(("engine", "name"), BROKEN)
def test_half_an_element_is_illegal(engine: Engine, name: str) -> None:
    whole = {"source": int(PostSource.ACTIVATION)} if engine is Engine.POST else {}
    if engine in (Engine.LOAD, Engine.STORE):
        whole = {"row_bytes": 6}
    for config, illegal_there in ((PRESETS["small16"], True), (PRESETS["small"], False)):
        for value, wrong in ((2, False), (3, illegal_there)):
            assert illegal_in(config, engine, **whole | {name: value}) == wrong


def test_accumulator_entries_need_not_be_whole_elements() -> None:
    drain = {"source": int(PostSource.ACCUMULATOR), "address": 1, "width": 3, "px_dx": 1}
    assert not illegal_in(PRESETS["small16"], Engine.POST, **drain)


@pytest.mark.parametrize("name", ["tiny", "small", "gemmini16"])
def test_more_channels_than_columns_are_illegal(name: str) -> None:
    config = PRESETS[name]
    assert illegal_in(config, Engine.POST, channels=config.cols)
    assert illegal_in(config, Engine.POST, channels=63)
    assert not illegal_in(config, Engine.POST, channels=config.cols - 1)


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("name", ["tiny", "small", "small16", "gemmini16"])
def test_random_legal_commands_are_legal(name: str, engine: Engine) -> None:
    config, random = PRESETS[name], Random(6)
    words = [word_of(random_command(engine, config, random, NO_WAITS), config) for _ in range(50)]
    assert verdict(config, words) == [False] * 50


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(CommandDecoder(config=TINY))
