"""The post-processor's writer: where the groups of each output go in the activation buffer."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from hw.interfaces import WritePort, command_layout


class OutputWriter(wiring.Component):
    """Writes an output's channels, ``requantiser_lanes`` a cycle.

    ``start`` in cycle t: group g of the output is written in cycle t + 1 + g, for all groups with a
    channel. Outputs follow one another in rows; the next may start once the groups of the former
    have been written.

    Members:
        command: the post command, held until its last write.
        load: take the first output's address from ``command``.
        start: the next output's groups come.
        row_end: with ``start``: the output is the last of its row.
        results: bytes of the group that is written in this cycle.
        write: port of the activation buffer.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.requantiser_lanes
        super().__init__(
            {
                "command": In(command_layout(Engine.POST)),
                "load": In(1),
                "start": In(1),
                "row_end": In(1),
                "results": In(8 * lanes),
                "write": Out(
                    WritePort(address_bits=config.activation_address_bits, elements=lanes)
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        lanes, columns = self._config.requantiser_lanes, self._config.cols
        # Addresses of the next output and of the first output in its row.
        pixel, row = Signal.like(self.write.address), Signal.like(self.write.address)
        channels, pending = Signal(columns), Signal(columns)

        with m.If(self.load):
            m.d.sync += [
                pixel.eq(self.command.out_address),
                row.eq(self.command.out_address),
                channels.eq(Cat(self.command.channels >= column for column in range(columns))),
            ]
        m.d.sync += [
            self.write.address.eq(self.write.address + lanes),
            pending.eq(pending >> lanes),
        ]
        next_row = Signal.like(row)
        m.d.comb += next_row.eq(row + self.command.out_py)
        with m.If(self.start):
            m.d.sync += [
                self.write.address.eq(pixel),
                pending.eq(channels),
                pixel.eq(Mux(self.row_end, next_row, pixel + self.command.out_px)),
                row.eq(Mux(self.row_end, next_row, row)),
            ]
        m.d.comb += [
            self.write.valid.eq(pending[0]),
            self.write.mask.eq(pending[:lanes]),
            self.write.data.eq(self.results),
        ]
        return m
