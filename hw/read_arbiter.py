"""Shares the read half of the memory bus between command fetch and loads."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from hw.interfaces import MemoryReader

FETCH_ID = 0
LOAD_ID = 1


class ReadArbiter(wiring.Component):
    """Fetch before load, on one read bus.

    An address taken in cycle t is on the bus from t + 1 until it is accepted. One is taken whenever
    the register on the bus is empty or being accepted: one per cycle can pass. Beats are handed on,
    in their cycle, to the reader whose id they carry. Fetch holds few bursts at a time, so loads
    are never shut out.

    Members:
        fetch, load: The two readers. Ids are set here; both must always be ready for beats.
        bus: The memory. ``r`` is always ready.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        super().__init__(
            {
                "fetch": In(MemoryReader(config)),
                "load": In(MemoryReader(config)),
                "bus": Out(MemoryReader(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        bus, fetch, load = self.bus, self.fetch, self.load

        # Address register.
        free = ~bus.ar.valid | bus.ar.ready
        m.d.comb += [
            fetch.ar.ready.eq(free),
            load.ar.ready.eq(free & ~fetch.ar.valid),
        ]
        with m.If(free):
            m.d.sync += [
                bus.ar.valid.eq(fetch.ar.valid | load.ar.valid),
                bus.ar.payload.eq(Mux(fetch.ar.valid, fetch.ar.payload, load.ar.payload)),
                bus.ar.payload.id.eq(Mux(fetch.ar.valid, FETCH_ID, LOAD_ID)),
            ]

        m.d.comb += bus.r.ready.eq(1)
        for reader, number in ((fetch, FETCH_ID), (load, LOAD_ID)):
            m.d.comb += [
                reader.r.payload.eq(bus.r.payload),
                reader.r.valid.eq(bus.r.valid & (bus.r.payload.id == number)),
            ]
        return m
