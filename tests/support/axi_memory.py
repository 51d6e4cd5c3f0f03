"""A memory behind an AXI4 bus for Amaranth's simulator, and a judge of the bus's rules.

A burst whose address is accepted in cycle t gives its first beat in cycle t + ``latency``, or
``beat_interval`` cycles after the beat before it, if that is later; further beats follow
``beat_interval`` apart. Beats come in the order of their addresses. A written beat is accepted
``beat_interval`` cycles after the one before at the earliest, and a burst is answered ``latency``
cycles after its last beat (or its address, if that is later). ``stall`` delays it all at random.
"""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from tests.support.trace import Process

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

    def beats_without_stalls(self, behaviour: Behaviour) -> list[list[int]]:
        """When the beats come, by the rule, given when the addresses were accepted."""
        expected, free = [], 0
        for address, accepted in zip(self.addresses, self.accepted, strict=True):
            first = max(accepted + behaviour.latency, free)
            free = first + (address.length + 1) * behaviour.beat_interval
            expected.append(list(range(first, free, behaviour.beat_interval)))
        return expected


@dataclass
class WriteLog:
    """Cycles: when each address and each beat was accepted, and when each response was."""

    addresses: list[Address] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    strobes: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)

    def beats_without_stalls(self, offered: list[int], behaviour: Behaviour) -> list[int]:
        """When the beats are accepted, by the rule, given when they were offered."""
        expected: list[int] = []
        for cycle in offered:
            free = expected[-1] + behaviour.beat_interval if expected else 0
            expected.append(max(cycle, free))
        return expected

    def responses_without_stalls(self, behaviour: Behaviour) -> list[int]:
        """When the responses come, by the rule, given when the last beats were accepted."""
        ends = accumulate(address.length + 1 for address in self.addresses)
        return [self.beats[end - 1] + behaviour.latency for end in ends]


class StableChannel:
    """Watches that what is offered stays until it is taken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: tuple[int, ...] | None = None

    @property
    def waiting(self) -> bool:
        """Whether something was offered and not taken in the last cycle."""
        return self._waiting is not None

    def observe(self, valid: int, ready: int, *payload: int) -> bool:
        """One cycle; gives whether the payload was taken in it."""
        if self._waiting is not None:
            require(bool(valid), f"{self._name}: valid fell before ready")
            require(payload == self._waiting, f"{self._name}: payload changed before ready")
        self._waiting = payload if valid and not ready else None
        return bool(valid and ready)


class AxiMemory:
    """Bytes behind the bus; addresses are taken modulo their number, a multiple of 4 KiB."""

    def __init__(
        self, *, bus_bytes: int, content: bytes, behaviour: Behaviour, seed: int, ids: Iterable[int]
    ) -> None:
        self.content = bytearray(content)
        self.behaviour = behaviour
        self.bus_bytes = bus_bytes
        self.reads = ReadLog()
        self.writes = WriteLog()
        self._rng = random.Random(seed)
        self._ids = frozenset(ids)

    def flows(self) -> bool:
        """Whether a channel that could go on does so in this cycle."""
        return self._rng.random() >= self.behaviour.stall

    def accept(self, id_: int, address: int, length: int) -> Address:
        """The burst, if it keeps to the rules."""
        require(id_ in self._ids, f"id {id_} is not one of {sorted(self._ids)}")
        require(address % self.bus_bytes == 0, f"burst at {address:#x} begins within a beat")
        last = address + (length + 1) * self.bus_bytes - 1
        require(address // PAGE == last // PAGE, f"burst at {address:#x} crosses 4 KiB")
        return Address(id_, address, length)

    def place(self, address: int) -> slice:
        """Where the beat at ``address`` lies."""
        start = address % len(self.content)
        return slice(start, start + self.bus_bytes)

    def serve_reads(self, bus: Any) -> Process:
        """The process that answers ``bus``, the master's MemoryReader."""
        return _ReadServer(self, bus).serve

    def serve_writes(self, bus: Any) -> Process:
        """The process that answers ``bus``, the master's MemoryWriter."""
        return _WriteServer(self, bus).serve


class _ReadServer:
    def __init__(self, memory: AxiMemory, bus: Any) -> None:
        self._memory, self._bus = memory, bus
        self._due: deque[tuple[int, int, dict[str, int]]] = deque()

    def _take(self, cycle: int, address: Address) -> None:
        memory, log = self._memory, self._memory.reads
        burst = len(log.addresses)
        log.addresses.append(address)
        log.accepted.append(cycle)
        log.beats.append([])
        for beat in range(address.length + 1):
            place = memory.place(address.address + beat * memory.bus_bytes)
            last = beat == address.length
            payload = {
                "id": address.id,
                "data": int.from_bytes(memory.content[place], "little"),
                "resp": SLVERR if last and burst in memory.behaviour.read_errors else OKAY,
                "last": int(last),
            }
            self._due.append((cycle + memory.behaviour.latency, burst, payload))

    async def serve(self, context: Any) -> None:
        memory, ar, r = self._memory, self._bus.ar, self._bus.r
        channel, offered, free_from, cycle = StableChannel("AR"), -1, 0, 0
        context.set(ar.ready, memory.flows())
        async for _, _, valid, ready, id_, address, length, taken in context.tick().sample(
            ar.valid, ar.ready, ar.payload.id, ar.payload.addr, ar.payload.len, r.ready
        ):
            if channel.observe(valid, ready, id_, address, length):
                self._take(cycle, memory.accept(id_, address, length))
            if offered >= 0 and taken:
                memory.reads.beats[offered].append(cycle)
                free_from, offered = cycle + memory.behaviour.beat_interval, -1
                context.set(r.valid, 0)
            cycle += 1
            due = self._due and self._due[0][0] <= cycle and free_from <= cycle
            if offered < 0 and due and memory.flows():
                _, offered, beat = self._due.popleft()
                context.set(r.payload, beat)
                context.set(r.valid, 1)
            context.set(ar.ready, memory.flows())


class _WriteServer:
    def __init__(self, memory: AxiMemory, bus: Any) -> None:
        self._memory, self._bus = memory, bus
        self._lengths: list[int] = []  # of the bursts offered
        self._coming: list[tuple[int, int]] = []  # beats (data, strobe) of an unfinished burst
        self._whole: list[list[tuple[int, int]]] = []  # beats of each finished burst
        self._due: deque[tuple[int, int]] = deque()  # (cycle, response)
        self._committed = 0

    def _take_beat(self, data: int, strobe: int, last: int) -> None:
        self._memory.writes.strobes.append(strobe)
        self._coming.append((data, strobe))
        beats, length = len(self._coming), self._lengths[len(self._whole)]
        require(strobe != 0, "W: a beat without a byte")
        require(bool(last) == (beats == length + 1), f"W: last = {last} on {beats} of {length + 1}")
        if last:
            self._whole.append(self._coming)
            self._coming = []

    def _commit(self, cycle: int) -> None:
        """Write and answer the bursts of which both address and beats have come."""
        memory = self._memory
        while self._committed < min(len(memory.writes.addresses), len(self._whole)):
            address = memory.writes.addresses[self._committed].address
            for beat, (data, strobe) in enumerate(self._whole[self._committed]):
                start = memory.place(address + beat * memory.bus_bytes).start
                for lane in range(memory.bus_bytes):
                    if strobe >> lane & 1:
                        memory.content[start + lane] = data >> 8 * lane & 0xFF
            error = self._committed in memory.behaviour.write_errors
            self._due.append((cycle + memory.behaviour.latency, SLVERR if error else OKAY))
            self._committed += 1

    def _see_address(self, cycle: int, channel: StableChannel, valid: int, *rest: int) -> None:
        ready, *address = rest
        if valid and not channel.waiting:
            self._lengths.append(address[-1])
        if channel.observe(valid, ready, *address):
            self._memory.writes.addresses.append(self._memory.accept(*address))
            self._memory.writes.accepted.append(cycle)

    async def serve(self, context: Any) -> None:
        memory, bus = self._memory, self._bus
        addresses, beats = StableChannel("AW"), StableChannel("W")
        answering, free_from, cycle = False, 0, 0
        context.set(bus.aw.ready, memory.flows())
        context.set(bus.w.ready, memory.flows())
        aw, w = bus.aw.payload, bus.w.payload
        async for _, _, *values in context.tick().sample(
            *(bus.aw.valid, bus.aw.ready, aw.id, aw.addr, aw.len),
            *(bus.w.valid, bus.w.ready, w.data, w.strb, w.last),
            bus.b.ready,
        ):
            aw_values, (valid, ready, *beat), b_ready = values[:5], values[5:10], values[10]
            self._see_address(cycle, addresses, *aw_values)
            require(not valid or len(self._lengths) > len(self._whole), "W: before its address")
            if beats.observe(valid, ready, *beat):
                memory.writes.beats.append(cycle)
                free_from = cycle + memory.behaviour.beat_interval
                self._take_beat(*beat)
            self._commit(cycle)
            if answering and b_ready:
                memory.writes.responses.append(cycle)
                answering = False
                context.set(bus.b.valid, 0)
            cycle += 1
            if not answering and self._due and self._due[0][0] <= cycle and memory.flows():
                answering = True
                context.set(bus.b.payload, {"id": 0, "resp": self._due.popleft()[1]})
                context.set(bus.b.valid, 1)
            context.set(bus.aw.ready, memory.flows())
            context.set(bus.w.ready, cycle >= free_from and memory.flows())
