"""The AXI4-Lite slave: the register map of arch/registers.py as hardware."""

from enum import IntEnum

from amaranth.hdl import C, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from arch.registers import (
    ADDRESS_BITS,
    CONTROL_ABORT,
    CONTROL_CLEAR,
    CONTROL_START,
    IDENTITY,
    INTERFACE_VERSION,
    REGISTER_ADDRESS,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR_SHIFT,
    STATUS_INTERRUPT,
    Status,
)
from hw.counters import counters_layout
from hw.fetch import PROGRAM_COMMANDS_BITS
from hw.interfaces import AXI_ADDRESS_BITS

WORD_BITS = 32
_LANES = WORD_BITS // 8
_WORD_OFFSET_BITS = 2

WRITABLE = {
    "interrupt_enable": 1,
    "program_address": (1 << AXI_ADDRESS_BITS) - 64,
    "program_commands": (1 << PROGRAM_COMMANDS_BITS) - 1,
}
"""The registers that keep what is written, and which of their bits do; the others read as 0."""


class Response(IntEnum):
    """AXI response codes in use here (AMBA AXI specification, RRESP and BRESP encodings)."""

    OKAY = 0
    SLVERR = 2


write_data = data.StructLayout({"data": WORD_BITS, "strb": _LANES})
"""Payload of AXI4-Lite W."""

read_data = data.StructLayout({"data": WORD_BITS, "resp": 2})
"""Payload of AXI4-Lite R."""


class ControlRegisters(wiring.Component):
    """An AXI4-Lite slave for one read and one write at a time; the two do not hold up each other.

    Addresses select words: the low two bits are not read. An address without a register answers
    SLVERR and reads as 0; a write to a read-only register answers OKAY and changes nothing. Byte
    strobes are honoured. No output depends on an input in the same cycle.

    An address taken in cycle t and the write data taken in cycle u are written in cycle
    max(t, u) + 1, or as soon as the response before has been taken; strobes to ``control`` are then
    high for this one cycle. New register values, and the response, are there a cycle later. A read
    whose address is taken in cycle t samples the register in t + 1 and answers from t + 2 on.

    Members:
        aw, w, b, ar, r: the bus; payloads are a byte address, ``write_data``, a response code, a
            byte address, and ``read_data``.
        start, abort, clear_interrupt: strobes of the bits of ``control``.
        interrupt_enable, program_address, program_commands: registers.
        busy, done, interrupt_pending, error: parts of ``status``.
        error_command, counters: registers.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "aw": In(stream.Signature(ADDRESS_BITS)),
                "w": In(stream.Signature(write_data)),
                "b": Out(stream.Signature(2)),
                "ar": In(stream.Signature(ADDRESS_BITS)),
                "r": Out(stream.Signature(read_data)),
                "start": Out(1),
                "abort": Out(1),
                "clear_interrupt": Out(1),
                "interrupt_enable": Out(1),
                "program_address": Out(AXI_ADDRESS_BITS),
                "program_commands": Out(PROGRAM_COMMANDS_BITS),
                "busy": In(1),
                "done": In(1),
                "interrupt_pending": In(1),
                "error": In(Status),
                "error_command": In(WORD_BITS),
                "counters": In(counters_layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        held = {}
        for name in ("aw", "w"):
            channel = getattr(self, name)
            held[name] = _hold(m, channel)
        (address, address_held), (beat, beat_held) = held["aw"], held["w"]
        now = Signal()
        m.d.comb += now.eq(address_held & beat_held & ~self.b.valid)
        with m.If(now):
            m.d.sync += [address_held.eq(0), beat_held.eq(0), self.b.valid.eq(1)]
        with m.If(self.b.valid & self.b.ready):
            m.d.sync += self.b.valid.eq(0)
