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

_WAIT_FIELDS = {
    engine: [(other, f"wait_{other.name.lower()}") for other in Engine if other is not engine]
    for engine in Engine
}
"""For each engine, the others and the fields of their counts."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times of one run.

    ``spans`` holds, for every command in program order, its engine, the cycle in which the engine
    took it, and the cycle of its ``done``. ``counters`` are the machine's own, by name.
    """

    cycles: int
    spans: tuple[Span, ...]
    counters: dict[str, int]


@dataclass(slots=True)
class _Waiting:
    """A dispatched command: its number in the program, when it came, and what it waits for."""

    index: int
    command: Command
    pushed: int
    waits: list[tuple[Engine, int]]
    """Engines, and how many commands each must have completed."""


class _Queue:
    """Commands dispatched to one engine, and when it took them."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.commands: list[_Waiting] = []
        self.taken: list[int] = []

    def room_from(self) -> int | None:
        """First cycle with room for one more command; None while that is not known."""
        index = len(self.commands) - self.depth
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
            if self._dispatch(commands) | self._take() or len(self._spans) == total:
                continue
            if not self._grant(total):
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
            command = commands[index]
            queue = self._queues[command.engine]
            room = queue.room_from()
            if room is None:
                break
            previous = self._dispatched[-1] if index else -2
            time = max(self._arrived[index] + 2, previous + 2, room)
            self._dispatched.append(time)
            queue.commands.append(_Waiting(index, command, time, self._waits(command)))
            progress = True
        return progress

    def _waits(self, command: Command) -> list[tuple[Engine, int]]:
        """What ``command`` waits for: 16-bit counts, nearest to what has been dispatched."""
        waits = []
        for other, field in _WAIT_FIELDS[command.engine]:
            dispatched = len(self._queues[other].commands)
            behind = (dispatched - command.values[field]) % (2 * _HALF)
            number = dispatched - behind if behind < _HALF else dispatched - behind + 2 * _HALF
            waits.append((other, number))
        return waits

    def _take(self) -> bool:
        """Let engines take commands whose waits are known to be met."""
        progress = False
        for engine, timing in self._engines.items():
            queue = self._queues[engine]
            while timing.ready is not None and len(queue.taken) < len(queue.commands):
                number = len(queue.taken)
                waiting = queue.commands[number]
                if any(count > len(self._done[other]) for other, count in waiting.waits):
                    break
                met = [
                    (other, self._done[other][count - 1] + 1 if count > 0 else 0)
                    for other, count in waiting.waits
                ]
                head = max(waiting.pushed, queue.taken[-1] if number else -1) + 1
                if engine is Engine.EXECUTE:
                    self._execute.note_wait(head, met)
                time = max(head, timing.ready, *(cycle for _, cycle in met))
                queue.taken.append(time)
                done = timing.take(time, waiting.command)
                if done is None:
                    self._load.owner = waiting.index
                else:
                    self._record(waiting.index, engine, time, done)
                progress = True
        return progress

    def _grant(self, total: int) -> bool:
        """Grant the earliest address on the read bus; all else that can be known is known."""
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
