"""When everything happens: the exact cycle of each command and burst, from closed forms.

Cycle 0 is the first in which the machine is busy. Every engine's times are max-plus recurrences
(the docstrings of the components in ``hw/`` state them as laws). The one place where order in time
must be searched for is the read bus, which fetch and loads share: addresses are granted in the
order of time, and everything that a grant makes known is worked out before the next one is
granted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from arch.commands import COMMAND_BYTES, COUNT_BITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.errors import RunError
from arch.timing import FETCH_AHEAD
from sim.command.engines import (
    EngineTiming,
    ExecuteTiming,
    LoadTiming,
    PostTiming,
    ReadBus,
    Span,
    StoreTiming,
)

_HALF = 1 << COUNT_BITS - 1


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times of one run.

    ``spans`` holds, for every command in program order, its engine, the cycle in which the engine
    took it, and the cycle of its ``done``. ``counters`` are the machine's own, by name.
    """

    cycles: int
    spans: tuple[Span, ...]
    counters: dict[str, int]


class _Queue:
    """Commands dispatched to one engine and not yet taken by it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.commands: list[tuple[int, Command]] = []
        self.pushed: list[int] = []
        self.taken: list[int] = []

    def room_from(self) -> int | None:
        """First cycle with room for one more command; None while that is not known."""
        index = len(self.pushed) - self.depth
        if index < 0:
            return 0
        return self.taken[index] + 1 if index < len(self.taken) else None


class TimelineSimulator:
    """Works out the timeline of a command stream on ``config``."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._bus = ReadBus(config)
        self._queues = {engine: _Queue(config.command_queue_depth) for engine in Engine}
        self._done: dict[Engine, list[int]] = {engine: [] for engine in Engine}
        self._execute = ExecuteTiming(config)
        self._load = LoadTiming(config)
        self._engines: dict[Engine, EngineTiming] = {
            Engine.LOAD: self._load,
            Engine.EXECUTE: self._execute,
            Engine.POST: PostTiming(config),
            Engine.STORE: StoreTiming(config),
        }
        self._spans: dict[int, Span] = {}
        self._counters: Counter[str] = Counter()
        # Fetch: cycle of each command's last beat, and of its dispatch.
        self._arrived: list[int] = []
        self._dispatched: list[int] = []
        self._requested = -1

    def run(self, commands: Sequence[Command]) -> Timeline:
        """The timeline of ``commands``. Raises ``RunError`` if they wait forever."""
        total = len(commands)
        while len(self._spans) < total:
            progress = self._dispatch(commands) | self._take()
            if len(self._spans) == total:
                break
            progress |= self._grant(total, wait=progress)
            if not progress:
                raise RunError(
                    f"a command must wait only for commands before it: command "
                    f"{len(self._dispatched)} of {total} can never be dispatched"
                )
        ends = [times[-1] for times in self._done.values() if times]
        cycles = max(ends) + 2 if ends else 1
        return Timeline(
            cycles=cycles,
            spans=tuple(self._spans[index] for index in range(total)),
            counters=self._finish(cycles, total),
        )

    def _dispatch(self, commands: Sequence[Command]) -> bool:
        """Dispatch commands that have arrived, as far as queues are known to have room."""
        progress = False
        while len(self._dispatched) < len(self._arrived):
            index = len(self._dispatched)
            queue = self._queues[commands[index].engine]
            room = queue.room_from()
            if room is None:
                break
            previous = self._dispatched[-1] if index else -2
            time = max(self._arrived[index] + 2, previous + 2, room)
            self._dispatched.append(time)
            queue.pushed.append(time)
            queue.commands.append((index, commands[index]))
            progress = True
        return progress

    def _take(self) -> bool:
        """Let engines take commands whose waits are known to be met."""
        progress = False
        for engine, timing in self._engines.items():
            queue = self._queues[engine]
            while len(queue.taken) < len(queue.commands) and timing.ready is not None:
                number = len(queue.taken)
                index, command = queue.commands[number]
                waits = self._waits(engine, command)
                if waits is None:
                    break
                head = max(queue.pushed[number], queue.taken[-1] if number else -1) + 1
                if engine is Engine.EXECUTE:
                    self._execute.note_wait(head, waits)
                time = max(head, timing.ready, *waits.values())
                queue.taken.append(time)
                done = timing.take(time, command)
                if done is None:
                    self._load.owner = index
                else:
                    self._record(index, engine, time, done)
                progress = True
        return progress

    def _waits(self, engine: Engine, command: Command) -> dict[Engine, int] | None:
        """For each other engine, the cycle from which its count suffices; None if not known."""
        waits = {}
        for other in Engine:
            if other is engine:
                continue
            done = self._done[other]
            target = command[f"wait_{other.name.lower()}"]
            # The count nearest to what has been dispatched, from its 16 low bits.
            dispatched = len(self._queues[other].commands)
            behind = (dispatched - target) % (1 << COUNT_BITS)
            number = dispatched - behind if behind < _HALF else dispatched - behind + 2 * _HALF
            if number > len(done):
                return None
            waits[other] = done[number - 1] + 1 if number > 0 else 0
        return waits

    def _grant(self, total: int, *, wait: bool) -> bool:
        """Grant the earliest address on the read bus, unless more may become known first."""
        if wait:
            return False
        fetch, load = self._fetch_offer(total), self._load.offer
        if fetch is None and load is None:
            return False
        if fetch is not None and (load is None or fetch <= load):
            self._requested = fetch
            beats = COMMAND_BYTES // self._config.bus_bytes
            self._arrived.append(self._bus.read(fetch, beats))
            self._counters["memory_read_beats"] += beats
            # A load that wanted the same cycle comes one later.
            if load == fetch:
                self._load.postpone()
            return True
        time = self._load.accept(self._bus)
        if time is not None:
            taken = self._queues[Engine.LOAD].taken[-1]
            self._record(self._load.owner, Engine.LOAD, taken, time)
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

    def _record(self, index: int, engine: Engine, start: int, done: int) -> None:
        self._done[engine].append(done)
        self._spans[index] = Span(engine=engine, start=start, done=done)

    def _finish(self, cycles: int, total: int) -> dict[str, int]:
        for timing in self._engines.values():
            self._counters.update(timing.counters)
        self._counters.update(self._execute.stalls(cycles))
        self._counters["cycles"] = cycles
        self._counters["commands"] = total
        return {name: self._counters[name] for name in sorted(self._counters)}
