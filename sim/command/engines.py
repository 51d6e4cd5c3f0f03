"""Timing laws of the four engines and of the read bus."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, Command, Engine
from arch.config import AcceleratorConfig
from arch.post_timing import post_cycles
from arch.timing import (
    ACCUMULATE_LATENCY,
    BUFFER_READ_LATENCY,
    BUFFER_WRITE_LATENCY,
    WRITE_FIFO_DEPTH,
    array_latency,
    step_cycles,
)
from sim.command.accesses import (
    AccessCounts,
    Accesses,
    constant_words,
    load_accesses,
    store_accesses,
)
from sim.command.affine import loop_counts
from sim.command.bursts import burst_beats

_NEVER = -1
"""In place of an event that has not happened: no later one waits for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One command's time on its engine: taken in cycle ``start``, complete in cycle ``done``."""

    engine: Engine
    start: int
    done: int


class Taken(NamedTuple):
    """What an engine says of a command that it takes."""

    done: int | None
    """Cycle of its completion; None while that is not known."""
    accesses: Accesses


class EngineTiming(Protocol):
    """What the timeline asks of an engine."""

    ready: int | None
    """First cycle in which the engine can take its next command; None while that is not known."""

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""


class ReadBus:
    """The simulated memory's read side: bursts in the order of their addresses."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._latency = config.memory_latency
        self._interval = config.beat_interval
        self._last = -config.beat_interval

    def read(self, granted: int, beats: int) -> int:
        """Cycle of the last beat of a burst whose address the arbiter takes in cycle ``granted``.

        The address is on the bus one cycle later.
        """
        first = max(granted + 1 + self._latency, self._last + self._interval)
        self._last = first + (beats - 1) * self._interval
        return self._last


class LoadTiming:
    """The load engine (``hw/load.py``): one burst's address after the other."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self.ready: int | None = 0
        self.offer: int | None = None
        """Cycle in which the next address is offered, if there is one."""
        self._bursts: list[int] = []
        self._next = 0
        # Last beats of the bursts that may be outstanding, the oldest first.
        self._ends = deque([_NEVER] * config.outstanding_bursts, config.outstanding_bursts)

    def take(self, time: int, command: Command) -> Taken:
        """Begin to cut ``command`` into bursts."""
        self._bursts = burst_beats(command, self._config)
        self._next = 0
        self.ready = None
        self.offer = max(time + 2, self._ends[0] + 1)
        return Taken(None, load_accesses(command, sum(self._bursts)))

    def postpone(self) -> None:
        """Fetch was first: try again one cycle later."""
        assert self.offer is not None
        self.offer += 1

    def accept(self, bus: ReadBus, stop: int | None) -> int | None:
        """The arbiter takes the address on offer and those after it that come before cycle
        ``stop``; gives the command's ``done`` if it has no more."""
        assert self.offer is not None
        granted = last = self.offer
        ends = self._ends
        for number in range(self._next, len(self._bursts)):
            if stop is not None and granted >= stop:
                self._next, self.offer = number, granted
                return None
            ends.append(bus.read(granted, self._bursts[number]))
            last, granted = granted, max(granted + 2, ends[0] + 1)
        self.offer = None
        self.ready = last + 1
        return ends[-1] + BUFFER_WRITE_LATENCY


class ExecuteTiming:
    """The execute engine (``hw/execute.py``): weights walk ahead of the stream of vectors.

    For a command taken in cycle p, with S tiles of M vectors and D = ``step_cycles``: row 0 of tile
    k is read in cycle T_k, its first vector in cycle t_k = t_0 + k * D.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._counts = AccessCounts(config)
        self._latency = BUFFER_READ_LATENCY + array_latency(config) + ACCUMULATE_LATENCY
        self.ready: int | None = 0
        self._stalls: Counter[str] = Counter()
        # Of the command before: cycle of the last step's first vector, and where that step ends.
        self._last_step = -1
        self._step_end = 0
        self._holds: list[tuple[int, int]] = []
        self._held = 0

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""
        config = self._config
        ky, kx, kc, oy, ox = loop_counts(command, EXECUTE_LOOPS)
        tiles, vectors = ky * kx * kc, oy * ox
        step = step_cycles(config, vectors)
        first_row = max(time + 1, self._last_step + 1)
        loaded = max(time + 1, self._step_end - 1)
        first = max(first_row, loaded) + 1
        last = first + (tiles - 1) * step
        last_row = first_row
        if tiles > 1:
            last_row = max(first_row + (tiles - 1) * config.rows, last - step + 1)
        self.ready = max(last_row + config.rows, loaded + 1)
        self._holds = [*self._holds[-2:], (max(time + 1, self._step_end), last + step)]
        self._last_step, self._step_end = last, last + step
        self._held += self._step_end - loaded - 1
        return Taken(last + vectors - 1 + self._latency, self._counts.execute(command))

    def note_wait(self, head: int, waits: Sequence[tuple[int, int]]) -> None:
        """The next command is at hand from cycle ``head`` on; count the cycles it waits.

        ``waits`` holds engines, in the order of their numbers, and the cycles in which they have
        done what it waits for.
        """
        start = head
        for engine, met in waits:
            if met > start:
                self._stalls[_STALLS[engine]] += self._free_cycles(start, met)
                start = met

    def _free_cycles(self, start: int, stop: int) -> int:
        """Cycles of ``start`` ... ``stop`` - 1 in which no command holds or awaits the stream."""
        overlap = sum(max(0, min(stop, end) - max(start, begin)) for begin, end in self._holds)
        return stop - start - overlap

    def stalls(self, cycles: int, array_busy: int) -> Counter[str]:
        """Every cycle of the run without a vector, by cause; ``array_busy`` cycles have one."""
        weights = self._held - array_busy
        waiting = self._stalls.total()
        rest = cycles - self._held - waiting
        return self._stalls + Counter(stall_weights=weights, stall_idle=rest)


_STALLS = {int(engine): f"stall_{engine.name.lower()}" for engine in Engine}


class PostTiming:
    """The post-processor (``hw/post.py``): one command after the other."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._counts = AccessCounts(config)
        self.ready: int | None = 0
        self._cycles: dict[tuple[int, int, int], int] = {}

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""
        py, px, wy, wx = loop_counts(command, POST_LOOPS)
        work = (py * px, wy * wx, constant_words(command, self._config))
        cycles = self._cycles.get(work)
        if cycles is None:
            cycles = self._cycles[work] = post_cycles(self._config, *work)
        done = time + cycles
        self.ready = done + 1
        return Taken(done, self._counts.post(command))


class StoreTiming:
    """The store engine (``hw/store.py``) and the simulated memory's write side.

    The memory always takes addresses; it takes a beat every ``beat_interval`` cycles, and answers a
    burst ``memory_latency`` cycles after its last beat, in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._interval = config.beat_interval
        self._latency = config.memory_latency
        self.ready: int | None = 0
        self._begun = -2
        self._last_request = -1
        self._last_write = -config.beat_interval
        # Answers to the bursts that may be outstanding, and writes of the beats that may lie in
        # the FIFO, the oldest first.
        self._responses = deque([_NEVER] * config.outstanding_bursts, config.outstanding_bursts)
        self._writes = deque([_NEVER] * WRITE_FIFO_DEPTH, WRITE_FIFO_DEPTH)

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""
        bursts = burst_beats(command, self._config)
        earliest = time + 2
        for beats in bursts:
            # The address before this one is taken in the cycle after its burst began.
            begun = max(earliest, self._last_request, self._begun + 1, self._responses[0] + 1)
            self._write(begun, beats)
            answered = max(self._last_write + self._latency, self._responses[-1] + 1)
            self._responses.append(answered)
            self._begun, earliest = begun, begun + 2
        self.ready = self._begun + 1
        return Taken(self._responses[-1] + 1, store_accesses(sum(bursts)))

    def _write(self, begun: int, beats: int) -> None:
        """Read requests and writes of a burst's beats."""
        request, write = max(self._last_request, begun), self._last_write
        if self._interval == 1:
            # The memory takes every beat as it comes: requests never wait for credits.
            request += beats
            write = request + BUFFER_READ_LATENCY + 1
        else:
            for _ in range(beats):
                request = max(request + 1, self._writes[0] + 1)
                write = max(request + BUFFER_READ_LATENCY + 1, write + self._interval)
                self._writes.append(write)
        self._last_request, self._last_write = request, write
