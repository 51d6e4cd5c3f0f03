from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Signal

from arch.commands import COUNT_BITS, COUNTS, WAITS, Engine
from hw.interfaces import command_layout
from hw.queue import EngineQueue
from tests.formal.prover import Harness

DEPTH = 2
ENGINE = Engine.EXECUTE
WAITED = [wait.removeprefix("wait_") for wait in WAITS[ENGINE]]
"""The counts that its commands wait for."""
OTHERS = [name for name in WAITED if COUNTS[name] is not ENGINE]


def harness() -> tuple[Harness, EngineQueue, Signal]:
    """A queue with free inputs, and the number of commands in it, counted from outside."""
    h = Harness()
    h.m.submodules.dut = dut = EngineQueue(engine=ENGINE, depth=DEPTH)
    h.any(dut.i.payload, dut.i.valid, dut.o.ready, dut.next_counts)
    level = Signal(range(DEPTH + 2))
    pushed, popped = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    h.m.d.sync += level.eq(level + pushed - popped)
    return h, dut, level


def test_order_gate_and_room(tmp_path: Path) -> None:
    """Any command that goes in comes out once, unchanged, in its turn, and exactly when its waits
    are met. From reset on, over several rounds of the FIFO's pointers: they are its own, so there
    is nothing to begin an induction with."""
    h, dut, level = harness()
    m = h.m
    chosen = h.free(1, "chosen")
    tracked = Signal(command_layout(ENGINE))
    tracking = Signal()
    ahead = Signal(range(DEPTH + 1))
    pushed, popped = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    with m.If(pushed & chosen & ~tracking):
        m.d.sync += [tracked.eq(dut.i.payload), tracking.eq(1), ahead.eq(level - popped)]
    with m.Elif(tracking & popped):
        m.d.sync += [ahead.eq(ahead - 1), tracking.eq(ahead != 0)]

    counts = h.past(dut.next_counts, "counts")
    unmet = {engine.name.lower(): 0 for engine in Engine}
    for name in OTHERS:
        met = ((counts[name] - tracked[f"wait_{name}"]) & (1 << COUNT_BITS) - 1) < (
            1 << COUNT_BITS - 1
        )
        unmet[COUNTS[name].name.lower()] |= ~met
    with m.If(tracking & (ahead == 0)):
        for name, waits in unmet.items():
            m.d.comb += Assert(dut.waits_for[name] == waits)
        m.d.comb += Assert(dut.o.valid == ~dut.waits_for.as_value().any())
        m.d.comb += Assert(dut.o.payload == tracked)
    m.d.comb += Assert(dut.i.ready == (level != DEPTH))
    with m.If(level == 0):
        m.d.comb += Assert(~dut.o.valid)
        m.d.comb += Assert(~dut.waits_for.as_value().any())
    h.check(tmp_path, mode="bmc", depth=10)


def test_an_offer_stands_until_it_is_taken(tmp_path: Path) -> None:
    """If counts go up by one at a time, and do not run ahead of a wait by half their range."""
    h, dut, _ = harness()
    m = h.m
    counts = h.past(dut.next_counts, "counts")
    before = h.past(counts, "counts_before")
    offered = h.past(dut.o.valid & ~dut.o.ready, "offered")
    payload = h.past(dut.o.payload, "payload")
    for name in OTHERS:
        step = (counts[name] - before[name])[:COUNT_BITS]
        m.d.comb += Assume(step <= 1)
        lead = (before[name] - payload[f"wait_{name}"])[:COUNT_BITS]
        m.d.comb += Assume((step == 0) | (lead != (1 << COUNT_BITS - 1) - 1))
    with m.If(offered):
        m.d.comb += Assert(dut.o.valid)
        m.d.comb += Assert(dut.o.payload == payload)
    h.check(tmp_path, mode="bmc", depth=10)


def test_a_false_claim_is_refuted(tmp_path: Path) -> None:
    h, _, level = harness()
    h.m.d.comb += Assert(level != DEPTH)
    with pytest.raises(AssertionError, match=r"DONE \(FAIL"):
        h.check(tmp_path, mode="bmc", depth=5)
