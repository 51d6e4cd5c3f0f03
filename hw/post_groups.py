"""Where the groups of each output's channels lie in the activation buffer."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from hw.interfaces import command_layout

_POST = command_layout(Engine.POST)


class GroupWalker(wiring.Component):
    """Walks over the elements of a command's outputs, ``requantiser_lanes`` channels a cycle.

    ``start`` in cycle t: group g of the next output is at hand in cycle t + 1 + g, for all groups
    with a channel. Outputs follow one another in rows; the next may start once the groups of the
    former have been at hand.

    Members:
        first: byte address of the first output's first channel.
        to_row, to_column: bytes from output row to row, and from column to column.
        channels: channels of an output - 1.
        load: begin at the first output; the members above are held from then on.
        start: the next output's groups come.
        row_end: the next output is the first of the next row; with ``start``, the one behind it.
        valid: a group is at hand.
        address: of its first channel.
        mask: its lanes that have a channel.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "first": In(config.activation_address_bits),
                "to_row": In(config.activation_address_bits),
                "to_column": In(config.activation_address_bits),
                "channels": In(_POST["channels"].shape),
                "load": In(1),
                "start": In(1),
                "row_end": In(1),
                "valid": Out(1),
                "address": Out(config.activation_address_bits),
                "mask": Out(config.requantiser_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        lanes, columns = self._config.requantiser_lanes, self._config.cols
        group = lanes * self._config.activation_bytes
        # Addresses of the next output and of the first output in its row.
        pixel, row = Signal.like(self.address), Signal.like(self.address)
        channels, pending = Signal(columns), Signal(columns)

        with m.If(self.load):
            m.d.sync += [
                pixel.eq(self.first),
                row.eq(self.first),
                channels.eq(Cat(self.channels >= column for column in range(columns))),
            ]
        m.d.sync += [self.address.eq(self.address + group), pending.eq(pending >> lanes)]
        next_row = Signal.like(row)
        m.d.comb += next_row.eq(row + self.to_row)
        with m.If(self.start):
            m.d.sync += [
                self.address.eq(pixel),
                pending.eq(channels),
                pixel.eq(pixel + self.to_column),
            ]
        with m.If(self.row_end):
            m.d.sync += [pixel.eq(next_row), row.eq(next_row)]
        m.d.comb += [self.valid.eq(pending[0]), self.mask.eq(pending[:lanes])]
        return m
