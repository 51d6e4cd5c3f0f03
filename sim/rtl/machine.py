"""Runs the generated Verilog: registers, interrupt and memory as a driver sees them."""

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import RunError
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


class _CErrorRange(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_uint64),
        ("stop", ctypes.c_uint64),
        ("read", ctypes.c_bool),
        ("write", ctypes.c_bool),
    )
