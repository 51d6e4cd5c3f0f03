"""Reads the program from memory, a few commands ahead of the decoder."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.commands import COMMAND_BITS, COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.timing import FETCH_AHEAD
from hw.interfaces import AXI_ADDRESS_BITS, MemoryReader

PROGRAM_COMMANDS_BITS = 24
"""Width of the number of commands in a program."""

_OFFSET_BITS = COMMAND_BYTES.bit_length() - 1


class CommandFetch(wiring.Component):
    """Requests each command of a program as one burst, and offers it to the decoder.

    Timing, with the cycle after ``start`` called cycle 0 (``busy`` is 1 from there on), x_k the
    cycle in which the address of command k is taken, b_k the cycle of its last beat, and f_k the
    cycle in which the decoder takes it:

    - The address of command k is offered from a_k = max(x_(k-1), f_(k-FETCH_AHEAD)) + 1 on, until
      it is taken; a_0 = 0. So a burst is requested only if its slot is free.
    - Command k is offered to the decoder from max(b_k, f_(k-1)) + 1 on.
    - ``done`` is 1 from f_last + 1 on; in cycle 0 if the program is empty.

    Addresses and commands move at up to one per cycle each, beats at one per cycle; ``r.ready`` is
    always 1. Beats are counted, ``r.last`` is not read.

    After the first cycle of ``abort`` no address is newly offered, as long as it is 1. One on offer
    stays until it is taken, and its beats are accepted.

    Members:
        start: take the program's address and length; only while nothing is going on.
        program_address: byte address of the program; its low 6 bits are not read.
        program_commands: how many commands.
        memory: read half of the memory bus; bursts have id 0.
        commands: commands as 512-bit words.
        abort: request no more.
        quiet: no address is offered and no beat is to come.
        done: every command of the program has been taken from ``commands``.
        read_error: this cycle's beat has an error response.

    Attributes:
        claimed: slots of commands that are requested and not yet taken.
        filled: those of them that hold a whole command.
        remaining: commands not yet requested.
        more: there are such.
        beat: beats that are here of the command that is coming.
        write_slot, read_slot: where it goes, and which slot is on offer.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        self._beats = COMMAND_BYTES // config.bus_bytes
        super().__init__(
            {
                "start": In(1),
                "program_address": In(AXI_ADDRESS_BITS),
                "program_commands": In(PROGRAM_COMMANDS_BITS),
                "memory": Out(MemoryReader(config)),
                "commands": Out(stream.Signature(COMMAND_BITS)),
                "abort": In(1),
                "quiet": Out(1),
                "done": Out(1),
                "read_error": Out(1),
            }
        )
        self.claimed = Signal(range(FETCH_AHEAD + 1))
        self.filled = Signal(range(FETCH_AHEAD + 1))
        self.remaining = Signal(PROGRAM_COMMANDS_BITS)
        self.more = Signal()
        self.beat = Signal(range(self._beats))
        self.write_slot = Signal(range(FETCH_AHEAD))
        self.read_slot = Signal(range(FETCH_AHEAD))

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        requested, received, taken = Signal(), Signal(), Signal()
        self._request(m, requested)
        self._receive(m, received)
        self._offer(m, taken)
        self._store(m)
        m.d.sync += [
            self.claimed.eq(self.claimed + requested - taken),
            self.filled.eq(self.filled + received - taken),
        ]
        m.d.comb += [
            self.quiet.eq((self.claimed == self.filled) & ~self.memory.ar.valid),
            self.done.eq(~self.more & (self.claimed == 0)),
        ]
        return m

    def _request(self, m: Module, requested: Signal) -> None:
        """Offer addresses; ``requested``: one is taken."""
        ar = self.memory.ar
        block = Signal(AXI_ADDRESS_BITS - _OFFSET_BITS)  # address in units of a command
        stopped = Signal()
        m.d.comb += [
            ar.valid.eq(self.more & (self.claimed != FETCH_AHEAD) & ~stopped),
            ar.payload.addr.eq(block << _OFFSET_BITS),
            ar.payload.len.eq(self._beats - 1),
            requested.eq(ar.valid & ar.ready),
        ]
        # An address on offer is not withdrawn.
        m.d.sync += stopped.eq(self.abort & (stopped | ~ar.valid | ar.ready))
        with m.If(self.start):
            m.d.sync += [
                self.remaining.eq(self.program_commands),
                self.more.eq(self.program_commands != 0),
                block.eq(self.program_address >> _OFFSET_BITS),
            ]
        with m.Elif(requested):
            m.d.sync += [
                self.remaining.eq(self.remaining - 1),
                self.more.eq(self.remaining != 1),
                block.eq(block + 1),
            ]

    def _receive(self, m: Module, received: Signal) -> None:
        """Count beats; ``received``: a command's last one is here."""
        r = self.memory.r
        m.d.comb += [
            r.ready.eq(1),
            self.read_error.eq(r.valid & (r.payload.resp != 0)),
            received.eq(r.valid & (self.beat == self._beats - 1)),
        ]
        with m.If(r.valid):
            m.d.sync += self.beat.eq(Mux(received, 0, self.beat + 1))
        m.d.sync += self.write_slot.eq(self.write_slot + received)

    def _offer(self, m: Module, taken: Signal) -> None:
        """Offer whole commands; ``taken``: the decoder takes one."""
        m.d.comb += [
            self.commands.valid.eq(self.filled != 0),
            taken.eq(self.commands.valid & self.commands.ready),
        ]
        m.d.sync += self.read_slot.eq(self.read_slot + taken)

    def _store(self, m: Module) -> None:
        """The slots: beats go in, whole commands come out."""
        r = self.memory.r
        m.submodules.slots = slots = Memory(shape=COMMAND_BITS, depth=FETCH_AHEAD, init=[])
        write = slots.write_port(granularity=self.config.bus_bits)
        read = slots.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(self.write_slot),
            write.data.eq(r.payload.data.replicate(self._beats)),
            write.en.eq(r.valid << self.beat),
            read.addr.eq(self.read_slot),
            self.commands.payload.eq(read.data),
        ]
