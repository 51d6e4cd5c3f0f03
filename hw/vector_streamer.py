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
    cycles. It begins in the first cycle, after the former step or ``take``, in which ``loaded`` is
    set. A pending command is taken when there is no other, or in the last cycle of the last step.

    Args:
        config: gives sizes and widths.

    Members:
        pending_valid, pending: the next command.
        take: ``pending`` is taken in this cycle.
        command: the command that is streamed, from the cycle after ``take`` to the next one.
        active: there is such a command.
        loaded: the next tile's weights are in the shadow registers, or will be in time.
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
                "loaded": In(1),
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
            self.final.eq(vectors_end & positions.last.all()),
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
        # In a step, all of its vectors issued, and whether they were the command's last.
        started, exhausted, was_final = Signal(), Signal(), Signal()
        elapsed = Signal(range(least))
        long_enough = elapsed == least - 1
        step_end = long_enough & (exhausted | vectors_end)
        command_end = step_end & Mux(exhausted, was_final, self.final)
        m.d.comb += [
            self.swap.eq(self.active & ~started & self.loaded),
            self.issue.eq(self.swap | started & ~exhausted),
            self.take.eq(self.pending_valid & (~self.active | command_end)),
        ]
        with m.If(self.swap | started & ~long_enough):
            m.d.sync += elapsed.eq(elapsed + 1)
        m.d.sync += started.eq(started | self.swap)
        with m.If(vectors_end):
            m.d.sync += [exhausted.eq(1), was_final.eq(self.final)]
        with m.If(step_end):
            m.d.sync += [started.eq(0), exhausted.eq(0), elapsed.eq(0)]
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
