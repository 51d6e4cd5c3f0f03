"""From sums to output elements: requantiser, operand unit and table of every lane."""

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.commands import Engine, PostOperand
from arch.config import AcceleratorConfig
from hw.interfaces import command_layout
from hw.operand import OperandUnit, constants_layout
from hw.requantise import Requantiser
from hw.table import LookupTables, table_port


class ResultLanes(wiring.Component):
    """Requantises, combines with a second operand, and looks up, ``requantiser_lanes`` columns a
    cycle.

    Latency: REQUANTISE_LATENCY + OPERAND_LATENCY + table_latency(config) register stages, a new
    group each cycle, no back-pressure.

    Members:
        command: the post command, held while groups are in flight.
        constants: of its second operand, held likewise; ``passing`` without one.
        values, multipliers: of the group, bias included.
        operands: the group's second operands, REQUANTISE_LATENCY cycles after its values.
        tables: write port of the tables.
        results: elements of the group.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.requantiser_lanes
        super().__init__(
            {
                "command": In(command_layout(Engine.POST)),
                "constants": In(constants_layout(config.value_bits)),
                "values": In(data.ArrayLayout(signed(config.accumulator_bits), lanes)),
                "multipliers": In(data.ArrayLayout(32, lanes)),
                "operands": In(config.activation_bits * lanes),
                "tables": In(table_port(config)),
                "results": Out(config.activation_bits * lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.tables = tables = LookupTables(config=self._config)
        wiring.connect(m, wiring.flipped(self.tables), tables.write)
        outputs = []
        config, bits = self._config, self._config.activation_bits
        for lane in range(config.requantiser_lanes):
            requantiser = Requantiser(bits=config.accumulator_bits, result_bits=config.value_bits)
            unit = OperandUnit(value_bits=config.value_bits)
            m.submodules[f"requantiser{lane}"] = requantiser
            m.submodules[f"operand{lane}"] = unit
            m.d.comb += [
                requantiser.value.eq(self.values[lane]),
                requantiser.multiplier.eq(self.multipliers[lane]),
                requantiser.zero_point.eq(self.command.zero_point),
                requantiser.low.eq(self.command.low),
                requantiser.high.eq(self.command.high),
                unit.value.eq(requantiser.result),
                unit.operand.eq(self.operands.word_select(lane, bits)),
                unit.operand_unsigned.eq(self.command.operand_unsigned),
                unit.multiply.eq(self.command.operand == PostOperand.MULTIPLY),
                unit.constants.eq(self.constants),
            ]
            outputs.append(unit.result[:bits])
        m.d.comb += [
            tables.table.eq(self.command.table),
            tables.elements.eq(Cat(outputs)),
            self.results.eq(tables.results),
        ]
        return m
