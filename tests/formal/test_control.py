from pathlib import Path

from amaranth.hdl import Assert, Assume, Signal

from arch.commands import Engine
from hw.control import ERRORS, RunControl
from tests.formal.prover import Harness

IN_FLIGHT = 100
"""Commands dispatched to an engine and not completed, at most: queue and engine."""

NAMES = [engine.name.lower() for engine in Engine]


def harness() -> tuple[Harness, RunControl, Signal, list[Signal]]:
    """A control unit, whether engines are being reset, and for each the commands in flight, counted
    from outside. Engines complete what they have been given; nothing happens between runs."""
    h = Harness()
    m = h.m
    m.submodules.dut = dut = RunControl()
    h.any(dut.start, dut.clear_interrupt, dut.interrupt_enable, dut.fetched, dut.quiet)
    h.any(dut.settling, dut.dispatch, dut.counted, *(getattr(dut, name) for name in ERRORS))
    cleared, flights = h.past(dut.clear, "clear"), []
    for name in NAMES:
        flight = Signal(range(IN_FLIGHT + 1), name=f"{name}_in_flight")
        sent, back = dut.dispatch[name], dut.counted[name]
        with m.If(dut.restart | cleared):
            m.d.sync += flight.eq(0)
        with m.Else():
            m.d.sync += flight.eq(flight + sent - back)
        m.d.comb += Assume(~back | (flight != 0))
        m.d.comb += Assume(~sent | (dut.busy & ~dut.fetched & (flight != IN_FLIGHT)))
        difference = (dut.dispatched[name] - dut.counts[name])[: len(dut.counts[name])]
        with m.If(dut.busy):
            m.d.comb += Assert(difference == flight)
        with m.Else():
            m.d.comb += Assert(flight == 0)
        m.d.comb += Assert(flight <= IN_FLIGHT)
        flights.append(flight)
    return h, dut, cleared, flights


def test_a_run_ends_well_only_if_everything_is_completed(tmp_path: Path) -> None:
    h, dut, cleared, flights = harness()
    m = h.m
    was_busy = h.past(dut.busy, "busy")
    was_clear = h.past(cleared, "cleared")
    was_fetched = h.past(dut.fetched, "fetched")
    idle = h.past((sum(flight for flight in flights) == 0) & ~dut.settling, "idle")
    with m.If(was_busy & ~dut.busy):
        m.d.comb += Assert(was_clear | (was_fetched & idle))
        m.d.comb += Assert(was_clear == (dut.error != 0))
        m.d.comb += Assert(dut.done & dut.interrupt_pending)
    with m.If(was_busy & ~was_clear & was_fetched & idle & dut.busy):
        m.d.comb += Assert(dut.abort)
    with m.If(dut.busy):
        m.d.comb += Assert(dut.abort == (dut.error != 0))
    h.check(tmp_path, mode="prove", depth=2)


def test_errors_lead_through_abort_and_quiet_to_one_clear(tmp_path: Path) -> None:
    h, dut, cleared, _ = harness()
    m = h.m
    before = {
        name: h.past(getattr(dut, name), name) for name in ("abort", "busy", "error", "restart")
    }
    was_clear = h.past(cleared, "cleared")
    failed = h.past(sum(getattr(dut, name) for name in ERRORS) != 0, "failed")
    m.d.comb += Assert(dut.clear == (dut.abort & dut.quiet & ~cleared))
    m.d.comb += Assert(dut.abort == (before["busy"] & ~was_clear & (before["abort"] | failed)))
    with m.If(before["abort"]):
        m.d.comb += Assert(dut.error == before["error"])
    m.d.comb += Assert(~dut.restart | ~dut.busy)
    m.d.comb += Assert(~dut.busy | before["busy"] | before["restart"])
    h.check(tmp_path, mode="prove", depth=2)
