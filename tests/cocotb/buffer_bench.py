"""A banked buffer under random accesses of all ports at once, against a plain array of bytes."""

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import RisingEdge

from arch.timing import BUFFER_READ_LATENCY
from tests.cocotb.watch import PinMonitor, Pins, bounded_test
from tests.support.streams import bench_parameters, bench_random, random_stalls, start_clock

CYCLES = 1500
READ_CONFLICT, WRITE_CONFLICT = 2, 3
"""Cycles from clashing requests to ``conflict``."""


@dataclass(frozen=True)
class Shape:
    """The buffer's parameters."""

    lanes: int
    words: int
    banks: int
    readers: tuple[int, ...]
    writers: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.lanes * self.words * self.banks

    def cells(self, address: int, mask: int) -> dict[int, tuple[int, int]]:
        """By byte address, the (bank, lane) of each element wanted."""
        places = [
            (address + element) % self.size
            for element in range(mask.bit_length())
            if mask >> element & 1
        ]
        return {place: (place // (self.lanes * self.words), place % self.lanes) for place in places}


def clashing(accesses: list[dict[int, tuple[int, int]]]) -> set[tuple[int, int]]:
    """The cells that two accesses of one cycle want."""
    seen: set[tuple[int, int]] = set()
    twice: set[tuple[int, int]] = set()
    for access in accesses:
        cells = set(access.values())
        twice |= seen & cells
        seen |= cells
    return twice


class BufferModel:
    """The bytes of the buffer, None where they are arbitrary, cycle by cycle."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._bytes: list[int | None] = [None] * shape.size
        # Written one cycle ago: seen by reads from the next cycle on.
        self._fresh: dict[int, int | None] = {}
        self._expected: deque[list[list[int | None] | None]] = deque()
        quiet = [False] * WRITE_CONFLICT
        self._read_clash, self._write_clash = deque(quiet[:READ_CONFLICT]), deque(quiet)

    def hear(self, pins: Pins) -> tuple[list[list[int | None] | None] | None, bool]:
        """The requests of a cycle; gives its data by reader (None: none asked), ``conflict``."""
        reads = self._accesses(pins, "read", len(self._shape.readers))
        self._expected.append(self._read(pins, reads))
        self._write(pins)
        conflict = self._read_clash.popleft() | self._write_clash.popleft()
        ready = len(self._expected) > BUFFER_READ_LATENCY
        return self._expected.popleft() if ready else None, conflict

    def _accesses(self, pins: Pins, kind: str, count: int) -> list[dict[int, tuple[int, int]]]:
        return [
            self._shape.cells(pins[f"{kind}{index}__address"], pins[f"{kind}{index}__mask"])
            if pins[f"{kind}{index}__valid"]
            else {}
            for index in range(count)
        ]

    def _read(
        self, pins: Pins, accesses: list[dict[int, tuple[int, int]]]
    ) -> list[list[int | None] | None]:
        bad = clashing(accesses)
        self._read_clash.append(bool(bad))
        found: list[list[int | None] | None] = []
        for index, (access, elements) in enumerate(zip(accesses, self._shape.readers, strict=True)):
            if not pins[f"read{index}__valid"]:
                found.append(None)
                continue
            first = pins[f"read{index}__address"]
            places = [(first + element) % self._shape.size for element in range(elements)]
            found.append(
                [
                    self._bytes[place]
                    if place in access and access[place] not in bad and place not in self._fresh
                    else None
                    for place in places
                ]
            )
        return found

    def _write(self, pins: Pins) -> None:
        for place, value in self._fresh.items():
            self._bytes[place] = value
        self._fresh = {}
        accesses = self._accesses(pins, "write", len(self._shape.writers))
        bad = clashing(accesses)
        self._write_clash.append(bool(bad))
        for index, access in enumerate(accesses):
            first, data = pins[f"write{index}__address"], pins[f"write{index}__data"]
            for place, cell in access.items():
                element = (place - first) % self._shape.size
                self._fresh[place] = None if cell in bad else data >> 8 * element & 0xFF


class Driver:
    """Random accesses; few clash, and many stay near one place."""

    def __init__(self, dut: Any, shape: Shape, rng: random.Random) -> None:
        self._dut, self._shape, self._rng = dut, shape, rng
        self._near = 0
        self._ports = [
            (kind, index, elements, random_stalls(rng))
            for kind, sizes in (("read", shape.readers), ("write", shape.writers))
            for index, elements in enumerate(sizes)
        ]

    def cycle(self) -> None:
        """Drive all ports for the next cycle."""
        rng = self._rng
        if rng.random() < 0.02:
            self._near = rng.randrange(self._shape.size)
        taken: dict[str, list[dict[int, tuple[int, int]]]] = {"read": [], "write": []}
        for kind, index, elements, stalls in self._ports:
            spread = rng.choice((4, 4 * self._shape.lanes, self._shape.size))
            address = (self._near + rng.randrange(spread)) % self._shape.size
            mask = rng.choice(((1 << elements) - 1, rng.getrandbits(elements)))
            access = self._shape.cells(address, mask)
            clashes = clashing([*taken[kind], access])
            valid = not next(stalls) and not (clashes and rng.random() < 0.98)
            if valid:
                taken[kind].append(access)
            self._drive(f"{kind}{index}", valid, address, mask)
            if kind == "write":
                pin = getattr(self._dut, f"write{index}__data")
                pin.value = rng.getrandbits(8 * elements)

    def _drive(self, port: str, valid: bool, address: int, mask: int) -> None:
        for pin, value in (("valid", valid), ("address", address), ("mask", mask)):
            getattr(self._dut, f"{port}__{pin}").value = value


def check(model: BufferModel, pins: Pins) -> int:
    """Compare one cycle; gives how many bytes were compared."""
    data, conflict = model.hear(pins)
    assert pins["conflict"] == conflict
    compared = 0
    for index, expected in enumerate(data or []):
        found = pins[f"read{index}__data"]
        for element, value in enumerate(expected or []):
            if value is not None:
                assert found >> 8 * element & 0xFF == value, f"read{index}, element {element}"
                compared += 1
    return compared


@bounded_test
async def reads_see_what_was_written(dut: Any) -> None:
    parameters, rng = bench_parameters(), bench_random()
    readers, writers = (
        tuple(int(size) for size in parameters.pop(kind).split()) for kind in ("readers", "writers")
    )
    shape = Shape(readers=readers, writers=writers, **parameters)
    names = [
        *(f"read{n}__{pin}" for n in range(len(readers)) for pin in ("valid", "address", "mask")),
        *(f"write{n}__{pin}" for n in range(len(writers)) for pin in ("valid", "address", "mask")),
        *(f"read{n}__data" for n in range(len(readers))),
        *(f"write{n}__data" for n in range(len(writers))),
    ]
    monitor, model = PinMonitor(dut, [*names, "conflict"]), BufferModel(shape)
    compared: list[int] = []
    monitor.listeners.append(lambda pins: compared.append(check(model, pins)))
    driver = Driver(dut, shape, rng)
    for name in names:
        getattr(dut, name).value = 0
    await start_clock(dut)
    for _ in range(CYCLES):
        driver.cycle()
        await RisingEdge(dut.clk)
    assert sum(compared) > CYCLES
