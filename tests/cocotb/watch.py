"""What benches of pins without streams share: monitors, a stand-in for buffers, vectors' fields."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cocotb
from amaranth.lib.data import StructLayout
from cocotb.triggers import RisingEdge

from arch.timing import BUFFER_READ_LATENCY

bounded_test = cocotb.test(timeout_time=1, timeout_unit="ms")
"""A ``cocotb.test`` that fails after 100,000 cycles: a component that hangs stops no one else."""

Pins = Mapping[str, int]
"""Values of pins in one cycle, by name."""


def fields(layout: StructLayout, value: int) -> dict[str, int]:
    """The fields of a vector that is a structure, as unsigned numbers."""
    return {
        name: value >> layout[name].offset & (1 << layout[name].width) - 1
        for name in layout.members
    }


def packed(layout: StructLayout, values: Mapping[str, int]) -> int:
    """The vector of a structure with these fields; a missing one is 0."""
    return sum(
        (value & (1 << layout[name].width) - 1) << layout[name].offset
        for name, value in values.items()
    )


def to_signed(value: int, bits: int) -> int:
    """The number that ``bits`` bits in two's complement stand for."""
    return value - (1 << bits) if value >> bits - 1 & 1 else value


async def until(dut: Any, holds: Callable[[], bool], *, timeout: int, what: str) -> None:
    """Wait for the first edge at which ``holds``; fails after ``timeout`` cycles."""
    for _ in range(timeout):
        if holds():
            return
        await RisingEdge(dut.clk)
    raise AssertionError(f"{timeout} cycles without: {what}")


class PinMonitor:
    """Tells ``listeners`` the values of pins in every cycle out of reset, and drives nothing.

    ``cycle`` is the number of the cycle told last; monitors that are made together count alike.
    """

    def __init__(self, dut: Any, names: Iterable[str]) -> None:
        self.cycle = -1
        self.listeners: list[Callable[[Pins], None]] = []
        self._pins = {name: getattr(dut, name) for name in names}
        self._clock, self._reset = dut.clk, dut.rst
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await RisingEdge(self._clock)
            if self._reset.value:
                continue
            self.cycle += 1
            values = {name: int(pin.value) for name, pin in self._pins.items()}
            for listener in self.listeners:
                listener(values)


class ReadResponder:
    """Stands in for the buffer behind the read port ``name``.

    ``read`` gives the bytes at an address, asked when they are requested. They are there
    BUFFER_READ_LATENCY cycles later; at other times, and where masked, data is arbitrary.
    """

    def __init__(
        self, dut: Any, name: str, read: Callable[[int], bytes], rng: random.Random
    ) -> None:
        self._clock, self._read, self._rng = dut.clk, read, rng
        self._valid, self._address, self._data = (
            getattr(dut, f"{name}__{pin}") for pin in ("valid", "address", "data")
        )
        self._mask = getattr(dut, f"{name}__mask", None)
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        coming: list[int] = [self._noise()] * (BUFFER_READ_LATENCY - 1)
        while True:
            await RisingEdge(self._clock)
            coming.append(self._answer() if self._valid.value else self._noise())
            self._data.value = coming.pop(0)

    def _noise(self) -> int:
        return self._rng.getrandbits(len(self._data))

    def _answer(self) -> int:
        found = int.from_bytes(self._read(int(self._address.value)), "little")
        if self._mask is None:
            return found
        mask = int(self._mask.value)
        wanted = sum(0xFF << 8 * lane for lane in range(len(self._mask)) if mask >> lane & 1)
        return found & wanted | self._noise() & ~wanted
