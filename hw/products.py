"""Products of a window's positions with the weights of a depthwise convolution."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig


class KernelProducts(wiring.Component):
    """Holds what padding reads as and up to ``tap_rows`` rows of weights, and multiplies a position
    a cycle by one row after the other: ``depthwise_kernel`` products for each column.

    Members:
        clear: the next word is the padding's, the next one begins the first row, and the next
            position takes the first row.
        load, word: the next word of the parameter buffer; acts in the next cycle.
        valid: a position is at hand.
        last: it is the last one of its window: the next position takes the first row again.
        counts: it is data; else it reads as the padding.
        values: the position as it was read, bits of activations.
        unsigned: an activation q is taken as q - 2^(bits - 1).
        products: of the position, one cycle later, signed, [weight of the row][column].
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        row = data.ArrayLayout(signed(config.product_bits), config.cols)
        super().__init__(
            {
                "clear": In(1),
                "load": In(1),
                "word": In(config.bus_bits),
                "valid": In(1),
                "last": In(1),
                "counts": In(1),
                "values": In(config.cols * config.activation_bits),
                "unsigned": In(1),
                "products": Out(data.ArrayLayout(row, config.depthwise_kernel)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        bits = self._config.activation_bits
        padding = Signal(bits, reset_less=True)
        weights = self._read_row(m, padding)
        flip = self.unsigned << bits - 1
        for column in range(self._config.cols):
            value = Mux(self.counts, self.values.word_select(column, bits), padding) ^ flip
            for number, products in enumerate(self.products):
                m.d.sync += products[column].eq(value.as_signed() * weights[number][column])
        return m

    def _read_row(self, m: Module, padding: Signal) -> data.View:
        """Fills ``padding`` and the rows; gives the weights of the present position."""
        config = self._config
        columns = data.ArrayLayout(signed(config.weight_bits), config.cols)
        weights = data.ArrayLayout(columns, config.depthwise_kernel)
        m.submodules.rows = rows = Memory(shape=weights.size, depth=config.tap_rows, init=[])
        # Read without a clock: few and narrow enough for the registers of look-up tables.
        read, write = rows.read_port(domain="comb"), rows.write_port()
        before = Signal((config.tap_words - 1) * config.bus_bits, reset_less=True)
        collected = Cat(before, self.word)
        words = Signal(range(config.tap_words))
        begun = Signal()
        complete = words == config.tap_words - 1
        with m.If(self.load):
            m.d.sync += [begun.eq(1), before.eq(collected[config.bus_bits :])]
            with m.If(begun):
                m.d.sync += words.eq(Mux(complete, 0, words + 1))
            with m.Else():
                m.d.sync += padding.eq(self.word)
        m.d.comb += [write.data.eq(collected), write.en.eq(self.load & begun & complete)]
        with m.If(write.en):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.valid):
            m.d.sync += read.addr.eq(Mux(self.last, 0, read.addr + 1))
        with m.If(self.clear):
            m.d.sync += [begun.eq(0), words.eq(0), write.addr.eq(0), read.addr.eq(0)]
        return data.View(weights, read.data)
