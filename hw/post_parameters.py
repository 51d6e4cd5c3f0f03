"""The post-processor's constants: parameters of all columns, and those of a second operand."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from hw.operand import constants_layout, passing


def _column_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A column's parameters as they lie in memory; bits of a bias beyond a sum do not count."""
    bits = config.accumulator_bits
    beyond = 8 * config.bias_bytes - bits
    # No member of no bits: Verilog has none.
    sign = {"_bias_sign": beyond} if beyond else {}
    return data.StructLayout({"bias": signed(bits), **sign, "multiplier": 32})


class ParameterBlock(wiring.Component):
    """Holds one block of parameters and presents those of one group of columns.

    After ``parameter_block_words`` words were loaded, the first ``requantiser_lanes`` columns are
    presented; each ``rotate`` goes on to the next group, and from the last one back to the first.
    Both act in the next cycle.

    Members:
        load, word: shift the next word of the parameter buffer in.
        rotate: go on to the next group.
        group: (bias, multiplier float32 bits) of each column of the group.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        self._column = _column_layout(config)
        super().__init__(
            {
                "load": In(1),
                "word": In(config.bus_bits),
                "rotate": In(1),
                "group": Out(data.ArrayLayout(self._column, config.requantiser_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self._config
        words = Signal(config.parameter_block_words * config.bus_bits, reset_less=True)
        columns = words[: config.cols * self._column.size]
        group_bits = config.requantiser_lanes * self._column.size
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
        self._constants = constants_layout(config.value_bits)
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "word": In(config.bus_bits),
                "constants": Out(self._constants),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self._config
        words = Signal(config.operand_block_words * config.bus_bits, reset_less=True)
        with m.If(self.clear):
            m.d.sync += words.eq(passing(config.value_bits).as_bits())
        with m.Elif(self.load):
            m.d.sync += words.eq(Cat(words, self.word)[config.bus_bits :])
        m.d.comb += self.constants.eq(words[: self._constants.size])
        return m
