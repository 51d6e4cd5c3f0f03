"""Drivers and monitors of Amaranth streams for cocotb benches; see README.md beside this file."""

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

CLOCK_NS = 10


def bench_parameters() -> dict[str, Any]:
    """What the pytest gave to ``run_cocotb`` as ``parameters``."""
    values: dict[str, Any] = json.loads(os.environ["TILEWRIGHT_BENCH_PARAMETERS"])
    return values


def bench_random() -> random.Random:
    """Random numbers that follow from the run's seed alone."""
    return random.Random(cocotb.RANDOM_SEED)


async def start_clock(dut: Any) -> None:
    """Start ``clk`` and hold ``rst`` for two cycles; returns after the last edge with reset."""
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


def never() -> Iterator[bool]:
    """No stalls."""
    while True:
        yield False


def random_stalls(rng: random.Random) -> Iterator[bool]:
    """Phases of 1 to 40 cycles without stalls, with some, with many, and with nothing else."""
    while True:
        share = rng.choice((0.0, 0.2, 0.5, 0.9, 1.0))
        for _ in range(rng.randint(1, 40)):
            yield rng.random() < share


class StreamSource:
    """Drives an input stream: sends payloads in order, idle in the cycles that ``stalls`` names."""

    def __init__(self, dut: Any, name: str, stalls: Iterator[bool] | None = None) -> None:
        self._clock = dut.clk
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        self._stalls = stalls or never()
        self._valid.value = 0

    async def send(self, payloads: Iterable[int]) -> None:
        """Returns after the edge that takes the last payload."""
        for payload in payloads:
            while next(self._stalls):
                await RisingEdge(self._clock)
            self._payload.value = payload
            self._valid.value = 1
            await RisingEdge(self._clock)
            while not self._ready.value:
                await RisingEdge(self._clock)
            self._valid.value = 0


class StreamSink:
    """Drives the ready of an output stream: not ready in the cycles that ``stalls`` names."""

    def __init__(self, dut: Any, name: str, stalls: Iterator[bool] | None = None) -> None:
        self._clock = dut.clk
        self._ready = getattr(dut, f"{name}__ready")
        self._stalls = stalls or never()
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            self._ready.value = not next(self._stalls)
            await RisingEdge(self._clock)


class StreamMonitor:
    """Watches a stream, input or output, and drives nothing.

    ``payloads`` are the transfers so far, and ``cycles`` the cycles in which they happened: all
    monitors that are made together count alike, without the cycles in reset. ``listeners`` are
    called with each payload. A stream that takes back an offer (valid or its payload) before it was
    ready fails the bench.
    """

    def __init__(self, dut: Any, name: str) -> None:
        self.name = name
        self.payloads: list[int] = []
        self.cycles: list[int] = []
        self.listeners: list[Callable[[int], None]] = []
        self._reset = dut.rst
        self._clock = dut.clk
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")
        self._payload = getattr(dut, f"{name}__payload")
        cocotb.start_soon(self._run())

    async def wait_for(self, count: int, *, timeout: int) -> None:
        """Wait until ``count`` transfers were seen; fails after ``timeout`` cycles."""
        for _ in range(timeout):
            if len(self.payloads) >= count:
                return
            await RisingEdge(self._clock)
            await ReadOnly()  # the monitor has seen this edge by then
        raise AssertionError(
            f"stream {self.name}: {len(self.payloads)} of {count} transfers in {timeout} cycles"
        )

    async def _run(self) -> None:
        cycle, waiting = 0, None
        while True:
            await RisingEdge(self._clock)
            offer = int(self._payload.value) if self._valid.value else None
            if self._reset.value:
                waiting = None
                continue
            if waiting is not None and offer != waiting:
                raise AssertionError(
                    f"stream {self.name}, cycle {cycle}: offered {waiting:#x}, which nobody took, "
                    f"and now {'nothing' if offer is None else hex(offer)}"
                )
            if offer is not None and self._ready.value:
                self.payloads.append(offer)
                self.cycles.append(cycle)
                for listener in self.listeners:
                    listener(offer)
                offer = None
            waiting = offer
            cycle += 1
