"""The post-processor: bytes against NumPy, and every cycle against the closed forms."""

from collections import deque
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from arch.commands import Engine, PostMode, PostOperand, PostSource
from arch.config import TABLES, AcceleratorConfig
from arch.post_timing import (
    execute_done_latency,
    post_constant_words,
    post_cycles,
    post_first_position,
    post_groups,
    post_overlap,
)
from arch.presets import PRESETS
from arch.timing import BUFFER_READ_LATENCY, execute_latency
from hw.post import PostEngine
from tests.support.elements import whole_elements
from tests.support.post_model import (
    Command,
    Log,
    Model,
    little,
    random_command,
    random_commands,
    random_memories,
)

# Columns and lanes that are no powers of two, and parameters that come in a single word.
ODD = AcceleratorConfig(
    name="odd",
    rows=5,
    cols=6,
    activation_buffer_bytes=4096,
    weight_buffer_bytes=4096,
    accumulator_buffer_bytes=256,
    parameter_buffer_bytes=256,
    requantiser_lanes=3,
    bus_bits=512,
    memory_bytes_per_cycle=64,
)
# All columns in one group.
WIDE = ODD.model_copy(update={"name": "wide", "requantiser_lanes": 6})
ODD16 = AcceleratorConfig.from_mapping(
    ODD.model_dump(exclude={"accumulator_bits"}) | {"name": "odd16", "activation_bits": 16}
)
# Taps of several words.
TAPS = AcceleratorConfig.from_mapping(
    ODD.model_dump()
    | {
        "name": "taps",
        "depthwise_kernel": 3,
        "parameter_buffer_bytes": 1024,
        "bus_bits": 32,
        "memory_bytes_per_cycle": 4,
    }
)
TAPS16 = AcceleratorConfig.from_mapping(
    TAPS.model_dump(exclude={"accumulator_bits"}) | {"name": "taps16", "activation_bits": 16}
)
CONFIGS = {
    **PRESETS,
    **{config.name: config for config in (ODD, WIDE, ODD16, TAPS, TAPS16)},
}

# Far beyond what the commands below take together, in cycles.
LONGEST_RUN = 20_000


class Bench:
    """Drives the engine's commands, stands in for its memories, and keeps the log."""

    def __init__(self, model: Model, rng: np.random.Generator) -> None:
        self.dut = PostEngine(config=model.config)
        self.model, self.rng = model, rng
        self.log, self.cycle = Log(), 0
        # Addresses requested 1, 2 and 3 cycles ago, of each port.
        self.requests: deque[list[int | None]] = deque([[None] * 4] * (BUFFER_READ_LATENCY - 1))
        self.clear = Signal()

    def run(self, commands: list[Command], gaps: list[int], *, clear_at: int | None = None) -> Log:
        """``gaps[n]``: cycles after command n - 1 was taken before command n is offered.

        With ``clear_at``, the engine is cleared in that cycle, and all starts over after it.
        """
        m = Module()
        m.submodules.dut = ResetInserter(self.clear)(self.dut)

        async def testbench(ctx: Any) -> None:
            await self._load_tables(ctx)
            if clear_at is not None:
                await self._program(ctx, commands, gaps, until=clear_at)
                ctx.set(self.clear, 1)
                await self._tick(ctx)
                ctx.set(self.clear, 0)
                self.log, self.cycle = Log(), 0
            await self._program(ctx, commands, gaps, until=None)

        simulator = Simulator(m)
        simulator.add_clock(1e-8)
        simulator.add_testbench(testbench)
        simulator.run()
        return self.log

    async def _load_tables(self, ctx: Any) -> None:
        port, bus = self.dut.tables, self.model.config.bus_bytes
        content = self.model.memories.tables.tobytes()
        ctx.set(port.valid, 1)
        for address in range(0, len(content), bus):
            ctx.set(port.address, address)
            ctx.set(port.mask, (1 << bus) - 1)
            ctx.set(port.data, little(content[address : address + bus]))
            await ctx.tick()
        ctx.set(port.valid, 0)

    async def _program(
        self, ctx: Any, commands: list[Command], gaps: list[int], *, until: int | None
    ) -> None:
        waiting, offer_at = list(commands), gaps[0]
        while len(self.log.done) < len(commands) and self.cycle != until:
            assert self.cycle < LONGEST_RUN, "the engine hangs"
            offered = bool(waiting) and self.cycle >= offer_at
            ctx.set(self.dut.commands.valid, offered)
            if offered:
                ctx.set(self.dut.commands.payload, waiting[0])
                if ctx.get(self.dut.commands.ready):
                    self.log.taken.append(self.cycle)
                    waiting.pop(0)
                    gap = gaps[len(commands) - len(waiting)] if waiting else 0
                    offer_at = self.cycle + 1 + gap
            await self._tick(ctx)
        ctx.set(self.dut.commands.valid, 0)

    async def _tick(self, ctx: Any) -> None:
        self._observe(ctx)
        await ctx.tick()
        self.cycle += 1
        self._answer(ctx, *self.requests.popleft())

    def _observe(self, ctx: Any) -> None:
        dut, log, cycle = self.dut, self.log, self.cycle
        request: list[int | None] = []
        for port in (dut.parameter, dut.drain, dut.activation, dut.operand):
            request.append(ctx.get(port.address) if ctx.get(port.valid) else None)
        parameter, drain, activation, operand = request
        self.requests.append(request)
        if parameter is not None:
            assert ctx.get(dut.parameter.mask) == (1 << self.model.config.bus_bytes) - 1
            log.parameters.append((cycle, parameter))
        if drain is not None:
            log.drains.append((cycle, drain))
        if activation is not None:
            log.activations.append((cycle, activation, ctx.get(dut.activation.mask)))
        for event, cycles in (
            (dut.position, log.positions),
            (dut.drained, log.drained),
            (dut.done, log.done),
            (dut.idle, log.idle),
            (dut.table_read, log.table_reads),
        ):
            if ctx.get(event):
                cycles.append(cycle)
        if operand is not None:
            log.operands.append((cycle, operand, ctx.get(dut.operand.mask)))
        if ctx.get(dut.write.valid):
            length = ctx.get(dut.write.mask).bit_count()
            assert ctx.get(dut.write.mask) == (1 << length) - 1
            unit = self.model.config.activation_bytes
            size = self.model.config.requantiser_lanes * unit
            data = ctx.get(dut.write.data).to_bytes(size, "little")
            log.writes.append((cycle, ctx.get(dut.write.address), data[: length * unit]))

    def _answer(
        self,
        ctx: Any,
        parameter: int | None,
        drain: int | None,
        activation: int | None,
        operand: int | None,
    ) -> None:
        """Data of the requests of BUFFER_READ_LATENCY cycles ago; noise where there was none."""
        config, memories = self.model.config, self.model.memories
        cols, unit, sum_bytes = config.cols, config.activation_bytes, config.accumulator_bits // 8
        lanes = config.requantiser_lanes
        words, entry = self.rng.bytes(config.bus_bytes), self.rng.bytes(sum_bytes * cols)
        vector, group = self.rng.bytes(cols * unit), self.rng.bytes(lanes * unit)
        if parameter is not None:
            words = memories.parameters[parameter : parameter + config.bus_bytes].tobytes()
        if drain is not None:
            sums = memories.accumulators[drain].tolist()
            entry = b"".join(value.to_bytes(sum_bytes, "little", signed=True) for value in sums)
        if activation is not None:
            where = (activation + np.arange(cols * unit)) % len(memories.activations)
            vector = memories.activations[where].tobytes()
        if operand is not None:
            where = (operand + np.arange(lanes * unit)) % len(memories.activations)
            group = memories.activations[where].tobytes()
        ctx.set(self.dut.operand.data, little(group))
        ctx.set(self.dut.parameter.data, little(words))
        ctx.set(self.dut.drain.data.as_value(), little(entry))
        ctx.set(self.dut.activation.data, little(vector))


def expected_log(model: Model, commands: list[Command], gaps: list[int]) -> Log:
    log = Log()
    offered, free = 0, 0
    for command, gap in zip(commands, gaps, strict=True):
        taken = max(offered + gap, free)
        model.log(command, taken, log)
        log.idle += range(free, taken + 1)
        offered, free = taken + 1, log.done[-1] - post_overlap(model.config)
    log.idle += range(free, log.done[-1] + 1)
    return log


def check(model: Model, commands: list[Command], seed: int, *, clear_at: int | None = None) -> None:
    rng = np.random.default_rng(seed)
    gaps = [int(gap) for gap in rng.choice([0, 0, 1, 7, 60, 200], len(commands))]
    found = Bench(model, rng).run(commands, gaps, clear_at=clear_at)
    wanted = expected_log(model, commands, gaps)
    for event in Log.__dataclass_fields__:
        assert getattr(found, event) == getattr(wanted, event), (
            f"{event} differ; config {model.config.name}, seed {seed}, commands {commands}"
        )


def random_model(name: str, seed: int) -> tuple[Model, np.random.Generator]:
    rng = np.random.default_rng(seed)
    config = CONFIGS[name]
    return Model(config=config, memories=random_memories(config, rng)), rng


@pytest.mark.parametrize(
    ("name", "seed", "count"),
    [
        ("tiny", 1, 12),
        ("tiny", 2, 12),
        ("small", 3, 10),
        ("odd", 4, 12),
        ("wide", 5, 12),
        ("gemmini16", 6, 4),
        ("small16", 7, 10),
        ("small16", 8, 10),
        ("odd16", 9, 12),
        ("taps", 10, 12),
        ("taps", 11, 12),
        ("taps16", 12, 12),
    ],
)
def test_random_commands(name: str, seed: int, count: int) -> None:
    model, rng = random_model(name, seed)
    check(model, random_commands(model.config, rng, count), seed)


@pytest.mark.parametrize("source", PostSource)
@pytest.mark.parametrize("mode", [PostMode.MAX, PostMode.SUM])
@pytest.mark.parametrize(
    ("name", "window"),
    [("wide", (1, 1)), *(("tiny", window) for window in [(1, 1), (1, 3), (2, 2), (1, 5), (3, 3)])],
)
def test_windows_around_the_number_of_groups(
    source: PostSource, mode: PostMode, name: str, window: tuple[int, int]
) -> None:
    model, rng = random_model(name, 6)
    assert post_groups(model.config) == {"wide": 1, "tiny": 4}[name]
    command = random_command(model.config, rng) | {
        "source": source,
        "mode": mode,
        "py_count": 1,
        "px_count": 2,
        "wy_count": window[0] - 1,
        "wx_count": window[1] - 1,
        "channels": model.config.cols - 1,
    }
    check(model, [command], 6)


@pytest.mark.parametrize("source", PostSource)
@pytest.mark.parametrize("mode", [PostMode.MAX, PostMode.SUM])
@pytest.mark.parametrize("name", ["tiny", "odd", "wide"])
def test_a_window_in_parts_gives_the_whole_windows_output(
    name: str, mode: PostMode, source: PostSource
) -> None:
    model, rng = random_model(name, 9)
    pairs = model.memories.parameters.view(np.float32).reshape(-1, 2)
    # Few outputs are at an end of the range.
    sums = model.memories.accumulators
    sums[:] = rng.integers(-(1 << 20), 1 << 20, sums.shape)
    pairs[:] = 0, 2.0**-17 if source is PostSource.ACCUMULATOR else 2.0**-4
    whole = random_command(model.config, rng) | {
        "source": source,
        "mode": mode,
        "height": (1 << 16) - 1,
        "width": 12,
        **dict.fromkeys(("py_count", "px_count"), 0),
        "y": 0,
        "x": -1,
        "wy_count": 4,
        "wx_count": 3,
        "wy_dy": 1,
        "wx_dx": 2,
        "channels": model.config.cols - 1,
        "low": -256,
        "high": 255,
        "operand": 0,
        "table": 0,
    }
    rows = [
        whole
        | {
            "y": whole["y"] + row * whole["wy_dy"],
            "address": (whole["address"] + row * whole["wy_da"]) % (1 << 20),
            "wy_count": 0,
            "continues": int(row > 0),
        }
        for row in range(5)
    ]
    check(model, [whole, *rows], 9)
    written = [model.outputs(command) for command in (whole, *rows)]
    assert written[0] == written[-1]
    assert model.outputs(rows[-1] | {"continues": 0}) != written[0]


@pytest.mark.parametrize("table", range(TABLES + 1))
@pytest.mark.parametrize("operand", PostOperand)
@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_operands_and_tables(name: str, operand: PostOperand, table: int) -> None:
    seed = 10 * operand + table
    model, rng = random_model(name, seed)
    commands = [
        random_command(model.config, rng) | {"operand": operand, "table": table} for _ in range(4)
    ]
    check(model, commands, seed)


def test_a_window_of_padding_alone() -> None:
    model, rng = random_model("small", 7)
    empty = random_command(model.config, rng) | {"height": 0, "low": -128, "high": 127}
    check(model, [empty | {"mode": mode} for mode in (PostMode.MAX, PostMode.SUM)], 7)


@pytest.mark.parametrize("clear_at", [3, 12, 14, 22, 37])
def test_the_first_command_after_a_clear_in_mid_run_is_exact(clear_at: int) -> None:
    model, rng = random_model("tiny", 8)
    command = random_command(model.config, rng) | {"py_count": 2, "wx_count": 2, "source": 1}
    check(model, [command], 8, clear_at=clear_at)


@pytest.mark.parametrize("operand", PostOperand)
@pytest.mark.parametrize("name", ["taps", "taps16", "gemmini16"])
def test_depthwise_windows(name: str, operand: PostOperand) -> None:
    seed = 20 + operand
    model, rng = random_model(name, seed)
    commands = [
        random_command(model.config, rng)
        | {
            "source": PostSource.ACTIVATION,
            "mode": PostMode.PRODUCTS,
            "operand": operand,
            "kernel_rows": 2,
            "px_count": 6,
            "wy_count": 2,
            "wx_count": 0,
            "height": 3,
            "width": 7,
        }
        for _ in range(3)
    ]
    commands = [whole_elements(Engine.POST, each, model.config) for each in commands]
    check(model, commands, seed)


def test_the_duration_as_written_out() -> None:
    for config in CONFIGS.values():
        groups = config.cols // config.requantiser_lanes
        for outputs, window, operand in product((1, 2, 9), (1, 3, 4, 9, 64), (False, True)):
            rows = min(window, config.tap_rows)
            constants = post_constant_words(config, operand=operand, kernel_rows=rows)
            assert constants == (
                config.parameter_block_words
                + (config.operand_block_words if operand else 0)
                + (1 + rows * config.tap_words if rows else 0)
            )
            assert post_cycles(config, outputs, window, constants) == (
                constants
                + (outputs - 1) * max(window, groups)
                + window
                + groups
                + (35 if config.activation_bits == 8 else 37)
                + (config.depthwise_kernel > 0)
            )


def test_the_overlap_as_written_out() -> None:
    for config in CONFIGS.values():
        words = config.parameter_block_words
        assert post_overlap(config) == min(words + 1, 17 if config.activation_bits == 8 else 19)
        # From the taking in cycle done - overlap on: the first request sees all that was written.
        assert post_first_position(words) - post_overlap(config) >= 1
        # From the taking in the cycle after an execute command's done on: it sees all sums.
        sums = execute_latency(config)
        assert execute_done_latency(config) == max(1, sums - (words + 3))
        assert execute_done_latency(config) + 1 + post_first_position(words) >= sums
