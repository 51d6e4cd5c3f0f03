"""The commands that wait at one engine, and the gate that holds them until it is their turn."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from arch.commands import COUNT_BITS, COUNTS, WAITS, Engine
from hw.interfaces import command_layout, command_stream, counts_layout

engine_flags = data.StructLayout({engine.name.lower(): 1 for engine in Engine})
"""One bit for each engine."""

count_flags = data.StructLayout(dict.fromkeys(COUNTS, 1))
"""One bit for each count."""


def behind(count: Value, wait: Value) -> Value:
    """1 while ``count`` has not reached ``wait``: (count - wait) mod 2^16 >= 2^15."""
    return (count - wait)[COUNT_BITS - 1]


class EngineQueue(wiring.Component):
    """First in, first out, with the first command held back until the other engines have
    completed as many commands as its waits ask for.

    A command pushed in cycle p is offered from p + 1 on if it is then the first one and its waits
    are met. A count that is new in cycle c opens the gate in cycle c. Both streams can move a
    command in every cycle. Room depends on the state at the start of a cycle alone: a full queue
    whose first command is taken in cycle t has room from t + 1 on.

    A command's wait on its own engine is always met, since commands keep their order.

    Args:
        engine: whose commands.
        depth: how many commands it holds; a power of two.

    Members:
        i: commands from the decoder.
        o: commands to the engine.
        next_counts: the counts of the next cycle.
        waits_for: the engines for which the first command waits; all 0 if there is no command.
    """

    def __init__(self, *, engine: Engine, depth: int) -> None:
        self.engine = engine
        self.depth = depth
        super().__init__(
            {
                "i": In(command_stream(engine)),
                "o": Out(command_stream(engine)),
                "next_counts": In(counts_layout),
                "waits_for": Out(engine_flags),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        level = Signal(range(self.depth + 1))
        # Of the level: it is not 0, it is above 1.
        some, several = Signal(), Signal()
        pushed, popped = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        next_level = level + pushed - popped
        m.d.comb += self.i.ready.eq(level != self.depth)
        m.d.sync += [level.eq(next_level), some.eq(next_level != 0), several.eq(next_level > 1)]

        # The first command is in a register, and so is whether it waits: its engine does much in
        # the cycle in which it takes it, and memory and comparison would come before that.
        first = Signal(command_layout(self.engine), reset_less=True)
        second = self._behind_first(m, several, pushed=pushed, popped=popped)
        moves_up = popped | ~some
        with m.If(moves_up):
            m.d.sync += first.eq(second)
        unmet: dict[Engine, list[Value]] = {}
        for wait in WAITS[self.engine]:
            name = wait.removeprefix("wait_")
            if COUNTS[name] is not self.engine:
                waits = Signal(name=f"waits_{name}")
                stays, comes = (
                    behind(self.next_counts[name], each[wait]) for each in (first, second)
                )
                m.d.sync += waits.eq(Mux(moves_up, comes, stays))
                unmet.setdefault(COUNTS[name], []).append(waits)
        for other, bits in unmet.items():
            m.d.comb += self.waits_for[other.name.lower()].eq(Cat(bits).any() & some)
        m.d.comb += [
            self.o.payload.eq(first),
            self.o.valid.eq(some & ~self.waits_for.as_value().any()),
        ]
        return m

    def _behind_first(
        self, m: Module, several: Value, *, pushed: Value, popped: Value
    ) -> data.View:
        """The command after the first one: from the memory, or, if none is there, from outside."""
        layout = command_layout(self.engine)
        m.submodules.memory = memory = Memory(shape=layout.size, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        # Where the next command goes, and where the second one lies: the depth is a power of two,
        # and they wrap.
        produce, consume = Signal(range(self.depth)), Signal(range(self.depth), init=1)
        m.d.comb += [
            write.addr.eq(produce),
            write.data.eq(self.i.payload.as_value()),
            write.en.eq(pushed),
            read.addr.eq(consume),
        ]
        m.d.sync += [produce.eq(produce + pushed), consume.eq(consume + popped)]
        second = Signal(layout)
        m.d.comb += second.eq(Mux(several, read.data, self.i.payload.as_value()))
        return second
