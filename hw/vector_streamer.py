"""Streams vectors of activations, one pass for each tile of weights."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.commands import EXECUTE_LOOPS, Engine
from arch.config import AcceleratorConfig
from arch.timing import MINIMUM_STEP
from hw.address import AffineGenerator
from hw.interfaces import activation_port, command_layout


class VectorStreamer(wiring.Component):
    """Walks a command's positions and requests a vector for each, a step for each tile of weights.

    A step issues its M vectors in consecutive cycles and takes D = max(M, rows, MINIMUM_STEP)
    cycles. It begins in the first cycle, after the former step or ``take``, in which weights are
    loaded. A pending command is taken when there is no other, or in the last cycle of the last
    step.

    Args:
        config: gives sizes and widths.

    Members:
        pending_valid, pending: the next command.
        take: ``pending`` is taken in this cycle.
        command: the command that is streamed, from the cycle after ``take`` to the next one.
        active: there is such a command.
        next_loaded: in the next cycle, the next tile's weights are in the shadow registers, or will
            be in time.
        issue: a vector is issued in this cycle; the following belong to it.
        swap: it is the first with the next tile.
        final: it is the command's last.
        entry, overwrite: the accumulator entry of its psums; whether they overwrite it.
        port: request to the activation buffer, of the lanes that are no padding, if any.
        lanes: these lanes.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        layout = command_layout(Engine.EXECUTE)
        super().__init__(
            {
                "pending_valid": In(1),
                "pending": In(layout),
                "take": Out(1),
                "command": Out(layout),
                "active": Out(1),
                "next_loaded": In(1),
                "issue": Out(1),
                "swap": Out(1),
                "final": Out(1),
                "entry": Out(config.accumulator_address_bits),
                "overwrite": Out(1),
                "port": Out(activation_port(config, config.rows)),
                "lanes": Out(config.rows),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.positions = positions = AffineGenerator(
            loops=EXECUTE_LOOPS, address_bits=self.config.activation_address_bits
        )
        positions.describe(m, self.pending)
        vectors_end = self.issue & positions.last[-2:].all()
        m.d.comb += [
            positions.load.eq(self.take),
            positions.step.eq(self.issue),
            self.final.eq(self.issue & positions.end),
            self.lanes.eq(Mux(self.issue & positions.row_valid, self._inside(positions), 0)),
            self.port.valid.eq(self.lanes.any()),
            self.port.address.eq(positions.address),
            self.port.mask.eq(self.lanes),
        ]
        self._sequence(m, vectors_end)
        self._aim(m, vectors_end)
        return m

    def _inside(self, positions: AffineGenerator) -> Value:
        """The lanes l with 0 <= x + l * activation_bytes < width."""
        rows = self.config.rows
        # Both are whole elements.
        byte_bits = self.config.activation_bytes.bit_length() - 1
        x = positions.x[byte_bits:].as_signed()
        room = positions.room[byte_bits:].as_signed()
        bits = (rows - 1).bit_length()
        lanes = Const((1 << rows) - 1)
        # x < 0: lanes above -x - 1 = ~x.
        left = ~x
        above = Mux(left[bits:].any(), 0, (lanes << left[:bits] << 1)[:rows])
        below = Mux(room[bits:].any(), lanes, ~(lanes << room[:bits])[:rows])
        return Mux(x < 0, above, lanes) & Mux(room < 0, 0, below)

    def _sequence(self, m: Module, vectors_end: Value) -> None:
        """Begin and end of steps and commands."""
        least = max(self.config.rows, MINIMUM_STEP)
        # A command waits for a step's weights, or streams its vectors, or else all of them are
        # issued and the step is not long enough yet; in the last step it is closing then.
        waiting, closing = Signal(), Signal()
        elapsed, long_enough = Signal(range(least)), Signal()
        step_end = long_enough & (vectors_end | self.active & ~waiting & ~self.issue)
        command_end = long_enough & (self.final | closing)
        next_waiting, begins = Signal(), Signal()
        m.d.comb += [
            self.take.eq(self.pending_valid & (~self.active | command_end)),
            next_waiting.eq(self.take | step_end & ~command_end | waiting & ~self.swap),
            begins.eq(next_waiting & self.next_loaded),
        ]
        # Registers, as all that streams hangs on them.
        m.d.sync += [
            waiting.eq(next_waiting),
            self.swap.eq(begins),
            self.issue.eq(begins | self.issue & ~vectors_end),
        ]
        with m.If(step_end):
            m.d.sync += [elapsed.eq(0), long_enough.eq(0), closing.eq(0)]
        with m.Elif(self.swap | self.active & ~waiting & ~long_enough):
            m.d.sync += [elapsed.eq(elapsed + 1), long_enough.eq(elapsed == least - 2)]
        with m.If(self.final & ~step_end):
            m.d.sync += closing.eq(1)
        with m.If(self.take):
            m.d.sync += [self.active.eq(1), self.command.eq(self.pending)]
        with m.Elif(command_end):
            m.d.sync += self.active.eq(0)

    def _aim(self, m: Module, vectors_end: Value) -> None:
        """Accumulator entries follow one another from the command's on, modulo the half."""
        with m.If(self.take):
            m.d.sync += [
                self.entry.eq(self.pending.accumulator_address),
                self.overwrite.eq(~self.pending.accumulate),
            ]
        with m.Elif(vectors_end):
            m.d.sync += [
                self.entry.eq(self.command.accumulator_address),
                self.overwrite.eq(0),
            ]
        with m.Elif(self.issue):
            m.d.sync += self.entry[:-1].eq(self.entry[:-1] + 1)
