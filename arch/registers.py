"""The AXI4-Lite register map: the RTL builds it from this table, drivers and docs read it."""

from dataclasses import dataclass
from enum import IntEnum

from arch.counters import COUNTERS

IDENTITY = 0x54_49_4C_45
"""Value of the `identity` register: "TILE"."""

INTERFACE_VERSION = 4
"""Value of the `version` register: changes with the commands or registers."""

ADDRESS_BITS = 8


class Status(IntEnum):
    """Error code in the `status` register."""

    OK = 0
    ILLEGAL_COMMAND = 1
    READ_ERROR = 2
    WRITE_ERROR = 3
    BANK_CONFLICT = 4
    ABORTED = 5


@dataclass(frozen=True)
class Register:
    """A 32-bit register. ``access`` is "ro" (read-only), "rw", or "wo" (reads as 0)."""

    name: str
    address: int
    access: str
    doc: str


CONTROL_START, CONTROL_ABORT, CONTROL_CLEAR = 1, 2, 4
STATUS_BUSY, STATUS_DONE, STATUS_INTERRUPT, STATUS_ERROR_SHIFT = 1, 2, 4, 8

_FIXED = (
    Register("identity", 0x00, "ro", "0x54494C45, spells TILE"),
    Register("version", 0x04, "ro", "version of the command set and of this map"),
    Register("fingerprint", 0x08, "ro", "first 32 bits of the SHA-256 of the configuration"),
    Register(
        "control",
        0x0C,
        "wo",
        "bit 0 starts a run (ignored while busy), bit 1 aborts one, bit 2 clears the interrupt",
    ),
    Register(
        "status",
        0x10,
        "ro",
        "bit 0 busy; bit 1 done, from the end of a run to the next start; bit 2 interrupt "
        "pending; bits 8-15 error code of the last run",
    ),
    Register("interrupt_enable", 0x14, "rw", "bit 0: drive the interrupt output while pending"),
    Register("program_address", 0x18, "rw", "byte address of the program, a multiple of 64"),
    Register("program_commands", 0x1C, "rw", "number of commands in the program (24 bits)"),
    Register("error_command", 0x20, "ro", "commands dispatched before the run ended"),
)

COUNTER_BASE = 0x80

REGISTERS: tuple[Register, ...] = _FIXED + tuple(
    Register(counter.name, COUNTER_BASE + 4 * index, "ro", counter.doc)
    for index, counter in enumerate(COUNTERS)
)

REGISTER_ADDRESS: dict[str, int] = {register.name: register.address for register in REGISTERS}
