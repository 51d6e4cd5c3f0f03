"""Double-buffered accumulators with in-place add."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.config import AcceleratorConfig
from arch.timing import BUFFER_READ_LATENCY
from hw.delay import delayed
from hw.post import DrainPort

_READ_STAGES = BUFFER_READ_LATENCY - 1
"""From a read request to the output registers of the memories."""


class Accumulators(wiring.Component):
    """Two halves of entries of ``cols`` sums; entry address = {half, entry of the half}.

    Takes a row of psums in every cycle. A psum that arrives in cycle c is in its entry for every
    read requested in cycle c + ACCUMULATE_LATENCY or later, of either kind: psums must not be added
    to an entry any sooner after the last ones. In a cycle, each half can either be read to be added
    to, or drained; drained data comes BUFFER_READ_LATENCY cycles after the request.

    Args:
        config: gives sizes and widths.

    Members:
        valid, address, first, psums: psums for an entry; ``first`` overwrites it, else they are
            added to it.
        drain: the post-processor's read port.
        conflict: in the cycle before, one half was both drained and read to be added to.
        read, write: events: an entry is read to be added to; an entry is written.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self.config = config
        address_bits = config.accumulator_address_bits
        super().__init__(
            {
                "valid": In(1),
                "address": In(address_bits),
                "first": In(1),
                "psums": In(data.ArrayLayout(signed(config.psum_bits), config.cols)),
                "drain": In(DrainPort(config)),
                "conflict": Out(1),
                "read": Out(1),
                "write": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = self.config
        # First stage: each half is read for whoever wants it.
        half = self.address[-1]
        m.d.comb += self.read.eq(self.valid & ~self.first)
        m.d.sync += self.conflict.eq(
            self.read & self.drain.valid & (half == self.drain.address[-1])
        )
        memories, outputs = [], []
        for number in range(2):
            memory = Memory(
                shape=config.cols * config.accumulator_bits,
                depth=config.accumulator_half_entries,
                init=[],
                attrs={"no_rw_check": 1},
            )
            m.submodules[f"half{number}"] = memory
            port = memory.read_port()
            adds = self.read & (half == number)
            m.d.comb += [
                port.addr.eq(Mux(adds, self.address[:-1], self.drain.address[:-1])),
                port.en.eq(1),
            ]
            # Second stage: output registers.
            output = Signal.like(port.data, name=f"output{number}", reset_less=True)
            m.d.sync += output.eq(port.data)
            memories.append(memory)
            outputs.append(output)
        self._add(m, memories, outputs)
        self._drain(m, outputs)
        return m

    def _add(self, m: Module, memories: list[Memory], outputs: list[Value]) -> None:
        """Third stage: add, and write back at its end."""
        bits = self.config.accumulator_bits
        psums = Signal.like(self.psums.as_value(), name="arrived", reset_less=True)
        m.d.comb += psums.eq(self.psums.as_value())
        psums = data.View(self.psums.shape(), delayed(m, psums, stages=_READ_STAGES))
        address = delayed(m, self.address, stages=_READ_STAGES)
        first = delayed(m, self.first, stages=_READ_STAGES)
        old = Signal.like(outputs[0], name="old")
        m.d.comb += [
            self.write.eq(delayed(m, self.valid, stages=_READ_STAGES)),
            old.eq(Mux(first, 0, Mux(address[-1], outputs[1], outputs[0]))),
        ]
        sums = Cat(
            (old.word_select(column, bits) + psums[column])[:bits]
            for column in range(self.config.cols)
        )
        for number, memory in enumerate(memories):
            port = memory.write_port()
            m.d.comb += [
                port.addr.eq(address[:-1]),
                port.data.eq(sums),
                port.en.eq(self.write & (address[-1] == number)),
            ]

    def _drain(self, m: Module, outputs: list[Value]) -> None:
        """Third stage of a drained entry: take it from its half."""
        half = delayed(m, self.drain.address[-1], stages=_READ_STAGES)
        drained = Signal.like(outputs[0], name="drained", reset_less=True)
        m.d.sync += drained.eq(Mux(half, outputs[1], outputs[0]))
        m.d.comb += self.drain.data.as_value().eq(drained)
