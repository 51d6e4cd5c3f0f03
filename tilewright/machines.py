"""Three ways to run a program: the golden model, the command-level simulator, the RTL."""

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from arch.counters import COUNTER_NAMES
from arch.errors import RunError
from arch.registers import Status
from compiler.program import Program
from hw.verilog import to_verilog
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.network import Bytes
from sim.rtl.machine import RtlMachine


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRun:
    """One image's run: the maps that layers wrote to memory, by name, and what it took.

    ``counters`` is empty for a machine without a clock.
    """

    maps: dict[str, NDArray[np.generic]]
    counters: dict[str, int]
    seconds: float


class Machine(Protocol):
    """Runs one program on one image after the other."""

    def run(self, image: Bytes) -> ImageRun:
        """Run on one quantised image [height, width, channels]."""


class _NothingToClose:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return


class GoldenMachine(_NothingToClose):
    """The golden model: layers, no commands, no clock."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def run(self, image: Bytes) -> ImageRun:
        """Every layer after the other."""
        began = time.perf_counter()
        maps = run_network(self._program.network, image)
        seconds = time.perf_counter() - began
        return ImageRun(
            maps={name: maps[name] for name in output_names(self._program)},
            counters={},
            seconds=seconds,
        )


class CommandMachine(_NothingToClose):
    """The command-level simulator. The timeline does not depend on data: it is worked out once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        counters = TimelineSimulator(program.config).run(program.commands).counters
        self._counters = {name: counters.get(name, 0) for name in COUNTER_NAMES}

    def run(self, image: Bytes) -> ImageRun:
        """Execute every command on NumPy buffers."""
        program = self._program
        began = time.perf_counter()
        memory = program.image.copy()
        program.write_map(memory, program.network.input, image)
        storage = Storage(program.config, memory)
        for command in program.commands:
            storage.apply(command)
        return ImageRun(
            maps=read_outputs(program, memory),
            counters=dict(self._counters),
            seconds=time.perf_counter() - began,
        )


_LEAST_MEMORY = 1 << 16
_PATIENCE = 10
"""A run that takes so many times the expected cycles hangs."""


class VerilogMachine:
    """The generated Verilog in simulation; ``verilog``, if at hand, need not be made again."""

    def __init__(
        self, program: Program, *, waveform: Path | None = None, verilog: str | None = None
    ) -> None:
        self._program = program
        self._rtl = RtlMachine(
            verilog or to_verilog(program.config),
            program.config,
            waveform=waveform,
            memory_bytes=max(_LEAST_MEMORY, program.image.size),
        )
        expected = TimelineSimulator(program.config).run(program.commands).cycles
        self._max_cycles = _PATIENCE * expected

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rtl.close()

    def run(self, image: Bytes) -> ImageRun:
        """Put program and image into memory, start, wait for the interrupt, read the results.

        Raises ``RunError`` if the run ends in an error status.
        """
        program, rtl = self._program, self._rtl
        rtl.memory[: program.image.size] = program.image
        program.write_map(rtl.memory, program.network.input, image)
        result = rtl.run(program.program_address, len(program.commands), self._max_cycles)
        if result.status is not Status.OK:
            raise RunError(
                f"a run must end with status OK, got {result.status.name} at command "
                f"{result.error_command} of {len(program.commands)}; look at its waveform (--vcd)"
            )
        return ImageRun(
            maps=read_outputs(program, rtl.memory),
            counters=result.counters,
            seconds=result.seconds,
        )


def output_names(program: Program) -> list[str]:
    """The maps that layers write to memory, in order."""
    return [
        placed.layer.output.name
        for placed in program.layers
        if placed.layer.output.name in program.maps
    ]


def read_outputs(program: Program, memory: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    """Every map that layers write to memory, by name."""
    specs = (placed.layer.output for placed in program.layers)
    return {
        spec.name: program.read_map(memory, spec) for spec in specs if spec.name in program.maps
    }
