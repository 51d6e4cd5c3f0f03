"""Run control under random strobes: every output in every cycle, as the laws of a run have it."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from cocotb.triggers import FallingEdge

from arch.commands import COUNTS, Engine
from arch.registers import Status
from hw.control import ERRORS
from hw.interfaces import counts_layout, dispatched_layout
from hw.queue import count_flags, engine_flags
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, fields, packed
from tests.support.streams import bench_random, start_clock

CYCLES = 4000
NAMES = [engine.name.lower() for engine in Engine]
STROBES = ("start", "clear_interrupt", "interrupt_enable", "fetched", "quiet", "settling", *ERRORS)
INPUTS = (*STROBES, "dispatch", "counted")
OUTPUTS = (
    *("restart", "busy", "abort", "clear", "done", "error", "interrupt_pending", "interrupt"),
    *("dispatched", "counts"),
)


class Driver:
    """Runs of random length; engines complete what was dispatched to them, in their own time."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self._dut, self._rng = dut, rng
        self._outstanding = dict.fromkeys(COUNTS, 0)
        self._chances: dict[str, float] = {}
        self._clearing = False

    async def run(self, cycles: int) -> None:
        for cycle in range(cycles):
            # In mid-cycle: what the engines do depends on this cycle's outputs.
            await FallingEdge(self._dut.clk)
            if cycle % 40 == 0:
                self._choose_chances()
            strobes = {name: self._rng.random() < self._chances[name] for name in STROBES}
            for name, value in strobes.items():
                getattr(self._dut, name).value = value
            # In the last cycle of an abort, the engines are being reset.
            busy = bool(self._dut.busy.value) and not self._clearing
            aborting = bool(self._dut.abort.value) and not self._clearing
            self._clearing = aborting and strobes["quiet"]
            if not busy:
                self._outstanding = dict.fromkeys(COUNTS, 0)
            self._dut.dispatch.value = packed(engine_flags, self._dispatch()) if busy else 0
            self._dut.counted.value = packed(count_flags, self._count()) if busy else 0

    def _choose_chances(self) -> None:
        pick = self._rng.choice
        self._chances = {name: pick((0.0, 0.0, 0.02)) for name in ERRORS} | {
            "start": pick((0.05, 0.5)),
            "clear_interrupt": pick((0.0, 0.1, 0.5)),
            "interrupt_enable": pick((0.0, 0.5, 1.0)),
            "fetched": pick((0.0, 0.1, 1.0)),
            "quiet": pick((0.1, 0.5, 1.0)),
            "settling": pick((0.0, 0.0, 0.5)),
            "dispatch": pick((0.0, 0.3, 0.9)),
            "count": pick((0.1, 0.3, 0.9)),
        }

    def _dispatch(self) -> dict[str, int]:
        """At most one engine."""
        chosen = self._rng.choice(NAMES) if self._rng.random() < self._chances["dispatch"] else ""
        for name, engine in COUNTS.items():
            self._outstanding[name] += engine.name.lower() == chosen
        return {name: int(name == chosen) for name in NAMES}

    def _count(self) -> dict[str, int]:
        rising = {
            name: int(left > 0 and self._rng.random() < self._chances["count"])
            for name, left in self._outstanding.items()
        }
        for name, flag in rising.items():
            self._outstanding[name] -= flag
        return rising


class RunModel:
    """The outputs that follow from the inputs of all cycles, run by run."""

    def __init__(self, trace: list[Pins]) -> None:
        self._trace = trace
        self.pending = self.ended = 0
        self.error = Status.OK
        self._dispatched, self._counts = dict.fromkeys(NAMES, 0), dict.fromkeys(COUNTS, 0)

    def outputs(self) -> Iterator[dict[str, int]]:
        """Of each cycle in turn; stops where a run has not ended."""
        cycle = 0
        while cycle < len(self._trace):
            starts = self._trace[cycle]["start"]
            yield self._idle(cycle, starts)
            cycle += 1
            if starts:
                self.ended, self.error = 0, Status.OK
                self._dispatched, self._counts = dict.fromkeys(NAMES, 0), dict.fromkeys(COUNTS, 0)
                for busy in self._run(cycle):
                    yield busy
                    cycle += 1
                self.ended = self.pending = 1

    def _run(self, first: int) -> Iterator[dict[str, int]]:
        """The busy cycles of a run, ``first`` the first of them."""
        abort, quiet_seen = 0, 0
        for cycle in range(first, len(self._trace)):
            pins = self._trace[cycle]
            clears = abort and not quiet_seen and pins["quiet"]
            yield self._busy(cycle, abort=abort, clear=int(clears))
            if quiet_seen:
                return
            if abort:
                quiet_seen = pins["quiet"]
            elif codes := [status for name, status in ERRORS.items() if pins[name]]:
                abort, self.error = 1, codes[0]
            elif pins["fetched"] and not pins["settling"] and self._all_were_completed:
                return

    def _idle(self, cycle: int, starts: int) -> dict[str, int]:
        values = self._common(cycle) | {"restart": starts, "busy": 0, "abort": 0, "clear": 0}
        if self._trace[cycle]["clear_interrupt"]:
            self.pending = 0
        return values

    def _busy(self, cycle: int, *, abort: int, clear: int) -> dict[str, int]:
        values = self._idle(cycle, 0) | {"busy": 1, "abort": abort, "clear": clear}
        self._all_were_completed = all(
            self._counts[name] == self._dispatched[name] for name in NAMES
        )
        for counts, flags, pin in (
            (self._dispatched, engine_flags, "dispatch"),
            (self._counts, count_flags, "counted"),
        ):
            for name, flag in fields(flags, self._trace[cycle][pin]).items():
                counts[name] += flag
        return values

    def _common(self, cycle: int) -> dict[str, int]:
        return {
            "done": self.ended,
            "error": int(self.error),
            "interrupt_pending": self.pending,
            "interrupt": self.pending & self._trace[cycle]["interrupt_enable"],
            "dispatched": packed(dispatched_layout, self._dispatched),
            "counts": packed(counts_layout, self._counts),
        }


@bounded_test
async def every_output_follows_from_the_strobes(dut: Any) -> None:
    inputs: list[Pins] = []
    outputs: list[Pins] = []
    PinMonitor(dut, INPUTS).listeners.append(inputs.append)
    PinMonitor(dut, OUTPUTS).listeners.append(outputs.append)
    announced: list[Pins] = []
    PinMonitor(dut, ("next_counts",)).listeners.append(announced.append)
    for name in INPUTS:
        getattr(dut, name).value = 0
    await start_clock(dut)
    await Driver(dut, bench_random()).run(CYCLES)
    expected = list(RunModel(inputs).outputs())
    assert len(expected) == len(inputs) > CYCLES - 2
    for cycle, (found, wanted) in enumerate(zip(outputs, expected, strict=True)):
        assert found == wanted, f"cycle {cycle}: {found}, expected {wanted}"
    for said, (before, found) in zip(announced, pairwise(outputs), strict=False):
        assert before["restart"] or found["counts"] == said["next_counts"]
    errors = {found["error"] for found in outputs}
    assert errors == set(Status), f"only {errors} happened"
