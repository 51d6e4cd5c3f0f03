"""The AXI4-Lite slave: the register map of arch/registers.py as hardware."""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
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
_OFFSET_BITS = 2

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

    A write whose address is taken in cycle t and data in cycle u happens in cycle max(t, u) + 1:
    the strobes of ``control`` are high for this one cycle; new register values and the response are
    there in the next. A read whose address is taken in cycle t samples its register in t + 1 and
    answers from t + 2 on. Either happens later if the answer before it has not been taken: in the
    cycle after that.

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
        kept = {name: Signal(WORD_BITS, name=name) for name in WRITABLE}
        for name, register in kept.items():
            m.d.comb += getattr(self, name).eq(register)
        self._write(m, kept)
        self._read(m, kept)
        return m

    def _write(self, m: Module, kept: dict[str, Signal]) -> None:
        address, beat = Signal(ADDRESS_BITS), Signal(write_data)
        now = Signal()
        _hold(m, self.aw, address, release=now)
        _hold(m, self.w, beat, release=now)
        m.d.comb += now.eq(~self.aw.ready & ~self.w.ready & ~self.b.valid)
        _answer(m, self.b, now)
        with m.If(now):
            m.d.sync += self.b.payload.eq(Response.SLVERR)
            with m.Switch(address >> _OFFSET_BITS):
                for name, place in REGISTER_ADDRESS.items():
                    with m.Case(place >> _OFFSET_BITS):
                        m.d.sync += self.b.payload.eq(Response.OKAY)
                        if name == "control":
                            self._strobe(m, beat)
                        elif name in kept:
                            _assign(m, kept[name], beat, WRITABLE[name])

    def _strobe(self, m: Module, beat: data.View) -> None:
        bits = Mux(beat.strb[0], beat.data, 0)
        m.d.comb += [
            self.start.eq((bits & CONTROL_START).any()),
            self.abort.eq((bits & CONTROL_ABORT).any()),
            self.clear_interrupt.eq((bits & CONTROL_CLEAR).any()),
        ]

    def _read(self, m: Module, kept: dict[str, Signal]) -> None:
        address = Signal(ADDRESS_BITS)
        now = Signal()
        _hold(m, self.ar, address, release=now)
        m.d.comb += now.eq(~self.ar.ready & ~self.r.valid)
        _answer(m, self.r, now)
        words: list[Value] = [Const(0, WORD_BITS)] * (1 << ADDRESS_BITS - _OFFSET_BITS)
        responses = [Const(Response.SLVERR, 2)] * len(words)
        for name, value in self._values(kept).items():
            place = REGISTER_ADDRESS[name] >> _OFFSET_BITS
            words[place] = value
            responses[place] = Const(Response.OKAY, 2)
        # One selection from a table is a third of the logic of a switch with a case for each.
        index = address >> _OFFSET_BITS
        with m.If(now):
            m.d.sync += self.r.payload.data.eq(Cat(words).word_select(index, WORD_BITS))
            m.d.sync += self.r.payload.resp.eq(Cat(responses).word_select(index, 2))

    def _values(self, kept: dict[str, Signal]) -> dict[str, Value]:
        """What each register reads as, 32 bits wide."""
        status = (
            Mux(self.busy, STATUS_BUSY, 0)
            | Mux(self.done, STATUS_DONE, 0)
            | Mux(self.interrupt_pending, STATUS_INTERRUPT, 0)
            | self.error << STATUS_ERROR_SHIFT
        )
        return {
            "identity": Const(IDENTITY, WORD_BITS),
            "version": Const(INTERFACE_VERSION, WORD_BITS),
            "fingerprint": Const(self.config.fingerprint, WORD_BITS),
            "control": Const(0, WORD_BITS),
            "status": (status | Const(0, WORD_BITS))[:WORD_BITS],
            "error_command": self.error_command,
            **kept,
            **{name: self.counters[name] for name in COUNTER_NAMES},
        }


def _hold(m: Module, channel: stream.Interface, into: Signal, *, release: Signal) -> None:
    """Take one transfer of ``channel``: its payload is in ``into`` from the next cycle on, and
    ``channel.ready`` is 0, until the cycle after ``release``."""
    full = Signal()
    m.d.comb += channel.ready.eq(~full)
    with m.If(release):
        m.d.sync += full.eq(0)
    with m.Elif(channel.valid & ~full):
        m.d.sync += [full.eq(1), into.eq(channel.payload)]


def _answer(m: Module, channel: stream.Interface, now: Signal) -> None:
    """Make ``channel`` valid from the cycle after ``now`` until its transfer."""
    with m.If(now):
        m.d.sync += channel.valid.eq(1)
    with m.Elif(channel.ready):
        m.d.sync += channel.valid.eq(0)


def _assign(m: Module, register: Signal, beat: data.View, writable: int) -> None:
    """Write the bytes of ``beat`` that its strobes name, where ``register`` keeps them."""
    for lane in range(_LANES):
        byte = slice(8 * lane, 8 * lane + 8)
        with m.If(beat.strb[lane]):
            m.d.sync += register[byte].eq((beat.data & writable)[byte])
