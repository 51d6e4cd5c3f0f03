"""When everything happens: the exact cycle of each command and burst, from closed forms.

Cycle 0 is the first in which the machine is busy. Every engine's times are max-plus recurrences
(the docstrings of the components in ``hw/`` state them as laws). The one place where order in time
must be searched for is the read bus, which fetch and loads share: addresses are granted in the
order of time, and everything that a grant makes known is worked out before the next one is
granted.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from arch.commands import COMMAND_BYTES, COUNT_BITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import RunError
from arch.timing import FETCH_AHEAD
from sim.command.accesses import Accesses, sum_accesses
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

_Waits = list[tuple[int, int]]
"""Engines, and how many commands each must have completed."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times of one run.

    ``spans`` and ``accesses`` hold, for every command in program order, its engine, the cycle in
    which the engine took it and the cycle of its ``done``, and how often it touches each storage.
    ``counters`` are the machine's own, by name.
    """

    cycles: int
    spans: list[Span]
    accesses: list[Accesses]
    counters: dict[str, int]


class _Queue:
    """Commands dispatched to one engine, and when it took them."""

    def __init__(self, engine: Engine, timing: EngineTiming, depth: int) -> None:
        self.engine = engine
        self.timing = timing
        self.others = [int(other) for other in Engine if other is not engine]
        self.waiting: deque[tuple[int, Command, int, _Waits]] = deque()
        """Of each command: its number in the program, itself, when it came, what it waits for."""
        self.dispatched = 0
        self.taken: list[int] = []
        self.done: list[int] = []
        """Cycles in which its commands were done."""
        self.waited = [0] * (max(Engine) + 1)
        """How many commands of each engine the newest command waits for, at least."""
        self.followers: list[_Queue] = []
        """Queues whose first command waits for this engine."""
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
        depth = config.command_queue_depth
        self._loads = _Queue(Engine.LOAD, self._load, depth)
        self._queues = {
            int(queue.engine): queue
            for queue in (
                self._loads,
                _Queue(Engine.EXECUTE, self._execute, depth),
                _Queue(Engine.POST, PostTiming(config), depth),
                _Queue(Engine.STORE, StoreTiming(config), depth),
            )
        }
        # Queues whose first command may have become free to go.
        self._stirred: list[_Queue] = []
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
            self._take()
            while self._dispatch(commands):
                self._take()
            if self._ended < total and not self._grant(total):
                raise RunError(
                    f"a command must wait only for commands before it: command "
                    f"{len(self._dispatched)} of {total} can never be dispatched"
                )
        cycles = max(
            (queue.done[-1] + 2 for queue in self._queues.values() if queue.done), default=1
        )
        return Timeline(
            cycles=cycles,
            spans=self._spans,
            accesses=self._accesses,
            counters=self._counters(cycles, total),
        )

    def _dispatch(self, commands: Sequence[Command]) -> bool:
        """Dispatch commands that have arrived, as far as queues are known to have room; whether
        there is one."""
        dispatched, arrived = self._dispatched, self._arrived
        first = index = len(dispatched)
        while index < len(arrived):
            command = commands[index]
            queue = self._queues[command.pattern.engine]
            room = queue.room_from()
            if room is None:
                break
            time = max(arrived[index] + 2, room)
            if index:
                time = max(time, dispatched[-1] + 2)
            dispatched.append(time)
            if not queue.waiting:
                self._stirred.append(queue)
            queue.waiting.append((index, command, time, self._waits(queue, command)))
            queue.dispatched += 1
            index += 1
        return index > first

    def _waits(self, queue: _Queue, command: Command) -> _Waits:
        """What ``command`` waits for: 16-bit counts, nearest to what has been dispatched.

        What a command before it in the queue waits for as well is met before its turn.
        """
        waits = []
        counts, waited = command.waits, queue.waited
        for other in queue.others:
            dispatched = self._queues[other].dispatched
            behind = (dispatched - counts[other - 1]) % _COUNTS
            number = dispatched - behind if behind < _COUNTS // 2 else dispatched - behind + _COUNTS
            if number > waited[other]:
                waited[other] = number
                waits.append((other, number))
        return waits

    def _take(self) -> None:
        """Let engines take commands whose waits are known to be met."""
        stirred = self._stirred
        while stirred:
            queue = stirred.pop()
            while queue.waiting and queue.timing.ready is not None and self._take_first(queue):
                pass

    def _take_first(self, queue: _Queue) -> bool:
        """Let an engine take its queue's first command, if its waits are known to be met."""
        index, command, pushed, waits = queue.waiting[0]
        timing, taken = queue.timing, queue.taken
        head = max(pushed, taken[-1]) + 1 if taken else pushed + 1
        time = max(head, timing.ready or 0)
        if waits:
            met = []
            for other, count in waits:
                done = self._queues[other].done
                if count > len(done):
                    if queue not in self._queues[other].followers:
                        self._queues[other].followers.append(queue)
                    return False
                met.append((other, done[count - 1] + 1))
            if timing is self._execute:
                self._execute.note_wait(head, met)
            time = max(time, *[cycle for _, cycle in met])
        queue.waiting.popleft()
        taken.append(time)
        done_in, self._accesses[index] = timing.take(time, command)
        if done_in is None:
            self._loading = index
        else:
            self._end(queue, index, time, done_in)
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
            self._end(self._loads, self._loading, self._loads.taken[-1], done)
            self._stirred.append(self._loads)
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

    def _end(self, queue: _Queue, index: int, start: int, done: int) -> None:
        queue.done.append(done)
        if queue.followers:
            self._stirred += queue.followers
            queue.followers.clear()
        self._spans[index] = Span(queue.engine, start, done)
        self._ended += 1

    def _counters(self, cycles: int, total: int) -> dict[str, int]:
        found = sum_accesses(self._accesses)
        found["memory_read_beats"] += total * self._fetch_beats
        found.update(self._execute.stalls(cycles, found["array_busy"]))
        found["cycles"] = cycles
        found["commands"] = total
        return {name: found[name] for name in COUNTER_NAMES}
