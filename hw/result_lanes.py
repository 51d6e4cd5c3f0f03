"""From sums to output bytes: requantiser, operand unit and table of every lane."""

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine, PostOperand
from arch.config import AcceleratorConfig
from arch.post_timing import OPERAND_LATENCY, REQUANTISE_LATENCY, TABLE_LATENCY
from hw.interfaces import WritePort, command_layout
from hw.operand import OperandUnit, constants_layout
from hw.requantise import Requantiser
from hw.table import ADDRESS_BITS, LookupTables


class ResultLanes(wiring.Component):
    """Requantises, combines with a second operand, and looks up, ``requantiser_lanes`` columns a
    cycle.

    Latency: ``LATENCY`` register stages, a new group each cycle, no back-pressure.

    Members:
        command: the post command, held while groups are in flight.
        constants: of its second operand, held likewise; PASSING without one.
        values, multipliers: of the group, bias included.
        operands: bytes of the group's second operands, ``TO_OPERAND`` cycles after its values.
        tables: write port of the tables.
        results: bytes of the group.
    """

    TO_OPERAND = REQUANTISE_LATENCY
    LATENCY = REQUANTISE_LATENCY + OPERAND_LATENCY + TABLE_LATENCY

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.requantiser_lanes
        super().__init__(
            {
                "command": In(command_layout(Engine.POST)),
                "constants": In(constants_layout),
                "values": In(data.ArrayLayout(signed(32), lanes)),
                "multipliers": In(data.ArrayLayout(32, lanes)),
                "operands": In(8 * lanes),
                "tables": In(WritePort(address_bits=ADDRESS_BITS, elements=config.bus_bytes)),
                "results": Out(8 * lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.tables = tables = LookupTables(config=self._config)
        wiring.connect(m, wiring.flipped(self.tables), tables.write)
        outputs = []
        for lane in range(self._config.requantiser_lanes):
            requantiser, unit = Requantiser(), OperandUnit()
            m.submodules[f"requantiser{lane}"] = requantiser
            m.submodules[f"operand{lane}"] = unit
            m.d.comb += [
                requantiser.value.eq(self.values[lane]),
                requantiser.multiplier.eq(self.multipliers[lane]),
                requantiser.zero_point.eq(self.command.zero_point),
                requantiser.low.eq(self.command.low),
                requantiser.high.eq(self.command.high),
                unit.value.eq(requantiser.result),
                unit.operand.eq(self.operands.word_select(lane, 8)),
                unit.operand_unsigned.eq(self.command.operand_unsigned),
                unit.multiply.eq(self.command.operand == PostOperand.MULTIPLY),
                unit.constants.eq(self.constants),
            ]
            outputs.append(unit.result[:8])
        m.d.comb += [
            tables.table.eq(self.command.table),
            tables.bytes.eq(Cat(outputs)),
            self.results.eq(tables.results),
        ]
        return m
