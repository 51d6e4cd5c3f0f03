"""When everything happens: the exact cycle of each command and burst, from closed forms.

Cycle 0 is the first in which the machine is busy. Every engine's times are max-plus recurrences
(the docstrings of the components in ``hw/`` state them as laws). The one place where order in time
must be searched for is the read bus, which fetch and loads share: addresses are granted in the
order of time, and everything that a grant makes known is worked out before the next one is
granted.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arch.commands import COMMAND_BYTES, COUNT_BITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import RunError
from arch.timing import FETCH_AHEAD
from sim.command.accesses import Accesses
from sim.command.engines import (
    EngineTiming,
    ExecuteTiming,
    LoadTiming,
    PostTiming,
    ReadBus,
    Span,
    StoreTiming,
)

_COUNTS = 1 << COUNT_BITS

_WAIT_FIELDS = {
    engine: [(other, f"wait_{other.name.lower()}") for other in Engine if other is not engine]
    for engine in Engine
}
"""For each engine, the others and the fields of their counts."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times of one run.

    ``spans`` and ``accesses`` hold, for every command in program order, its engine, the cycle in
    which the engine took it and the cycle of its ``done``, and how often it touches each storage.
    ``counters`` are the machine's own, by name.
    """

    cycles: int
    spans: tuple[Span, ...]
    accesses: tuple[Accesses, ...]
    counters: dict[str, int]


class _Waiting(NamedTuple):
    """A dispatched command: its number in the program, when it came, and what it waits for."""

    number: int
    command: Command
    pushed: int
    waits: list[tuple[Engine, int]]
    """Engines, and how many commands each must have completed."""


class _Queue:
    """Commands dispatched to one engine, and when it took them."""

    def __init__(self, engine: Engine, timing: EngineTiming, depth: int) -> None:
        self.engine = engine
        self.timing = timing
        self.waiting: deque[_Waiting] = deque()
        self.dispatched = 0
        self.taken: list[int] = []
        self.waited = [0] * (max(Engine) + 1)
        """How many commands of each engine the newest command waits for, at least."""
        self._depth = depth

    def room_from(self) -> int | None:
        """First cycle with room for one more command; None while that is not known."""
        index = self.dispatched - self._depth
        if index < 0:
            return 0
        return self.taken[index] + 1 if index < len(self.taken) else None


class TimelineSimulator:
    """Works out the timeline of a command stream on ``config``."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._bus = ReadBus(config)
        self._fetch_beats = COMMAND_BYTES // config.bus_bytes
        self._load = LoadTiming(config)
        self._execute = ExecuteTiming(config)
        engines: dict[Engine, EngineTiming] = {
            Engine.LOAD: self._load,
            Engine.EXECUTE: self._execute,
            Engine.POST: PostTiming(config),
            Engine.STORE: StoreTiming(config),
        }
        depth = config.command_queue_depth
        self._queues = {engine: _Queue(engine, engines[engine], depth) for engine in Engine}
        # By engine: cycles in which its commands were done.
        self._done: list[list[int]] = [[] for _ in range(max(Engine) + 1)]
        # Queues whose first command may have become free to go; by engine, those that wait for it.
        self._stirred: deque[_Queue] = deque()
        self._waiting: list[list[_Queue]] = [[] for _ in self._done]
        self._loading = -1
        self._ended = 0
        # Fetch: cycle of each command's last beat, and of its dispatch.
        self._arrived: list[int] = []
        self._dispatched: list[int] = []
        self._requested = -1

    def run(self, commands: Sequence[Command]) -> Timeline:
        """The timeline of ``commands``. Raises ``RunError`` if they wait forever."""
        total = len(commands)
        self._spans = [Span(engine=Engine.LOAD, start=0, done=0)] * total
        self._accesses: list[Accesses] = [{}] * total
        while self._ended < total:
            while self._dispatch(commands) | self._take():
                pass
            if self._ended < total and not self._grant(total):
                raise RunError(
                    f"a command must wait only for commands before it: command "
                    f"{len(self._dispatched)} of {total} can never be dispatched"
                )
        ends = [times[-1] for times in self._done if times]
        cycles = max(ends) + 2 if ends else 1
        return Timeline(
            cycles=cycles,
            spans=tuple(self._spans),
            accesses=tuple(self._accesses),
            counters=self._counters(cycles, total),
        )

    def _dispatch(self, commands: Sequence[Command]) -> bool:
        """Dispatch commands that have arrived, as far as queues are known to have room."""
        progress = False
        dispatched = self._dispatched
        while (index := len(dispatched)) < len(self._arrived):
            command = commands[index]
            queue = self._queues[command.engine]
            room = queue.room_from()
            if room is None:
                break
            previous = dispatched[-1] if index else -2
            time = max(self._arrived[index] + 2, previous + 2, room)
            dispatched.append(time)
            if not queue.waiting:
                self._stirred.append(queue)
            queue.waiting.append(_Waiting(index, command, time, self._waits(queue, command)))
            queue.dispatched += 1
            progress = True
        return progress

    def _waits(self, queue: _Queue, command: Command) -> list[tuple[Engine, int]]:
        """What ``command`` waits for: 16-bit counts, nearest to what has been dispatched.

        What a command before it in the queue waits for as well is met before its turn.
        """
        waits = []
        for other, field in _WAIT_FIELDS[queue.engine]:
            dispatched = self._queues[other].dispatched
            behind = (dispatched - command.values[field]) % _COUNTS
            number = dispatched - behind if behind < _COUNTS // 2 else dispatched - behind + _COUNTS
            if number > queue.waited[other]:
                queue.waited[other] = number
                waits.append((other, number))
        return waits

    def _take(self) -> bool:
        """Let engines take commands whose waits are known to be met."""
        progress = False
        while self._stirred:
            queue = self._stirred.popleft()
            while queue.waiting and queue.timing.ready is not None and self._take_first(queue):
                progress = True
        return progress

    def _take_first(self, queue: _Queue) -> bool:
        """Let an engine take its queue's first command, if its waits are known to be met."""
        index, command, pushed, waits = queue.waiting[0]
        met = []
        for other, count in waits:
            if count > len(self._done[other]):
                if queue not in self._waiting[other]:
                    self._waiting[other].append(queue)
                return False
            met.append((other, self._done[other][count - 1] + 1))
        head = max(pushed, queue.taken[-1] if queue.taken else -1) + 1
        if queue.engine is Engine.EXECUTE:
            self._execute.note_wait(head, met)
        time = max(head, queue.timing.ready or 0, *(cycle for _, cycle in met))
        queue.waiting.popleft()
        queue.taken.append(time)
        done, self._accesses[index] = queue.timing.take(time, command)
        if done is None:
            self._loading = index
        else:
            self._end(index, Span(engine=queue.engine, start=time, done=done))
        return True

    def _grant(self, total: int) -> bool:
        """Grant the earliest address on the read bus; all else that can be known is known."""
        fetch, load = self._fetch_offer(total), self._load.offer
        if fetch is not None and (load is None or fetch <= load):
            self._requested = fetch
            self._arrived.append(self._bus.read(fetch, self._fetch_beats))
            # A load that wanted the same cycle comes one later.
            if load == fetch:
                self._load.postpone()
            return True
        if load is None:
            return False
        # Until its command is done, a load makes nothing known.
        done = self._load.accept(self._bus, stop=fetch)
        if done is not None:
            taken = self._queues[Engine.LOAD].taken[-1]
            self._end(self._loading, Span(engine=Engine.LOAD, start=taken, done=done))
            self._stirred.append(self._queues[Engine.LOAD])
        return True

    def _fetch_offer(self, total: int) -> int | None:
        """Cycle in which the next command's address is offered; None if not known or at the end."""
        index = len(self._arrived)
        if index == total:
            return None
        slot = index - FETCH_AHEAD
        if slot >= len(self._dispatched):
            return None
        freed = self._dispatched[slot] if slot >= 0 else -1
        return max(self._requested, freed) + 1

    def _end(self, index: int, span: Span) -> None:
        self._done[span.engine].append(span.done)
        self._stirred.extend(self._waiting[span.engine])
        self._waiting[span.engine].clear()
        self._spans[index] = span
        self._ended += 1

    def _counters(self, cycles: int, total: int) -> dict[str, int]:
        found = sum_accesses(self._accesses)
        found["memory_read_beats"] += total * self._fetch_beats
        found.update(self._execute.stalls(cycles, found["array_busy"]))
        found["cycles"] = cycles
        found["commands"] = total
        return {name: found[name] for name in COUNTER_NAMES}


def sum_accesses(accesses: Iterable[Accesses]) -> Counter[str]:
    """Counts of several commands together."""
    total: Counter[str] = Counter()
    for each in accesses:
        for name, count in each.items():
            total[name] += count
    return total
