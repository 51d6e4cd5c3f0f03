"""Three ways to run a network: the golden model, the command-level simulator, the RTL.

Steps of the host are run by ONNX Runtime in all three.
"""

import time
from collections.abc import Sequence
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
from compiler.schedule import Schedule
from hw.verilog import to_verilog
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network, run_results
from sim.network import Bytes, HostStep, TensorSpec
from sim.rtl.machine import RtlMachine, RunResult


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageRun:
    """One image's run: maps in memory by name, what the host made, and what it took.

    ``counters`` are of all programs together, ``parts`` of each; both are empty for a machine
    without a clock. ``results`` are the network's by name.
    """

    maps: dict[str, NDArray[np.generic]]
    results: dict[str, NDArray[np.generic]]
    parts: tuple[dict[str, int], ...]
    seconds: float

    @property
    def counters(self) -> dict[str, int]:
        """The machine's counters, summed over the parts."""
        return summed(self.parts)


def summed(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counters of several programs together."""
    return {name: sum(part[name] for part in parts) for name in (parts[0] if parts else ())}


class Machine(Protocol):
    """Runs one network on one image after the other."""

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

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def run(self, image: Bytes) -> ImageRun:
        """Every layer after the other."""
        network = self._schedule.network
        began = time.perf_counter()
        maps = run_network(network, image)
        results = run_results(network, image, maps)
        seconds = time.perf_counter() - began
        return ImageRun(
            maps={spec.name: maps[spec.name] for spec in written_maps(self._schedule)},
            results=results,
            parts=(),
            seconds=seconds,
        )


class CommandMachine(_NothingToClose):
    """The command-level simulator. The timeline does not depend on data: it is worked out once."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        timelines = [
            TimelineSimulator(program.config).run(program.commands) for program in schedule.programs
        ]
        self._parts = tuple(
            {name: timeline.counters.get(name, 0) for name in COUNTER_NAMES}
            for timeline in timelines
        )

    def run(self, image: Bytes) -> ImageRun:
        """Execute every command on NumPy buffers."""
        schedule = self._schedule
        began = time.perf_counter()
        memory = schedule.image.copy()
        schedule.write_map(memory, schedule.network.input, image)
        storage = Storage(schedule.config, memory)
        for stage in schedule.stages:
            if isinstance(stage, HostStep):
                schedule.run_host_step(memory, stage)
            else:
                for command in stage.commands:
                    storage.apply(command)
        return ImageRun(
            maps=_read_maps(schedule, memory),
            results=schedule.results(memory),
            parts=tuple(dict(part) for part in self._parts),
            seconds=time.perf_counter() - began,
        )


_LEAST_MEMORY = 1 << 16
_PATIENCE = 10
"""A run that takes so many times the expected cycles hangs."""


class VerilogMachine:
    """The generated Verilog in simulation; ``verilog``, if at hand, need not be made again."""

    def __init__(
        self, schedule: Schedule, *, waveform: Path | None = None, verilog: str | None = None
    ) -> None:
        self._schedule = schedule
        self._rtl = RtlMachine(
            verilog or to_verilog(schedule.config),
            schedule.config,
            waveform=waveform,
            memory_bytes=max(_LEAST_MEMORY, schedule.image.size),
        )
        self._expected = {
            program.program_address: TimelineSimulator(program.config).run(program.commands).cycles
            for program in schedule.programs
        }

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
        """Put programs and image into memory, run one after the other, read the results.

        Raises ``RunError`` if a run ends in an error status.
        """
        schedule, memory = self._schedule, self._rtl.memory
        memory[: schedule.image.size] = schedule.image
        schedule.write_map(memory, schedule.network.input, image)
        runs = []
        for stage in schedule.stages:
            if isinstance(stage, HostStep):
                schedule.run_host_step(memory, stage)
            else:
                runs.append(self._run_program(stage))
        return ImageRun(
            maps=_read_maps(schedule, memory),
            results=schedule.results(memory),
            parts=tuple(run.counters for run in runs),
            seconds=sum(run.seconds for run in runs),
        )

    def _run_program(self, program: Program) -> RunResult:
        """Start, wait for the interrupt."""
        address = program.program_address
        limit = _PATIENCE * self._expected[address]
        result = self._rtl.run(address, len(program.commands), limit)
        if result.status is not Status.OK:
            raise RunError(
                f"a run must end with status OK, got {result.status.name} at command "
                f"{result.error_command} of {len(program.commands)}; look at its waveform (--vcd)"
            )
        return result


def written_maps(schedule: Schedule) -> list[TensorSpec]:
    """The maps that layers and steps of the host write to memory, in order."""
    found: list[TensorSpec] = []
    for stage in schedule.stages:
        if isinstance(stage, HostStep):
            found.append(stage.output)
        else:
            outputs = (placed.layer.output for placed in stage.layers)
            found += [spec for spec in outputs if spec.name in stage.maps]
    return found


def _read_maps(schedule: Schedule, memory: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
    """Every written map, by name."""
    return {spec.name: schedule.read_map(memory, spec) for spec in written_maps(schedule)}
