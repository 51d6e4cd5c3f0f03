"""Programs made by hand, without a compiler, and the comparison of RTL and command-level simulator
on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES, FORMATS, Command, Engine, LoadTarget
from arch.config import AcceleratorConfig
from arch.registers import Status
from compiler.program import pack_all
from compiler.waits import Region, Step
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.rtl.machine import RtlMachine, RunResult

NO_END = 100_000_000


def command(engine: Engine, **values: int) -> Command:
    """A command whose fields are 0 but for ``values``."""
    fields = dict.fromkeys((field.name for field in FORMATS[engine].fields[1:]), 0)
    return Command(engine, fields | values)


def step(engine: Engine, reads: Sequence[Region], writes: Sequence[Region], **values: int) -> Step:
    """The same before its waits are known: they come from what it ``reads`` and ``writes``."""
    fields = {
        name: value
        for name, value in command(engine, **values).values.items()
        if not name.startswith("wait_")
    }
    return Step(engine=engine, values=fields, reads=tuple(reads), writes=tuple(writes), layer=0)


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
        """First of as many pairs of bias and multiplier as the parameter buffer holds."""
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
        image = rng.integers(0, 256, self.program, np.uint8)
        pairs = image[self.parameters : self.outputs].view(np.uint32).reshape(-1, 2)
        pairs[:, 0] = rng.integers(-(1 << 20), 1 << 20, len(pairs)).astype(np.uint32)
        pairs[:, 1] = np.exp2(rng.uniform(-30, 2, len(pairs))).astype(np.float32).view(np.uint32)
        return image

    def fill(self) -> list[Step]:
        """Steps that give every byte of every buffer, and every accumulator, a value."""
        config = self.config
        sizes = {
            LoadTarget.ACTIVATION: (0, config.activation_buffer_bytes, 1),
            LoadTarget.WEIGHT: (self.weights, config.weight_buffer_bytes, 1),
            LoadTarget.PARAMETER: (
                self.parameters,
                config.parameter_buffer_bytes,
                config.bus_bytes,
            ),
        }
        loads = [
            step(
                Engine.LOAD,
                [],
                [Region(target.name.lower(), 0, size // unit)],
                target=target,
                dram_address=start,
                row_bytes=size,
            )
            for target, (start, size, unit) in sizes.items()
        ]
        half = config.accumulator_half_entries
        executes = [
            step(
                Engine.EXECUTE,
                [Region("activation", 0, half), Region("weight", 0, config.weight_tile_bytes)],
                [Region("accumulator", first, first + half)],
                accumulator_address=first,
                height=1,
                width=half,
                ox_count=half - 1,
                ox_dx=1,
                ox_da=1,
            )
            for first in (0, half)
        ]
        return loads + executes


def run_commands(
    machine: RtlMachine, commands: Sequence[Command], image: NDArray[np.uint8], address: int
) -> RunResult:
    """Run ``commands``, put at ``address`` of a memory that begins with ``image``."""
    machine.memory[:] = 0
    machine.memory[: image.size] = image
    program = np.frombuffer(pack_all(list(commands), machine.config), np.uint8)
    machine.memory[address : address + program.size] = program
    return machine.run(address, len(commands), NO_END)


def assert_simulators_agree(
    machine: RtlMachine, commands: Sequence[Command], image: NDArray[np.uint8], address: int
) -> None:
    """RTL and command-level simulator must leave the same memory, in the same cycles, with the same
    counters. Programs must not read from a buffer what they did not put there."""
    result = run_commands(machine, commands, image, address)
    assert result.status is Status.OK
    assert result.error_command == len(commands)
    expected = TimelineSimulator(machine.config).run(commands).counters
    wrong = {
        name: f"{value} for {expected.get(name, 0)}"
        for name, value in result.counters.items()
        if value != expected.get(name, 0)
    }
    assert not wrong, f"counters differ: {wrong}"
    assert_same_memory(machine, commands, image)


def assert_same_memory(
    machine: RtlMachine, commands: Sequence[Command], image: NDArray[np.uint8]
) -> None:
    """What ``commands`` leave of ``image`` must be what the machine left."""
    storage = Storage(machine.config, image.copy())
    for each in commands:
        storage.apply(each)
    wrong = np.flatnonzero(machine.memory[: image.size] != storage.memory)
    assert wrong.size == 0, f"{wrong.size} bytes differ, the first at {wrong[0]:#x}"
