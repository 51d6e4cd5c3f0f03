"""Products of a window's positions with the taps of a depthwise convolution."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig


class TapProducts(wiring.Component):
    """Holds what padding reads as and up to ``depthwise_taps`` taps, and multiplies a position a
    cycle by one tap after the other, column by column.

    Members:
        clear: the next word is the padding's, the next one begins the first tap, and the next
            position takes the first tap.
        load, word: the next word of the parameter buffer; acts in the next cycle.
        valid: a position is at hand.
        last: it is the last one of its window: the next position takes the first tap again.
        counts: it is data; else it reads as the padding.
        values: the position as it was read, bits of activations.
        unsigned: an activation q is taken as q - 2^(bits - 1).
        products: of the position, one cycle later, signed.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
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
                "products": Out(data.ArrayLayout(signed(config.product_bits), config.cols)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        bits = self._config.activation_bits
        padding = Signal(bits)
        weights = self._read_taps(m, padding)
        flip = self.unsigned << bits - 1
        for column, product in enumerate(self.products):
            value = Mux(self.counts, self.values.word_select(column, bits), padding) ^ flip
            m.d.sync += product.eq(value.as_signed() * weights[column])
        return m

    def _read_taps(self, m: Module, padding: Signal) -> data.View:
        """Fills ``padding`` and the taps; gives the weights of the present position."""
        config = self._config
        weights = data.ArrayLayout(signed(config.weight_bits), config.cols)
        taps = Memory(shape=weights.size, depth=config.depthwise_taps, init=[])
        m.submodules.taps = taps
        # Read without a clock: few and narrow enough for the registers of look-up tables.
        read, write = taps.read_port(domain="comb"), taps.write_port()
        before = Signal((config.tap_words - 1) * config.bus_bits)
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
