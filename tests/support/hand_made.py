"""Programs made by hand, without a compiler, and the comparison of RTL and command-level simulator
on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES, FORMATS, Command, Engine, LoadTarget
from arch.config import TABLES, AcceleratorConfig
from arch.registers import Status
from compiler.program import pack_all
from compiler.waits import Region, Step, add_waits
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.rtl.machine import RtlMachine, RunResult

SLOWEST = 16
"""Random timing makes nothing take longer than so many times its time: a latency is at most twice
as long, and a gap of up to 12 intervals, and then some, stands before each beat or response."""


def column_words(config: AcceleratorConfig) -> int:
    """The fewest words of the parameter buffer that hold whole columns."""
    return lcm(config.parameter_column_bytes, config.bus_bytes) // config.bus_bytes


def command(engine: Engine, **values: int) -> Command:
    """A command whose fields are 0 but for ``values``."""
    fields = dict.fromkeys((field.name for field in FORMATS[engine].fields[1:]), 0)
    return Command.of(engine, fields | values)


def step(engine: Engine, reads: Sequence[Region], writes: Sequence[Region], **values: int) -> Step:
    """The same before its waits are known: they come from what it ``reads`` and ``writes``."""
    made = command(engine, **values)
    return Step(made.pattern, made.addresses, tuple(reads), tuple(writes), layer=0)


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Where hand-made programs find their data: one area of memory after the other."""

    config: AcceleratorConfig

    @property
    def weights(self) -> int:
        """First of as many bytes as the weight buffer holds; activations are from 0 on."""
        return self.config.activation_buffer_bytes

    @property
    def parameters(self) -> int:
        """First of as many columns' parameters as the parameter buffer holds."""
        return self.weights + self.config.weight_buffer_bytes

    @property
    def outputs(self) -> int:
        """First byte of what stores write: as many as the activation buffer holds."""
        return self.parameters + self.config.parameter_buffer_bytes

    @property
    def program(self) -> int:
        """Where the program begins."""
        stop = self.outputs + self.config.activation_buffer_bytes
        return -(-stop // COMMAND_BYTES) * COMMAND_BYTES

    def image(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Random bytes for all areas before the program; multipliers are positive floats for which
        products reach from 0 to beyond every clamp."""
        config = self.config
        image = rng.integers(0, 256, self.program, np.uint8)
        count = config.parameter_buffer_bytes // config.parameter_column_bytes
        area = image[self.parameters :][: count * config.parameter_column_bytes]
        columns = area.view([("bias", f"<i{config.bias_bytes}"), ("multiplier", "<f4")])
        columns["bias"] = rng.integers(-(1 << 20), 1 << 20, count)
        columns["multiplier"] = np.exp2(rng.uniform(-30, 2, count))
        return image

    def fill(self) -> list[Step]:
        """Steps that give every byte of every buffer, and every accumulator, a value.

        Nothing begins at address 0, where a machine that has forgotten all would begin as well.
        """
        config, element = self.config, self.config.activation_bytes
        # Columns that do not fill the buffer cannot wrap around its end.
        wraps = config.parameter_buffer_bytes % config.parameter_column_bytes == 0
        columns = 2 * column_words(config) * config.bus_bytes if wraps else 0
        tables = TABLES * config.table_bytes
        sizes = {
            LoadTarget.ACTIVATION: (3 * element, config.activation_buffer_bytes, 1, 38 * element),
            LoadTarget.WEIGHT: (self.weights, config.weight_buffer_bytes, 1, 43 * element),
            LoadTarget.PARAMETER: (
                self.parameters,
                config.parameter_buffer_bytes,
                config.bus_bytes,
                columns,
            ),
            LoadTarget.TABLE: (self.weights, tables, 1, 2 * config.bus_bytes),
        }
        loads = [
            step(
                Engine.LOAD,
                [],
                [Region(target.name.lower(), 0, size // unit)],
                target=target,
                dram_address=start,
                row_bytes=size,
                buffer_address=address,
            )
            for target, (start, size, unit, address) in sizes.items()
        ]
        half = config.accumulator_half_entries
        executes = [
            step(
                Engine.EXECUTE,
                [
                    Region("activation", 0, config.activation_buffer_bytes),
                    Region("weight", 0, config.weight_buffer_bytes),
                ],
                [Region("accumulator", first, first + half)],
                address=21 * element,
                weight_address=5 * element,
                accumulator_address=first + half // 2 + 1,
                height=1,
                width=half * element,
                ox_count=half - 1,
                ox_dx=element,
            )
            for first in (0, half)
        ]
        return loads + executes


def run_commands(
    machine: RtlMachine,
    commands: Sequence[Command],
    image: NDArray[np.uint8],
    address: int,
    *,
    max_cycles: int = 1_000_000,
) -> RunResult:
    """Run ``commands``, put at ``address`` of a memory that begins with ``image``."""
    machine.memory[:] = 0
    machine.memory[: image.size] = image
    program = np.frombuffer(pack_all(list(commands), machine.config), np.uint8)
    machine.memory[address : address + program.size] = program
    return machine.run(address, len(commands), max_cycles)


def assert_simulators_agree(
    machine: RtlMachine, commands: Sequence[Command], image: NDArray[np.uint8], address: int
) -> None:
    """RTL and command-level simulator must leave the same memory, in the same cycles, with the same
    counters. Programs must not read from a buffer what they did not put there."""
    expected = TimelineSimulator(machine.config).run(commands)
    result = run_commands(machine, commands, image, address, max_cycles=expected.cycles + 100)
    assert result.status is Status.OK
    assert result.error_command == len(commands)
    assert_same_counters(result, expected.counters)
    assert_same_memory(machine, commands, image)


def assert_same_counters(result: RunResult, expected: Mapping[str, int]) -> None:
    """Every counter must be as expected; 0 if that says nothing."""
    wrong = {
        name: f"{value} for {expected.get(name, 0)}"
        for name, value in result.counters.items()
        if value != expected.get(name, 0)
    }
    assert not wrong, f"counters differ: {wrong}"


def assert_same_memory(
    machine: RtlMachine, commands: Sequence[Command], image: NDArray[np.uint8]
) -> None:
    """What ``commands`` leave of ``image`` must be what the machine left."""
    storage = Storage(machine.config, image.copy())
    for each in commands:
        storage.apply(each)
    wrong = np.flatnonzero(machine.memory[: image.size] != storage.memory)
    assert wrong.size == 0, f"{wrong.size} bytes differ, the first at {wrong[0]:#x}"


@dataclass(frozen=True, kw_only=True, eq=False)
class HandMade:
    """A program that fills all buffers, does ``steps``, and stores the activation buffer; ``seed``
    draws its data."""

    config: AcceleratorConfig
    steps: list[Step]
    seed: int

    @property
    def plan(self) -> MemoryPlan:
        """Where its data and commands are."""
        return MemoryPlan(config=self.config)

    @property
    def image(self) -> NDArray[np.uint8]:
        """Memory before it, the commands left out."""
        return self.plan.image(np.random.default_rng(self.seed))

    @property
    def commands(self) -> list[Command]:
        """All commands with their waits."""
        size = self.config.activation_buffer_bytes
        end = step(
            Engine.STORE,
            [Region("activation", 0, size)],
            [Region("memory", self.plan.outputs, self.plan.outputs + size)],
            dram_address=self.plan.outputs,
            row_bytes=size,
        )
        return add_waits([*self.plan.fill(), *self.steps, end], self.config)

    def check(self, machine: RtlMachine) -> None:
        """Both simulators must agree on it."""
        assert_simulators_agree(machine, self.commands, self.image, self.plan.program)
