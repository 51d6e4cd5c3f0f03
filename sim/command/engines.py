"""Timing laws of the four engines and of the read bus."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, Command, Engine, PostOperand
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
from sim.command.accesses import execute_accesses, load_accesses, post_accesses, store_accesses
from sim.command.affine import loop_counts
from sim.command.bursts import burst_beats


@dataclass(frozen=True, kw_only=True)
class Span:
    """One command's time on its engine: taken in cycle ``start``, complete in cycle ``done``."""

    engine: Engine
    start: int
    done: int


class EngineTiming(Protocol):
    """What the timeline asks of an engine."""

    ready: int | None
    """First cycle in which the engine can take its next command; None while that is not known."""
    counters: Counter[str]

    def take(self, time: int, command: Command) -> int | None:
        """Take ``command`` in cycle ``time``; gives the cycle of its ``done`` if that is known."""


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
        self.counters: Counter[str] = Counter()
        self.owner = -1
        self.offer: int | None = None
        self._bursts: list[int] = []
        self._next = 0
        self._ends: list[int] = []

    def take(self, time: int, command: Command) -> int | None:
        """Begin to cut ``command`` into bursts."""
        self._bursts = burst_beats(command, self._config)
        self.counters.update(load_accesses(command, sum(self._bursts)))
        self._next = 0
        self.ready = None
        self._offer_from(time + 2)
        return None

    def postpone(self) -> None:
        """Fetch was first: try again one cycle later."""
        assert self.offer is not None
        self.offer += 1

    def accept(self, bus: ReadBus) -> int | None:
        """The arbiter takes the address on offer; gives ``done`` if the command has no more."""
        assert self.offer is not None
        granted = self.offer
        self._ends.append(bus.read(granted, self._bursts[self._next]))
        self._next += 1
        if self._next < len(self._bursts):
            self._offer_from(granted + 2)
            return None
        self.offer = None
        self.ready = granted + 1
        return self._ends[-1] + BUFFER_WRITE_LATENCY

    def _offer_from(self, time: int) -> None:
        held = len(self._ends) - self._config.outstanding_bursts
        self.offer = max(time, self._ends[held] + 1) if held >= 0 else time


class ExecuteTiming:
    """The execute engine (``hw/execute.py``): weights walk ahead of the stream of vectors.

    For a command taken in cycle p, with S tiles of M vectors and D = ``step_cycles``: row 0 of tile
    k is read in cycle T_k, its first vector in cycle t_k = t_0 + k * D.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self.ready: int | None = 0
        self.counters: Counter[str] = Counter()
        self._stalls: Counter[str] = Counter()
        # Of the command before: cycle of the last step's first vector, and where that step ends.
        self._last_step = -1
        self._step_end = 0
        self._holds: list[tuple[int, int]] = []
        self._held = 0

    def take(self, time: int, command: Command) -> int:
        """Take ``command`` in cycle ``time``; gives its ``done``."""
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
        self.counters.update(execute_accesses(command, config))
        return last + vectors - 1 + BUFFER_READ_LATENCY + array_latency(config) + ACCUMULATE_LATENCY

    def note_wait(self, head: int, waits: Sequence[tuple[Engine, int]]) -> None:
        """The next command is at hand from cycle ``head`` on; count the cycles it waits."""
        start = head
        for engine, met in waits:
            if met > start:
                self._stalls[f"stall_{engine.name.lower()}"] += self._free_cycles(start, met)
                start = met

    def _free_cycles(self, start: int, stop: int) -> int:
        """Cycles of ``start`` ... ``stop`` - 1 in which no command holds or awaits the stream."""
        overlap = sum(max(0, min(stop, end) - max(start, begin)) for begin, end in self._holds)
        return stop - start - overlap

    def stalls(self, cycles: int) -> Counter[str]:
        """Every cycle of the run without a vector, by cause."""
        weights = self._held - self.counters["array_busy"]
        waiting = self._stalls.total()
        rest = cycles - self._held - waiting
        return self._stalls + Counter(stall_weights=weights, stall_idle=rest)


class PostTiming:
    """The post-processor (``hw/post.py``): one command after the other."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self.ready: int | None = 0
        self.counters: Counter[str] = Counter()

    def take(self, time: int, command: Command) -> int:
        """Take ``command`` in cycle ``time``; gives its ``done``."""
        py, px, wy, wx = loop_counts(command, POST_LOOPS)
        operand = command["operand"] != PostOperand.NONE
        done = time + post_cycles(self._config, py * px, wy * wx, operand)
        self.ready = done + 1
        self.counters.update(post_accesses(command, self._config))
        return done


class StoreTiming:
    """The store engine (``hw/store.py``) and the simulated memory's write side.

    The memory always takes addresses; it takes a beat every ``beat_interval`` cycles, and answers a
    burst ``memory_latency`` cycles after its last beat, in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self.ready: int | None = 0
        self.counters: Counter[str] = Counter()
        self._begun = -2
        self._addressed = -1
        self._writes: list[int] = []
        self._last_request = -1
        self._last_write = -config.beat_interval
        self._responses: list[int] = []

    def take(self, time: int, command: Command) -> int:
        """Take ``command`` in cycle ``time``; gives its ``done``."""
        bursts = burst_beats(command, self._config)
        self.counters.update(store_accesses(sum(bursts)))
        start = time + 2
        for beats in bursts:
            self._burst(start, beats)
            start = self._begun + 2
        self.ready = self._begun + 1
        return self._responses[-1] + 1

    def _burst(self, start: int, beats: int) -> None:
        begun = max(start, self._last_request, self._addressed)
        waiting = len(self._responses) - self._config.outstanding_bursts
        if waiting >= 0:
            begun = max(begun, self._responses[waiting] + 1)
        self._begun = begun
        self._addressed = begun + 1
        self._beats(begun, beats)
        response = self._last_write + self._config.memory_latency
        previous = self._responses[-1] if self._responses else -1
        self._responses.append(max(response, previous + 1))

    def _beats(self, begun: int, beats: int) -> None:
        """Read requests and writes of a burst's beats."""
        if self._config.beat_interval == 1:
            # The memory takes every beat as it comes: requests never wait for credits.
            self._last_request = max(begun, self._last_request) + beats
            self._last_write = self._last_request + BUFFER_READ_LATENCY + 1
            return
        for _ in range(beats):
            request = max(self._last_request, begun) + 1
            if len(self._writes) >= WRITE_FIFO_DEPTH:
                request = max(request, self._writes[-WRITE_FIFO_DEPTH] + 1)
            write = max(
                request + BUFFER_READ_LATENCY + 1, self._last_write + self._config.beat_interval
            )
            self._writes = [*self._writes[1 - WRITE_FIFO_DEPTH :], write]
            self._last_request, self._last_write = request, write
