"""Timing laws of the four engines and of the read bus."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, Command, Engine, Pattern
from arch.config import AcceleratorConfig
from arch.post_timing import execute_done_latency, post_cycles, post_overlap
from arch.timing import (
    BUFFER_READ_LATENCY,
    BUFFER_WRITE_LATENCY,
    WRITE_FIFO_DEPTH,
    execute_latency,
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


Relative = Callable[[int], int]
"""Gives a time as a distance from a later one; earlier times than matter any more are alike."""

Taken = tuple[int | None, Accesses]
"""What an engine says of a command that it takes: the cycle of its completion, None while that is
not known, and its accesses."""


class EngineTiming(Protocol):
    """What the timeline asks of an engine."""

    ready: int | None
    """First cycle in which the engine can take its next command; None while that is not known."""

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""


class ReadBus:
    """The simulated memory's read side: bursts in the order of their addresses."""

    def __init__(self, config: AcceleratorConfig) -> None:
        # An address is on the bus a cycle after it has been granted.
        self.latency = config.memory_latency + 1
        self.interval = config.beat_interval
        self.free_from = 0
        """First cycle in which there may be a beat of the next burst."""

    def read(self, granted: int, beats: int) -> int:
        """Cycle of the last beat of a burst whose address is granted in cycle ``granted``."""
        first = max(granted + self.latency, self.free_from)
        self.free_from = first + beats * self.interval
        return self.free_from - self.interval

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""
        return (rel(self.free_from - self.latency),)


class LoadTiming:
    """The load engine (``hw/load.py``): one burst's address after the other."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._cut = config.bus_bytes, config.burst_beats
        self.ready: int | None = 0
        self.offer: int | None = None
        """Cycle in which the next address is offered, if there is one."""
        self._bursts: Sequence[int] = ()
        self._next = 0
        # Last beats of the bursts that may be outstanding, the oldest first.
        self._ends = deque([_NEVER] * config.outstanding_bursts, config.outstanding_bursts)

    def take(self, time: int, command: Command) -> Taken:
        """Begin to cut ``command`` into bursts."""
        self._bursts = burst_beats(command, *self._cut)
        self._next = 0
        self.ready = None
        self.offer = max(time + 2, self._ends[0] + 1)
        return None, load_accesses(command.pattern.fields["target"], sum(self._bursts))

    def postpone(self) -> None:
        """Fetch was first: try again one cycle later."""
        assert self.offer is not None
        self.offer += 1

    def accept(self, bus: ReadBus, stop: int | None) -> int | None:
        """The arbiter takes the address on offer and those after it that come before cycle
        ``stop``; gives the command's ``done`` if it has no more."""
        assert self.offer is not None
        granted = last = self.offer
        ends, bursts = self._ends, self._bursts
        # As ``bus.read`` burst by burst, without its calls.
        latency, interval, free = bus.latency, bus.interval, bus.free_from
        for number in range(self._next, len(bursts)):
            if stop is not None and granted >= stop:
                self._next, self.offer, bus.free_from = number, granted, free
                return None
            first = granted + latency
            free = (first if first > free else free) + bursts[number] * interval
            ends.append(free - interval)
            last = granted
            granted += 2
            # The oldest one that is outstanding must have ended.
            if granted <= ends[0]:
                granted = ends[0] + 1
        self.offer, self.ready, bus.free_from = None, last + 1, free
        return ends[-1] + BUFFER_WRITE_LATENCY

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""
        offer = None if self.offer is None else (rel(self.offer), *self._bursts[self._next :])
        return offer, _ready(self.ready, rel), *map(rel, self._ends)


class _Stream(NamedTuple):
    """What a pattern's execute command streams: tiles of weights, and vectors for each."""

    tiles: int
    vectors: int
    step: int
    """Cycles from tile to tile."""
    accesses: Accesses


class ExecuteTiming:
    """The execute engine (``hw/execute.py``): weights walk ahead of the stream of vectors.

    For a command taken in cycle p, with S tiles of M vectors and D = ``step_cycles``: row 0 of tile
    k is read in cycle T_k, its first vector in cycle t_k = t_0 + k * D.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._rows = config.rows
        self._counts = AccessCounts(config)
        self._streams: dict[Pattern, _Stream] = {}
        self._done_latency = execute_done_latency(config)
        self._latency = execute_latency(config)
        self.ready: int | None = 0
        self.settled = -1
        """Cycle in which all sums are in."""
        self._stalls: Counter[str] = Counter()
        # Of the command before: cycle of the last step's first vector, and where that step ends.
        self._last_step = -1
        self._step_end = 0
        self._holds: list[tuple[int, int]] = []
        self._held = 0

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""
        pattern = command.pattern
        tiles, vectors, step, accesses = self._streams.get(pattern) or self._stream(pattern)
        first_row = max(time + 1, self._last_step + 1)
        loaded = max(time + 1, self._step_end - 1)
        first = max(first_row, loaded) + 1
        last = first + (tiles - 1) * step
        last_row = first_row
        if tiles > 1:
            last_row = max(first_row + (tiles - 1) * self._rows, last - step + 1)
        self.ready = max(last_row + self._rows, loaded + 1)
        self._holds = [*self._holds[-2:], (max(time + 1, self._step_end), last + step)]
        self._last_step, self._step_end = last, last + step
        self._held += self._step_end - loaded - 1
        last_vector = last + vectors - 1
        self.settled = last_vector + self._latency
        return last_vector + self._done_latency, accesses

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""
        holds = ((rel(begin), rel(end)) for begin, end in self._holds)
        return _ready(self.ready, rel), rel(self._last_step), rel(self._step_end), *holds

    def _stream(self, pattern: Pattern) -> _Stream:
        """What commands of ``pattern`` stream, worked out for the first of them."""
        ky, kx, kc, oy, ox = loop_counts(pattern.fields, EXECUTE_LOOPS)
        step = step_cycles(self._config, oy * ox)
        found = _Stream(ky * kx * kc, oy * ox, step, self._counts.execute(pattern))
        self._streams[pattern] = found
        return found

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
        free = stop - start
        for begin, end in self._holds:
            if begin < stop and start < end:
                free -= min(stop, end) - max(start, begin)
        return free

    def stalls(self, cycles: int, array_busy: int) -> Counter[str]:
        """Every cycle of the run without a vector, by cause; ``array_busy`` cycles have one."""
        weights = self._held - array_busy
        waiting = self._stalls.total()
        rest = cycles - self._held - waiting
        return self._stalls + Counter(stall_weights=weights, stall_idle=rest)


_STALLS = {int(engine): f"stall_{engine.name.lower()}" for engine in Engine}


class PostTiming:
    """The post-processor (``hw/post.py``): one command after the other, with some overlap."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._counts = AccessCounts(config)
        self._overlap = post_overlap(config)
        self.ready: int | None = 0
        self._work: dict[Pattern, tuple[int, Accesses]] = {}

    def take(self, time: int, command: Command) -> Taken:
        """Take ``command`` in cycle ``time``."""
        pattern = command.pattern
        cycles, accesses = self._work.get(pattern) or self._cycles(pattern)
        done = time + cycles
        self.ready = done - self._overlap
        return done, accesses

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""
        return (_ready(self.ready, rel),)

    def _cycles(self, pattern: Pattern) -> tuple[int, Accesses]:
        """Cycles and accesses of a command of ``pattern``, worked out for the first of them."""
        fields = pattern.fields
        py, px, wy, wx = loop_counts(fields, POST_LOOPS)
        words = constant_words(fields, self._config)
        cycles = post_cycles(self._config, py * px, wy * wx, words)
        found = self._work[pattern] = cycles, self._counts.post(pattern)
        return found


class StoreTiming:
    """The store engine (``hw/store.py``) and the simulated memory's write side.

    The memory always takes addresses; it takes a beat every ``beat_interval`` cycles, and answers a
    burst ``memory_latency`` cycles after its last beat, in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._cut = config.bus_bytes, config.burst_beats
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
        bursts = burst_beats(command, *self._cut)
        begun, earliest = self._begun, time + 2
        responses, latency = self._responses, self._latency
        for beats in bursts:
            # The address before this one is taken in the cycle after its burst began.
            begun = max(earliest, self._last_request, begun + 1, responses[0] + 1)
            earliest = begun + 2
            self._write(begun, beats)
            answer, last_answer = self._last_write + latency, responses[-1]
            responses.append(answer if answer > last_answer else last_answer + 1)
        self._begun, self.ready = begun, begun + 1
        return responses[-1] + 1, store_accesses(sum(bursts))

    def state(self, rel: Relative) -> tuple[object, ...]:
        """All that its times to come depend on."""
        own = (self._begun, self._last_request, self._last_write + self._interval)
        return _ready(self.ready, rel), *map(rel, (*own, *self._responses, *self._writes))

    def _write(self, begun: int, beats: int) -> None:
        """Read requests and writes of a burst's beats, from cycle ``begun`` on.

        Each beat is requested a cycle after the one before and after the write of the one that
        leaves it room in the FIFO. The memory takes the first as soon as it is there, and the
        others at its own pace: the FIFO is deep enough for requests to keep ahead of that.
        """
        writes, interval = self._writes, self._interval
        first = max(begun, writes[0]) + 1
        write = max(first + BUFFER_READ_LATENCY + 1, self._last_write + interval)
        # The last beat's room is left by the one that comes so many before it.
        behind = beats - WRITE_FIFO_DEPTH
        freed = writes[beats - 1] if behind <= 0 else write + (behind - 1) * interval
        self._last_request = max(first + beats - 1, freed + 1)
        self._last_write = last_write = write + (beats - 1) * interval
        writes.extend(range(write, last_write + 1, interval))


def _ready(time: int | None, rel: Relative) -> int | None:
    return None if time is None else rel(time)
