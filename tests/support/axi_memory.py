"""A memory behind an AXI4 bus for Amaranth's simulator, and a judge of the bus's rules.

A burst whose address is accepted in cycle t gives its first beat in cycle t + ``latency``, or
``beat_interval`` cycles after the beat before it, if that is later; further beats follow
``beat_interval`` apart. Beats come in the order of their addresses. A written beat is accepted
``beat_interval`` cycles after the one before at the earliest, and a burst is answered ``latency``
cycles after its last beat (or its address, if that is later). ``stall`` delays all of this at random.
"""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

OKAY, SLVERR = 0, 2
PAGE = 4096


class ProtocolError(AssertionError):
    """The master broke a rule of the bus."""


def require(holds: bool, rule: str) -> None:
    """Raise ``ProtocolError`` unless ``holds``."""
    if not holds:
        raise ProtocolError(rule)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a memory answers; times in cycles."""

    latency: int = 1
    beat_interval: int = 1
    stall: float = 0.0
    """Chance, in each cycle, that a channel that could go on does not."""
    read_errors: frozenset[int] = frozenset()
    """Read bursts, by their number, whose last beat answers SLVERR."""
    write_errors: frozenset[int] = frozenset()
    """Written bursts that are answered SLVERR."""


@dataclass(frozen=True)
class Address:
    """A burst's address as it was accepted."""

    id: int
    address: int
    length: int


@dataclass
class ReadLog:
    """Cycles: when each address was accepted, and when each beat of each burst was."""

    addresses: list[Address] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    beats: list[list[int]] = field(default_factory=list)


@dataclass
class WriteLog:
    """Cycles: when each address and each beat was accepted, and when each response was."""

    addresses: list[Address] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    strobes: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)


class StableChannel:
    """Watches that what is offered stays until it is taken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: tuple[int, ...] | None = None

    def observe(self, valid: int, ready: int, *payload: int) -> bool:
        """One cycle; gives whether the payload was taken in it."""
        if self._waiting is not None:
            require(bool(valid), f"{self._name}: valid fell before ready")
            require(payload == self._waiting, f"{self._name}: payload changed before ready")
        self._waiting = payload if valid and not ready else None
        return bool(valid and ready)


def check_address(address: Address, bus_bytes: int) -> None:
    """The rules of an INCR burst, and this project's own: starts at a whole beat."""
    require(address.address % bus_bytes == 0, f"burst at {address.address:#x} within a beat")
    size = (address.length + 1) * bus_bytes
    last = address.address + size - 1
    require(address.address // PAGE == last // PAGE, f"burst at {address.address:#x} leaves 4 KiB")


class AxiMemory:
    """Bytes behind the bus; addresses are taken modulo their number, a multiple of 4 KiB."""

    def __init__(
        self, *, bus_bytes: int, content: bytes, behaviour: Behaviour, seed: int, ids: Iterable[int]
    ) -> None:
        self.content = bytearray(content)
        self.reads = ReadLog()
        self.writes = WriteLog()
        self._bus_bytes = bus_bytes
        self._behaviour = behaviour
        self._rng = random.Random(seed)
        self._ids = frozenset(ids)

    def _flows(self) -> bool:
        return self._rng.random() >= self._behaviour.stall

    def _accept(self, id_: int, address: int, length: int) -> Address:
        accepted = Address(id_, address, length)
        require(id_ in self._ids, f"id {id_} is not one of {sorted(self._ids)}")
        check_address(accepted, self._bus_bytes)
        return accepted

    def _place(self, address: int) -> slice:
        start = address % len(self.content)
        return slice(start, start + self._bus_bytes)

    def serve_reads(self, bus: Any) -> Any:
        """The process that answers ``bus``, the master's MemoryReader."""
        return _ReadServer(self, bus)

    def serve_writes(self, bus: Any) -> Any:
        """The process that answers ``bus``, the master's MemoryWriter."""
        return _WriteServer(self, bus)


class _ReadServer:
    def __init__(self, memory: AxiMemory, bus: Any) -> None:
        self._memory, self._bus = memory, bus
        self._due: deque[tuple[int, int, dict[str, int]]] = deque()

    def _enqueue(self, cycle: int, address: Address) -> None:
        memory = self._memory
        burst, behaviour = len(memory.reads.addresses), memory._behaviour
        memory.reads.addresses.append(address)
        memory.reads.accepted.append(cycle)
        memory.reads.beats.append([])
        for beat in range(address.length + 1):
            place = memory._place(address.address + beat * memory._bus_bytes)
            last = beat == address.length
            payload = {
                "id": address.id,
                "data": int.from_bytes(memory.content[place], "little"),
                "resp": SLVERR if last and burst in behaviour.read_errors else OKAY,
                "last": int(last),
            }
            self._due.append((cycle + behaviour.latency, burst, payload))

    async def __call__(self, context: Any) -> None:
        memory, ar, r = self._memory, self._bus.ar, self._bus.r
        channel, offered, free_from, cycle = StableChannel("AR"), -1, 0, 0
        context.set(ar.ready, memory._flows())
        async for _, _, valid, ready, *payload, accepted in context.tick().sample(
            ar.valid, ar.ready, ar.payload.id, ar.payload.addr, ar.payload.len, r.ready
        ):
            if channel.observe(valid, ready, *payload):
                self._enqueue(cycle, memory._accept(*payload))
            if offered >= 0 and accepted:
                memory.reads.beats[offered].append(cycle)
                free_from, offered = cycle + memory._behaviour.beat_interval, -1
                context.set(r.valid, 0)
            cycle += 1
            due = self._due and self._due[0][0] <= cycle >= free_from
            if offered < 0 and due and memory._flows():
                _, offered, beat = self._due.popleft()
                context.set(r.payload, beat)
                context.set(r.valid, 1)
            context.set(ar.ready, memory._flows())


class _WriteServer:
    def __init__(self, memory: AxiMemory, bus: Any) -> None:
        self._memory, self._bus = memory, bus
        self._beats: list[tuple[int, int]] = []  # (data, strobe) of the burst that is coming in
        self._whole: deque[tuple[int, list[tuple[int, int]]]] = deque()  # (last beat's cycle, beats)
        self._offered: list[int] = []  # length of each burst whose address has been offered
        self._due: deque[tuple[int, int]] = deque()  # (cycle, response)

    def _offer(self, length: int) -> None:
        self._offered.append(length)

    def _take_beat(self, cycle: int, data: int, strobe: int, last: int) -> None:
        writes, finished = self._memory.writes, len(self._due_bursts())
        writes.beats.append(cycle)
        writes.strobes.append(strobe)
        require(strobe != 0, "W: a beat without any byte")
        self._beats.append((data, strobe))
        length = self._offered[finished]
        whole = len(self._beats) == length + 1
        require(bool(last) == whole, f"W: beat {len(self._beats)} of {length + 1} has last = {last}")
        if whole:
            self._whole.append((cycle, self._beats))
            self._beats = []

    def _due_bursts(self) -> range:
        """The bursts whose beats are all there."""
        return range(self._answered + len(self._whole))
