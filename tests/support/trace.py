"""Running a component cycle by cycle, and what its signals were in each cycle.

Cycle 0 ends with the first edge of the clock. What a process sets after an edge is there in the
next cycle, as if it came from a register.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

Process = Callable[[Any], Awaitable[None]]


class Trace:
    """The values of chosen signals in every cycle."""

    def __init__(self, **signals: Value) -> None:
        self._signals = signals
        self._values: dict[str, list[int]] = {name: [] for name in signals}
        self._counts = dict.fromkeys(signals, 0)

    def __getitem__(self, name: str) -> list[int]:
        """The signal's unsigned bits, by cycle."""
        return self._values[name]

    def cycles(self, name: str) -> list[int]:
        """The cycles in which the signal was not 0."""
        return [cycle for cycle, value in enumerate(self._values[name]) if value]

    def count(self, name: str) -> int:
        """In how many cycles so far the signal was not 0."""
        return self._counts[name]

    def offered_and_taken(self, valid: str, ready: str) -> tuple[list[int], list[int]]:
        """When each item of a stream was first offered, and when it was taken."""
        offered, taken, waiting = [], [], False
        for cycle, (is_valid, is_ready) in enumerate(zip(self[valid], self[ready], strict=True)):
            if is_valid and not waiting:
                offered.append(cycle)
            if is_valid and is_ready:
                taken.append(cycle)
            waiting = bool(is_valid and not is_ready)
        return offered, taken

    async def record(self, context: Any) -> None:
        """The process that fills the trace."""
        signals = [Value.cast(signal).as_unsigned() for signal in self._signals.values()]
        async for _, _, *values in context.tick().sample(*signals):
            for name, value in zip(self._signals, values, strict=True):
                self._values[name].append(value)
                self._counts[name] += value != 0


def send(stream: Any, payloads: Iterable[Mapping[str, int] | int], gaps: Iterable[int]) -> Process:
    """A process that offers ``payloads`` on ``stream``, each after its gap of idle cycles."""

    async def process(context: Any) -> None:
        for payload, gap in zip(payloads, gaps, strict=True):
            for _ in range(gap):
                await context.tick()
            context.set(stream.payload, payload)
            context.set(stream.valid, 1)
            ready = False
            while not ready:
                *_, ready = await context.tick().sample(stream.ready)
            context.set(stream.valid, 0)

    return process


def run(
    dut: wiring.Component, *processes: Process, trace: Trace, until: Callable[[], bool], limit: int
) -> None:
    """Run ``dut`` until ``until``, asked after every cycle, holds; fail after ``limit`` cycles."""

    async def watch(context: Any) -> None:
        for _ in range(limit):
            await context.tick()
            if until():
                return
        raise AssertionError(f"not finished after {limit} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for process in (trace.record, *processes):
        simulator.add_process(process)
    simulator.add_testbench(watch)
    simulator.run()
