"""The judge of the bus finds what it is there to find."""

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from arch.presets import PRESETS
from hw.interfaces import MemoryReader, MemoryWriter
from tests.support.axi_memory import AxiMemory, Behaviour, ProtocolError, StableChannel
from tests.support.trace import Trace, run

CONFIG = PRESETS["tiny"]


class Master(wiring.Component):
    """Both halves of the bus, driven by a test."""

    def __init__(self) -> None:
        super().__init__({"reader": Out(MemoryReader(CONFIG)), "writer": Out(MemoryWriter(CONFIG))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002  Amaranth's interface
        m = Module()
        m.d.sync += self.writer.b.ready.eq(1)  # gives the simulator its clock domain
        return m


def serve(reads: list[dict[str, int]], writes: list[dict[str, int] | None]) -> None:
    """Offer these addresses to be read, then these beats to be written (None: a cycle without one),
    as a burst of 2 whose address is offered with the second entry."""
    dut = Master()
    memory = AxiMemory(
        bus_bytes=CONFIG.bus_bytes, content=bytes(4096), behaviour=Behaviour(), seed=0, ids=[0]
    )

    async def drive(context: Any) -> None:
        for address in reads:
            context.set(dut.reader.ar.payload, address)
            context.set(dut.reader.ar.valid, 1)
            await context.tick()
        context.set(dut.reader.ar.valid, 0)
        for cycle, beat in enumerate([*writes, None]):
            context.set(dut.writer.aw.payload.len, 1)
            context.set(dut.writer.aw.valid, cycle == 1)
            context.set(dut.writer.w.payload, beat or {})
            context.set(dut.writer.w.valid, beat is not None)
            await context.tick()

    trace = Trace(ready=dut.writer.w.ready)
    run(
        dut,
        memory.serve_reads(dut.reader),
        memory.serve_writes(dut.writer),
        drive,
        trace=trace,
        until=lambda: len(trace["ready"]) == 20,
        limit=20,
    )


FIRST = {"data": 1, "strb": 15, "last": 0}
LAST = {"data": 2, "strb": 1, "last": 1}


def test_a_master_that_keeps_the_rules() -> None:
    serve([{"id": 0, "addr": 4092, "len": 0}], [None, FIRST, LAST])


@pytest.mark.parametrize(
    ("reads", "writes", "rule"),
    [
        ([{"id": 1, "addr": 0, "len": 0}], [], "id 1 is not one of [0]"),
        ([{"id": 0, "addr": 2, "len": 0}], [], "burst at 0x2 begins within a beat"),
        ([{"id": 0, "addr": 4092, "len": 1}], [], "burst at 0xffc crosses 4 KiB"),
        ([], [FIRST, LAST], "W: before its address"),
        ([], [None, LAST], "W: last = 1 on 1 of 2"),
        ([], [None, FIRST, FIRST], "W: last = 0 on 2 of 2"),
        ([], [None, {**FIRST, "strb": 0}], "W: a beat without a byte"),
    ],
)
def test_a_master_that_breaks_one(
    reads: list[dict[str, int]], writes: list[dict[str, int] | None], rule: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        serve(reads, writes)
    assert str(caught.value) == rule


def test_what_is_offered_must_stay() -> None:
    channel = StableChannel("AR")
    assert not channel.observe(1, 0, 7)
    with pytest.raises(ProtocolError, match="AR: payload changed before ready"):
        channel.observe(1, 1, 8)
    withdrawn = StableChannel("AR")
    withdrawn.observe(1, 0, 7)
    with pytest.raises(ProtocolError, match="AR: valid fell before ready"):
        withdrawn.observe(0, 0, 7)
