"""Runs the generated Verilog: registers, interrupt and memory as a driver sees them."""

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import InputError, RunError
from arch.registers import (
    CONTROL_CLEAR,
    CONTROL_START,
    IDENTITY,
    INTERFACE_VERSION,
    REGISTER_ADDRESS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR_SHIFT,
    Status,
)
from sim.rtl.build import build_library
from sim.rtl.shared_library import CErrorRange, load_library

MEMORY_BYTES = 1 << 26
"""Default size of the simulated memory; pages that nobody touches cost nothing."""

_NEVER = 2**64 - 1
_ACCESS_CYCLES = 10_000
"""A register access that takes longer hangs."""
_SLICE_CYCLES = 100_000
"""Cycles between looks at the keyboard's interrupt."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What one run did."""

    status: Status
    """How it ended."""
    error_command: int
    """Commands dispatched before it ended."""
    counters: dict[str, int]
    """The machine's counters at the end, by name."""
    snapshots: dict[int, int]
    """By number of write responses: the value of the counter `cycles` in the cycle in which that
    many had been accepted. Numbers that the run did not reach are missing."""
    simulated_cycles: int
    """Clock cycles simulated, the driver's register accesses included."""
    seconds: float
    """Wall-clock time that they took."""


@dataclass(frozen=True, kw_only=True)
class ErrorRange:
    """Memory addresses ``start`` ... ``stop`` - 1 that answer SLVERR."""

    start: int
    stop: int
    read: bool = True
    write: bool = True


class RtlMachine:
    """A simulated accelerator: the Verilog, a memory, and a driver of its registers.

    Args:
        verilog: the Verilog text, or a file of it; its top module is named like the configuration.
        config: the configuration that the Verilog was made from.
        waveform: VCD file to write; simulation is then several times slower.
        memory_bytes: size of ``memory``; accesses beyond it answer DECERR.

    ``memory`` is the simulated memory itself: write programs and data before a run, read results
    after it. Not safe for use from several threads; different machines may run side by side.

    Raises:
        InputError: the waveform cannot be written.
        ToolError: a tool is missing, or cannot compile the Verilog.
        RunError: the Verilog was made from another configuration.
    """

    memory: NDArray[np.uint8]

    def __init__(
        self,
        verilog: str | Path,
        config: AcceleratorConfig,
        *,
        waveform: Path | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        if waveform is not None:
            _require_writable(waveform)
        text = verilog.read_text("utf-8") if isinstance(verilog, Path) else verilog
        library = build_library(
            text, top=config.module_name, bus_bytes=config.bus_bytes, trace=waveform is not None
        )
        self.config = config
        self.memory = np.zeros(memory_bytes, np.uint8)
        self._c = load_library(library)
        vcd = None if waveform is None else os.fsencode(waveform)
        self._machine = self._c.machine_new(self.memory.ctypes.data, memory_bytes, vcd)
        self.exact_timing()
        self.reset()
        self._identify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model and finish the waveform; the memory stays readable."""
        if self._machine is not None:
            self._c.machine_delete(self._machine)
            self._machine = None

    # What the memory does.

    def exact_timing(self, *, latency: int | None = None, interval: int | None = None) -> None:
        """Memory with fixed times, in cycles: ``latency`` from an address to its first beat and
        from a last written beat to its response, ``interval`` between beats. The configuration's
        unless given. Law: memory.hpp."""
        self._c.machine_set_exact(
            self._machine,
            self.config.memory_latency if latency is None else latency,
            self.config.beat_interval if interval is None else interval,
        )

    def random_timing(self, seed: int) -> None:
        """Memory and register driver with random latencies, gaps and stalls, and reads of
        different ids overtaking each other: changes cycles, never bytes."""
        self._c.machine_set_random(
            self._machine, self.config.memory_latency, self.config.beat_interval, seed
        )

    def inject_errors(self, ranges: Sequence[ErrorRange]) -> None:
        """From now on, exactly ``ranges`` answer SLVERR; such writes do not reach the memory."""
        table = (CErrorRange * len(ranges))(
            *(CErrorRange(each.start, each.stop, each.read, each.write) for each in ranges)
        )
        self._c.machine_set_errors(self._machine, table, len(ranges))

    # What a driver does.

    def reset(self) -> None:
        """Hold aresetn low for four cycles, at any time. The memory keeps its bytes and forgets
        what is in flight."""
        self._c.machine_reset(self._machine)

    def write(self, register: str, value: int) -> None:
        """Write a register by name. Raises ``RunError`` if that hangs or answers an error."""
        response = self._c.machine_write(
            self._machine, REGISTER_ADDRESS[register], value, _ACCESS_CYCLES
        )
        self._check_access("write", register, response)

    def read(self, register: str) -> int:
        """Read a register by name. Raises ``RunError`` if that hangs or answers an error."""
        value = ctypes.c_uint32()
        response = self._c.machine_read(
            self._machine, REGISTER_ADDRESS[register], ctypes.byref(value), _ACCESS_CYCLES
        )
        self._check_access("read", register, response)
        return value.value

    def advance(self, cycles: int) -> None:
        """Simulate ``cycles`` clock cycles. Raises ``RunError`` if the machine breaks AXI4."""
        self._c.machine_advance(self._machine, cycles, False)
        self._check_rules()

    def start(self, program_address: int, program_commands: int) -> None:
        """Start a run and leave it running."""
        self.write("interrupt_enable", 1)
        self.write("program_address", program_address)
        self.write("program_commands", program_commands)
        self._c.machine_restart(self._machine)
        self.write("control", CONTROL_START)

    def finish(
        self,
        max_cycles: int,
        snapshot_writes: Sequence[int] = (),
        follow: Callable[[int], None] = lambda _: None,
    ) -> RunResult:
        """Wait for the interrupt of the run under way, and read what it did; see ``run``."""
        began, first = time.perf_counter(), self._now
        while (ended := self._c.machine_interrupted(self._machine)) == _NEVER:
            left = max_cycles - (self._now - first)
            if left <= 0:
                raise RunError(
                    f"a run must end within max_cycles, got no interrupt after {max_cycles} cycles "
                    f"(status register {self.read('status'):#x}): raise it, or look at a waveform"
                )
            self._c.machine_advance(self._machine, min(left, _SLICE_CYCLES), True)
            self._check_rules()
            follow(self._now - first)
        status = self._acknowledge()
        counters = {name: self.read(name) for name in COUNTER_NAMES}
        return RunResult(
            status=status,
            error_command=self.read("error_command"),
            counters=counters,
            snapshots=self._snapshots(snapshot_writes, ended - counters["cycles"]),
            simulated_cycles=self._now - first,
            seconds=time.perf_counter() - began,
        )

    def run(
        self,
        program_address: int,
        program_commands: int,
        max_cycles: int,
        snapshot_writes: Sequence[int] = (),
        follow: Callable[[int], None] = lambda _: None,
    ) -> RunResult:
        """Run a program as a driver would: registers, start, interrupt, results.

        Args:
            program_address: byte address in ``memory`` of the first command.
            program_commands: how many commands.
            max_cycles: limit of the run.
            snapshot_writes: numbers of AXI write responses at which to note the cycle.
            follow: is called now and then with the cycles simulated so far.

        Raises:
            RunError: no interrupt within ``max_cycles``, a register access that hangs, or a broken
                rule of AXI4. An error status of the machine is a result, and raises nothing.
        """
        self.start(program_address, program_commands)
        return self.finish(max_cycles, snapshot_writes, follow)

    # Behind these.

    @property
    def _now(self) -> int:
        return int(self._c.machine_now(self._machine))

    def _acknowledge(self) -> Status:
        """Status at the end of a run; clears the interrupt."""
        status = self.read("status")
        if status & (STATUS_BUSY | STATUS_DONE) != STATUS_DONE:
            raise RunError(f"status must be done at the interrupt, and not busy, got {status:#x}")
        self.write("control", CONTROL_CLEAR)
        return Status(status >> STATUS_ERROR_SHIFT & 0xFF)

    def _snapshots(self, writes: Sequence[int], started: int) -> dict[int, int]:
        """Busy cycles that preceded each of the write responses; the first was ``started``."""
        cycles = {count: self._c.machine_response_cycle(self._machine, count) for count in writes}
        return {count: cycle - started for count, cycle in cycles.items() if cycle != _NEVER}

    def _identify(self) -> None:
        expected = {
            "identity": IDENTITY,
            "version": INTERFACE_VERSION,
            "fingerprint": self.config.fingerprint,
        }
        for register, value in expected.items():
            if (found := self.read(register)) != value:
                raise RunError(
                    f"register {register} must read {value:#x} for configuration "
                    f"{self.config.name}, got {found:#x}: generate its Verilog anew"
                )

    def _check_access(self, verb: str, register: str, response: int) -> None:
        self._check_rules()
        if response != 0:
            what = "no response" if response < 0 else f"AXI response {response}"
            raise RunError(f"a {verb} of register {register} must answer OKAY, got {what}")

    def _check_rules(self) -> None:
        if broken := self._c.machine_broken(self._machine).decode():
            raise RunError(f"the machine broke AXI4: {broken}")


def _require_writable(path: Path) -> None:
    try:
        path.open("wb").close()
    except OSError as error:
        raise InputError(
            f"a waveform must go to a file that can be written, got {path}: {error.strerror}"
        ) from None
