"""The tables: an output byte for each input byte, in every lane."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.config import TABLE_BYTES, TABLES, AcceleratorConfig
from arch.post_timing import TABLE_LATENCY
from hw.delay import delayed
from hw.interfaces import WritePort

ADDRESS_BITS = (TABLES * TABLE_BYTES).bit_length() - 1
"""Width of an entry's byte address, {table, entry}."""


class LookupTables(wiring.Component):
    """Looks one byte up in each of ``requantiser_lanes`` lanes, or passes all on.

    Each lane has its own copy of the tables. Latency: 3 register stages (``LATENCY``: memory,
    output register, choice of the byte), new bytes in each cycle. A write is seen by bytes that
    come BUFFER_WRITE_LATENCY = 2 cycles later (register, memory) or more; those that come one cycle
    later may find anything.

    Members:
        write: whole words of ``bus_bytes`` entries, aligned; the mask does not count.
        table: 0: bytes pass; 1, 2: they are looked up in table 0, 1. Held while bytes are in
            flight.
        bytes: a byte for each lane.
        results: what the table has for them, ``LATENCY`` cycles later.
    """

    LATENCY = TABLE_LATENCY

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        lanes = config.requantiser_lanes
        super().__init__(
            {
                "write": In(WritePort(address_bits=ADDRESS_BITS, elements=config.bus_bytes)),
                "table": In(2),
                "bytes": In(8 * lanes),
                "results": Out(8 * lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        bus = self._config.bus_bytes
        place_bits = bus.bit_length() - 1
        valid, word = Signal(), Signal(8 * bus, reset_less=True)
        row = Signal(ADDRESS_BITS - place_bits, reset_less=True)
        m.d.sync += [
            valid.eq(self.write.valid),
            row.eq(self.write.address[place_bits:]),
            word.eq(self.write.data),
        ]
        for lane in range(self._config.requantiser_lanes):
            memory = Memory(
                shape=8 * bus, depth=TABLES * TABLE_BYTES // bus, init=[], attrs={"no_rw_check": 1}
            )
            m.submodules[f"lane{lane}"] = memory
            writer, reader = memory.write_port(), memory.read_port()
            byte = self.bytes.word_select(lane, 8)
            address = Cat(byte, self.table[1])
            m.d.comb += [
                writer.en.eq(valid),
                writer.addr.eq(row),
                writer.data.eq(word),
                reader.en.eq(1),
                reader.addr.eq(address[place_bits:]),
            ]
            # Second stage: an output register for the memory.
            held = Signal(8 * bus, name=f"held{lane}", reset_less=True)
            m.d.sync += held.eq(reader.data)
            # Third stage: the byte of the word, or the one that came.
            came = delayed(m, byte, stages=2)
            found = held.word_select(came[:place_bits], 8)
            m.d.sync += self.results.word_select(lane, 8).eq(Mux(self.table == 0, came, found))
        return m
