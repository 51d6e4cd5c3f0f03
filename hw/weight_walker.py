"""Fetches tiles of weights from the weight buffer into the array's shadow registers."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine
from arch.config import AcceleratorConfig
from hw.interfaces import command_layout, weight_port

TILE_LOOPS = ("ky", "kx", "kc")
"""The loops of an execute command that change the tile of weights, outermost first."""


class WeightWalker(wiring.Component):
    """Requests the rows of all of a command's tiles, one row a cycle, each tile without gaps.

    A command is taken by ``load`` in a cycle in which ``idle`` is set. The first row of a tile is
    requested in the earliest cycle in which the shadow registers are free, the first tile's in the
    cycle after ``load`` at the earliest. ``idle`` is set again in the cycle after the last row.

    Args:
        config: gives sizes and widths.

    Members:
        load, command: take this command.
        idle: no command has rows left.
        free: the shadow registers may be overwritten from this cycle on.
        begin: this cycle requests the first row of a tile.
        row: the row requested in this cycle.
        port: read port of the weight buffer.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        super().__init__(
            {
                "load": In(1),
                "command": In(command_layout(Engine.EXECUTE)),
                "idle": Out(1),
                "free": In(1),
                "begin": Out(1),
                "row": Out(range(config.rows)),
                "port": Out(weight_port(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self.config
        walking, first_row = Signal(), Signal(init=1)
        tile_end = self.port.valid & (self.row == config.rows - 1)
        last_tile = self._count_tiles(m, tile_end)
        m.d.comb += [
            self.idle.eq(~walking),
            self.port.valid.eq(walking & (~first_row | self.free)),
            self.port.mask.eq(~0),
            self.begin.eq(self.port.valid & first_row),
        ]
        with m.If(self.load):
            m.d.sync += [walking.eq(1), self.port.address.eq(self.command.weight_address)]
        with m.Elif(self.port.valid):
            m.d.sync += [
                self.port.address.eq(self.port.address + config.cols * config.weight_bytes),
                self.row.eq(self.row + 1),
                first_row.eq(0),
            ]
            with m.If(tile_end):
                m.d.sync += [self.row.eq(0), first_row.eq(1), walking.eq(~last_tile)]
        return m

    def _count_tiles(self, m: Module, tile_end: Value) -> Value:
        """Whether the present tile is the command's last: nested counters spare a multiplier."""
        # Counters start in the cycle after: the load is late in its own, and no tile of two rows or
        # more ends that soon.
        loaded = Signal()
        m.d.sync += loaded.eq(self.load)
        inner_over: Value = tile_end
        last: list[Value] = []
        for loop in reversed(TILE_LOOPS):
            count = self.command[f"{loop}_count"]
            reload, left = Signal.like(count, name=f"{loop}_reload"), Signal.like(count)
            over = left == 0
            with m.If(self.load):
                m.d.sync += reload.eq(count)
            with m.If(loaded):
                m.d.sync += left.eq(reload)
            with m.Elif(inner_over):
                m.d.sync += left.eq(left - 1)
                with m.If(over):
                    m.d.sync += left.eq(reload)
            inner_over = inner_over & over
            last.append(over)
        return last[0] & last[1] & last[2]
