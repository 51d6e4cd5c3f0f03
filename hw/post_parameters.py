"""The post-processor's constants: parameters of all columns, and those of a second operand."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from hw.operand import PASSING, constants_layout

_COLUMN = data.StructLayout({"bias": signed(32), "multiplier": 32})


class ParameterBlock(wiring.Component):
    """Holds one block of parameters and presents those of one group of columns.

    After ``parameter_block_words`` words were loaded, the first ``requantiser_lanes`` columns are
    presented; each ``rotate`` goes on to the next group, and from the last one back to the first.
    Both act in the next cycle.

    Members:
        load, word: shift the next word of the parameter buffer in.
        rotate: go on to the next group.
        group: (bias int32, multiplier float32 bits) of each column of the group.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "load": In(1),
                "word": In(config.bus_bits),
                "rotate": In(1),
                "group": Out(data.ArrayLayout(_COLUMN, config.requantiser_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self._config
        words = Signal(config.parameter_block_words * config.bus_bits)
        columns = words[: config.cols * _COLUMN.size]
        group_bits = config.requantiser_lanes * _COLUMN.size
        with m.If(self.load):
            m.d.sync += words.eq(Cat(words, self.word)[config.bus_bits :])
        with m.Elif(self.rotate):
            m.d.sync += columns.eq(columns.rotate_right(group_bits))
        m.d.comb += self.group.eq(columns[:group_bits])
        return m


class OperandBlock(wiring.Component):
    """Holds the constants of a second operand.

    Members:
        clear: there is none: values pass the operand unit unchanged.
        load, word: shift the next word of the parameter buffer in; after ``operand_block_words`` of
            them, they are the constants. Both act in the next cycle.
        constants: of the operand unit.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "word": In(config.bus_bits),
                "constants": Out(constants_layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self._config
        words = Signal(config.operand_block_words * config.bus_bits)
        with m.If(self.clear):
            m.d.sync += words.eq(PASSING.as_bits())
        with m.Elif(self.load):
            m.d.sync += words.eq(Cat(words, self.word)[config.bus_bits :])
        m.d.comb += self.constants.eq(words[: constants_layout.size])
        return m
