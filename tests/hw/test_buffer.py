"""The banked buffer against a plain array of bytes."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from arch.timing import BUFFER_READ_LATENCY, BUFFER_WRITE_LATENCY
from hw.buffer import BankedBuffer
from tests.support.amaranth_sim import int_to_lanes, lanes_to_int, simulate, to_verilog

SHAPES: dict[str, dict[str, Any]] = {
    "three readers, two writers": {
        "lanes": 8, "words": 4, "banks": 4, "readers": (5, 8, 4), "writers": (4, 2),
    },
    "two banks": {"lanes": 4, "words": 8, "banks": 2, "readers": (4, 3), "writers": (4, 1)},
    "one bank": {"lanes": 8, "words": 8, "banks": 1, "readers": (6,), "writers": (4,)},
    "16 bits": {
        "width": 16, "lanes": 4, "words": 4, "banks": 4, "readers": (3, 4, 2), "writers": (4, 2),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Access:
    """One request: its address and the elements that its mask selects."""

    address: int
    elements: tuple[int, ...]

    def bytes_of(self, size: int) -> dict[int, int]:
        """Byte address by element."""
        return {element: (self.address + element) % size for element in self.elements}


@dataclass
class Model:
    """Bytes, and what the laws say of each cycle's requests. ``None``: arbitrary."""

    lanes: int
    words: int
    banks: int
    memory: list[int | None] = field(default_factory=list)
    landing: list[list[tuple[int, int | None]]] = field(default_factory=list)
    read_conflicts: list[bool] = field(default_factory=lambda: [False] * 2)
    write_conflicts: list[bool] = field(default_factory=lambda: [False] * 3)

    def __post_init__(self) -> None:
        self.memory = [None] * (self.lanes * self.words * self.banks)
        self.landing = [[] for _ in range(BUFFER_WRITE_LATENCY - 1)]

    def clashes(self, accesses: list[Access | None]) -> set[tuple[int, int]]:
        """The (bank, lane)s that more than one access wants."""
        seen: set[tuple[int, int]] = set()
        twice: set[tuple[int, int]] = set()
        for access in accesses:
            for byte in access.bytes_of(len(self.memory)).values() if access else ():
                place = byte // (self.lanes * self.words), byte % self.lanes
                (twice if place in seen else seen).add(place)
        return twice

    def spoilt(self, byte: int, clashes: set[tuple[int, int]]) -> bool:
        return (byte // (self.lanes * self.words), byte % self.lanes) in clashes

    def cycle(
        self, reads: list[Access | None], writes: list[Access | None], data: list[list[int]]
    ) -> list[dict[int, int | None]]:
        """Each reader's data by element; notes the conflicts."""
        read_clashes, write_clashes = self.clashes(reads), self.clashes(writes)
        results: list[dict[int, int | None]] = []
        for access in reads:
            wanted = access.bytes_of(len(self.memory)) if access else {}
            results.append(
                {
                    element: None if self.spoilt(byte, read_clashes) else self.memory[byte]
                    for element, byte in wanted.items()
                }
            )
        written: list[tuple[int, int | None]] = []
        for access, values in zip(writes, data, strict=True):
            for element, byte in access.bytes_of(len(self.memory)).items() if access else ():
                if not self.spoilt(byte, write_clashes):
                    written.append((byte, values[element]))
                else:  # any byte of the lane may have been hit
                    lane_bytes = range(byte % self.lanes, len(self.memory), self.lanes)
                    bank = byte // (self.lanes * self.words)
                    written += [
                        (b, None) for b in lane_bytes if b // (self.lanes * self.words) == bank
                    ]
        self.landing.append(written)
        for byte, value in self.landing.pop(0):
            self.memory[byte] = value
        self.read_conflicts.append(bool(read_clashes))
        self.write_conflicts.append(bool(write_clashes))
        return results


def random_access(rng: random.Random, elements: int, near: int, size: int) -> Access | None:
    """None, or an access of all or some elements, often near to ``near`` or a bank's end."""
    if rng.random() < 0.25:
        return None
    base = rng.choice([near, rng.randrange(size), size // 2, 0])
    mask = rng.choice([1.0, 0.5, 0.1])
    chosen = tuple(element for element in range(elements) if rng.random() < mask)
    return Access((base + rng.randint(-elements, elements)) % size, chosen)


def width_of(port: Any) -> int:
    """Bits of an element."""
    return len(port.data) // len(port.mask)


def drive(ctx: Any, port: Any, access: Access | None, rng: random.Random) -> None:
    ctx.set(port.valid, access is not None)
    if access is None:  # what goes with no request must not matter
        ctx.set(port.address, rng.getrandbits(len(port.address)))
        ctx.set(port.mask, rng.getrandbits(len(port.mask)))
    else:
        # Which byte of the element is named does not matter.
        unit = width_of(port) // 8
        ctx.set(port.address, access.address * unit + rng.randrange(unit))
        ctx.set(port.mask, sum(1 << element for element in access.elements))


def compare(ctx: Any, port: Any, wanted: dict[int, int | None]) -> int:
    """Check the elements whose value is known; gives their number."""
    values = int_to_lanes(ctx.get(port.data), len(port.mask), width_of(port))
    known = {element: value for element, value in wanted.items() if value is not None}
    assert {element: values[element] for element in known} == known
    return len(known)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(seed: int, shape: str) -> None:
    rng, sizes = random.Random(seed), SHAPES[shape]
    dut = BankedBuffer(**sizes)
    model = Model(sizes["lanes"], sizes["words"], sizes["banks"])
    size = len(model.memory)
    readers = [getattr(dut, f"read{index}") for index in range(len(sizes["readers"]))]
    writers = [getattr(dut, f"write{index}") for index in range(len(sizes["writers"]))]
    compared = 0

    async def run(ctx: Any) -> None:
        nonlocal compared
        coming: list[list[dict[int, int | None]]] = [[]] * BUFFER_READ_LATENCY
        for cycle in range(1500):
            near = rng.randrange(size)
            reads = [random_access(rng, n, near, size) for n in sizes["readers"]]
            writes = [random_access(rng, n, near, size) for n in sizes["writers"]]
            data = [[rng.getrandbits(dut.width) for _ in range(n)] for n in sizes["writers"]]
            for port, access in zip(readers + writers, reads + writes, strict=True):
                drive(ctx, port, access, rng)
            for port, values in zip(writers, data, strict=True):
                ctx.set(port.data, lanes_to_int(values, dut.width))
            coming.append(model.cycle(reads, writes, data))
            conflict = model.read_conflicts[cycle] or model.write_conflicts[cycle]
            assert ctx.get(dut.conflict) == conflict, cycle
            for port, wanted in zip(readers, coming.pop(0), strict=False):
                compared += compare(ctx, port, wanted)
            await ctx.tick()

    simulate(dut, run)
    assert compared > 1000
    assert any(model.read_conflicts) == (len(readers) > 1)
    assert any(model.write_conflicts) == (len(writers) > 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_converts_to_verilog(shape: str) -> None:
    assert "module dut" in to_verilog(BankedBuffer(**SHAPES[shape]))
