"""The tables: an output for each input element, in every lane."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.config import TABLES, AcceleratorConfig
from hw.delay import delayed
from hw.interfaces import WritePort

_HALF = 1 << 7
"""Half of a whole, of which a place in a segment gives the 256th parts."""


def table_port(config: AcceleratorConfig) -> WritePort:
    """The write port of the tables; byte address = {table, byte}."""
    return WritePort(address_bits=config.table_address_bits, elements=config.bus_bytes)


class LookupTables(wiring.Component):
    """Looks one element up in each of ``requantiser_lanes`` lanes, or passes all on.

    An entry of 8 bits is the output for its input. For elements of 16 bits, an entry is a segment:
    the output at its start (16 bits) and what it changes by up to the next one (int16). The
    input's upper byte names the segment, its lower byte f the place in it, and the output is
    start + floor(change * f / 256 + 1/2), modulo 2^16. Inputs and outputs of either sign are bits.

    Each lane has its own copy of the tables. Latency: table_latency(config) register stages
    (memory, output register, choice of the entry; for 16 bits product and sum), new elements in
    each cycle. A write is seen by elements that come BUFFER_WRITE_LATENCY = 2 cycles later
    (register, memory) or more; those that come one cycle later may find anything.

    Members:
        write: whole words of ``bus_bytes``, aligned; the mask does not count.
        table: 0: elements pass; 1, 2: they are looked up in table 0, 1. Held while elements are in
            flight.
        elements: an element for each lane.
        results: what the table has for them.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        bits = config.activation_bits * config.requantiser_lanes
        super().__init__(
            {
                "write": In(table_port(config)),
                "table": In(2),
                "elements": In(bits),
                "results": Out(bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config, bits = self._config, self._config.activation_bits
        place_bits = config.bus_bytes.bit_length() - 1
        valid, word = Signal(), Signal(config.bus_bits, reset_less=True)
        row = Signal(config.table_address_bits - place_bits, reset_less=True)
        m.d.sync += [
            valid.eq(self.write.valid),
            row.eq(self.write.address[place_bits:]),
            word.eq(self.write.data),
        ]
        entry_bits = 8 * config.table_entry_bytes
        # Low bits of an entry's number that name its place in a word.
        within = (config.bus_bits // entry_bits).bit_length() - 1
        for lane in range(config.requantiser_lanes):
            memory = Memory(
                shape=config.bus_bits,
                depth=TABLES * config.table_bytes // config.bus_bytes,
                init=[],
                attrs={"no_rw_check": 1},
            )
            m.submodules[f"lane{lane}"] = memory
            writer, reader = memory.write_port(), memory.read_port()
            element = self.elements.word_select(lane, bits)
            address = Cat(element[-8:], self.table[1])
            m.d.comb += [
                writer.en.eq(valid),
                writer.addr.eq(row),
                writer.data.eq(word),
                reader.en.eq(1),
                reader.addr.eq(address[within:]),
            ]
            # Second stage: an output register for the memory.
            held = Signal(config.bus_bits, name=f"held{lane}", reset_less=True)
            m.d.sync += held.eq(reader.data)
            came = delayed(m, element, stages=2)
            found = held.word_select(came[-8:][:within], entry_bits)
            output = self.results.word_select(lane, bits)
            if bits == 8:
                # Third stage: the byte of the word, or the one that came.
                m.d.sync += output.eq(Mux(self.table == 0, came, found))
            else:
                m.d.sync += output.eq(self._interpolated(m, came, found))
        return m

    def _interpolated(self, m: Module, came: Value, found: Value) -> Value:
        """Stages 3 and 4, and what the fifth takes: the output in segment ``found``."""
        # Third stage: the segment of the word, or one in which the element that came stands still.
        start, change = Signal(16), Signal(signed(16))
        passes = self.table == 0
        m.d.sync += [
            start.eq(Mux(passes, came, found[:16])),
            change.eq(Mux(passes, 0, found[16:])),
        ]
        # Fourth stage: the way from the start, in 256th parts.
        way, from_start = Signal(signed(24)), delayed(m, start, stages=1)
        m.d.sync += way.eq(change * delayed(m, came[:8], stages=1))
        # Fifth stage: rounded.
        return from_start + (way + _HALF >> 8)
