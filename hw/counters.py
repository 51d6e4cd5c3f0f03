"""The counter bank, and the sorting of each cycle of a run by what the array did in it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.counters import COUNTER_BITS, COUNTER_NAMES
from hw.queue import engine_flags

CYCLES = "cycles"
CAUSES = (
    "array_busy",
    "stall_weights",
    "stall_load",
    "stall_post",
    "stall_store",
    "stall_idle",
)
"""The counters of which each cycle of a run counts exactly one."""

cause_flags = data.StructLayout(dict.fromkeys(CAUSES, 1))
"""One bit for each of those."""

event_flags = data.StructLayout({name: 1 for name in COUNTER_NAMES if name != CYCLES})
"""One bit for each counter but that of the cycles."""

counters_layout = data.StructLayout(dict.fromkeys(COUNTER_NAMES, COUNTER_BITS))
"""The counters' values, in the order of the register map."""


class CounterBank(wiring.Component):
    """Counts events while a run is going on.

    An event in cycle t shows in its counter from t + 2 on, if ``enable`` is 1 in t: a register
    stands between, as inputs come late in their cycle. ``cycles`` counts the cycles with
    ``enable``. Counters wrap at 2^32.

    Members:
        restart: all counters are 0 two cycles later; goes before counting.
        enable: a run is going on.
        events: one bit for each event in this cycle.
        values: the counters.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "restart": In(1),
                "enable": In(1),
                "events": In(event_flags),
                "values": Out(counters_layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        restart = Signal()
        m.d.sync += restart.eq(self.restart)
        for name in COUNTER_NAMES:
            event = Signal(name=f"{name}_event")
            m.d.sync += event.eq(self.enable if name == CYCLES else self.enable & self.events[name])
            with m.If(restart):
                m.d.sync += self.values[name].eq(0)
            with m.Elif(event):
                m.d.sync += self.values[name].eq(self.values[name] + 1)
        return m


class CycleSorter(wiring.Component):
    """Names the one cause that a cycle counts for; no latency.

    In this order: the array took in a vector; a tile's weights were being loaded; the next execute
    command waited for a load, the post-processor, a store; all else. While the execute engine has
    taken a command that is not streaming yet (``taking``), no command counts as waiting.

    Members:
        array_busy: the execute engine issued a vector.
        stepping: it holds a command and issued none.
        taking: a command taken waits to be streamed.
        waits_for: the engines for which the execute queue's first command waits.
        cause: exactly one bit is 1.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "array_busy": In(1),
                "stepping": In(1),
                "taking": In(1),
                "waits_for": In(engine_flags),
                "cause": Out(cause_flags),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        with m.If(self.array_busy):
            m.d.comb += self.cause.array_busy.eq(1)
        with m.Elif(self.stepping):
            m.d.comb += self.cause.stall_weights.eq(1)
        with m.Elif(self.taking):
            m.d.comb += self.cause.stall_idle.eq(1)
        with m.Elif(self.waits_for.load):
            m.d.comb += self.cause.stall_load.eq(1)
        with m.Elif(self.waits_for.post):
            m.d.comb += self.cause.stall_post.eq(1)
        with m.Elif(self.waits_for.store):
            m.d.comb += self.cause.stall_store.eq(1)
        with m.Else():
            m.d.comb += self.cause.stall_idle.eq(1)
        return m
