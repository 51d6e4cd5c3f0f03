"""When everything happens: the exact cycle of each command and burst, from closed forms.

Cycle 0 is the first in which the machine is busy. Every engine's times are max-plus recurrences
(the docstrings of the components in ``hw/`` state them as laws). The one place where order in time
must be searched for is the read bus, which fetch and loads share: addresses are granted in the
order of time, and everything that a grant makes known is worked out before the next one is
granted.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arch.commands import COMMAND_BYTES, COUNT_BITS, COUNTS, WAITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.counters import COUNTER_NAMES
from arch.errors import RunError
from arch.post_timing import drain_to_done
from arch.timing import FETCH_AHEAD
from sim.command.accesses import Accesses, sum_accesses
from sim.command.engines import (
    EngineTiming,
    ExecuteTiming,
    LoadTiming,
    PostTiming,
    ReadBus,
    Relative,
    StoreTiming,
)

_COUNTS = 1 << COUNT_BITS

Phase = Callable[[Command], object]
"""Says what the duration of a command depends on."""

_Waits = list[tuple["_Count", int]]
"""Counts, and what they must have reached."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times of one run.

    ``starts``, ``dones`` and ``accesses`` hold, for every command in program order, the cycle in
    which its engine took it, the cycle of its ``done``, and how often it touches each storage.
    ``counters`` are the machine's own, by name.
    """

    cycles: int
    starts: list[int]
    dones: list[int]
    accesses: list[Accesses]
    counters: dict[str, int]


@dataclass(eq=False, slots=True)
class _Count:
    """A count that a queue's commands wait for, number ``place`` of their waits: of the commands of
    ``queue``, each counted ``before`` its ``done`` by so many cycles."""

    place: int
    queue: "_Queue"
    before: int
    waited: int = 0
    """What the newest command waits for, at least."""


class _Queue:
    """Commands dispatched to one engine, and when it took them."""

    def __init__(self, engine: Engine, timing: EngineTiming, depth: int) -> None:
        self.engine = engine
        self.timing = timing
        self.depth = depth
        self.waiting: deque[tuple[int, Command, int, _Waits]] = deque()
        """Of each command: its number in the program, itself, when it came, what it waits for."""
        self.dispatched = 0
        self.taken: list[int] = []
        self.done: list[int] = []
        """Cycles in which its commands were done."""
        self.counts: list[_Count] = []
        """Of other engines, those of one side by side."""
        self.followers: list[_Queue] = []
        """Queues whose first command waits for this engine."""

    def meet(self, queues: Mapping[Engine, "_Queue"], before: Mapping[str, int]) -> None:
        """Learn of the other engines; ``before``: how long before ``done`` some counts rise."""
        for place, wait in enumerate(WAITS[self.engine]):
            name = wait.removeprefix("wait_")
            if COUNTS[name] is not self.engine:
                self.counts.append(_Count(place, queues[COUNTS[name]], before.get(name, 0)))
        self.counts.sort(key=lambda count: count.queue.engine)

    def push(self, index: int, command: Command, time: int) -> None:
        """Queue ``command``, number ``index`` of the program, in cycle ``time``.

        What it waits for are 16-bit counts, nearest to what has been dispatched. What a command
        before it in the queue waits for as well is met before its turn.
        """
        waits: _Waits = []
        asked = command.waits
        for count in self.counts:
            dispatched = count.queue.dispatched
            behind = (dispatched - asked[count.place]) % _COUNTS
            number = dispatched - behind
            if behind >= _COUNTS // 2:
                number += _COUNTS
            if number > count.waited:
                count.waited = number
                waits.append((count, number))
        self.waiting.append((index, command, time, waits))
        self.dispatched += 1

    def met(self, waits: _Waits) -> list[tuple[int, int]] | None:
        """Engines, and the first cycle after they have done what ``waits`` says; None while one is
        not known: then this queue follows that engine."""
        found = []
        for count, number in waits:
            other = count.queue
            if number > len(other.done):
                if self not in other.followers:
                    other.followers.append(self)
                return None
            found.append((int(other.engine), other.done[number - 1] + 1 - count.before))
        return found

    @property
    def earliest(self) -> int:
        """No command is taken before the cycle after this one."""
        pushed = self.waiting[0][2]
        return max(pushed, self.taken[-1]) if self.taken else pushed

    def over(self, floor: int) -> int:
        """How many commands were done before cycle ``floor``."""
        return bisect_left(self.done, floor)

    def state(self, rel: Relative, floor: int, phase: Phase) -> tuple[object, ...]:
        """All that its times to come depend on, but what newer commands wait for; what was done
        before cycle ``floor`` matters no more."""
        waiting = (
            (
                phase(command),
                rel(pushed),
                *(
                    (count.place, count.queue.dispatched - number)
                    for count, number in waits
                    if number > count.queue.over(floor)
                ),
            )
            for _, command, pushed, waits in self.waiting
        )
        return (
            self.timing.state(rel),
            tuple(waiting),
            tuple(rel(taken) for taken in self.taken[-self.depth :] if taken >= floor),
            self.dispatched - len(self.done),
            tuple(map(rel, self.done[self.over(floor) :])),
        )


class TimelineSimulator:
    """Works out the timeline of a command stream on ``config``."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._bus = ReadBus(config)
        self._fetch_beats = COMMAND_BYTES // config.bus_bytes
        self._load = LoadTiming(config)
        self._execute = ExecuteTiming(config)
        timings: dict[Engine, EngineTiming] = {
            Engine.LOAD: self._load,
            Engine.EXECUTE: self._execute,
            Engine.POST: PostTiming(config),
            Engine.STORE: StoreTiming(config),
        }
        depth = config.command_queue_depth
        self._queues = {engine: _Queue(engine, timings[engine], depth) for engine in Engine}
        before = {"drain": drain_to_done(config)}
        for queue in self._queues.values():
            queue.meet(self._queues, before)
        # Queues whose first command may have become free to go.
        self._stirred: list[_Queue] = []
        self._loading = -1
        # Fetch: cycle of each command's last beat, and of its dispatch.
        self._arrived: list[int] = []
        self._dispatched: list[int] = []
        self._requested = -1

    def run(self, commands: Sequence[Command]) -> Timeline:
        """The timeline of ``commands``. Raises ``RunError`` if they wait forever."""
        total = len(commands)
        self._starts, self._dones = [0] * total, [0] * total
        self._accesses: list[Accesses] = [{}] * total
        self._work_out(commands)
        while self._grant(total):
            self._work_out(commands)
        queues = self._queues.values()
        if sum(len(queue.done) for queue in queues) < total:
            raise RunError(
                f"a command must wait only for commands before it: command "
                f"{len(self._dispatched)} of {total} can never be dispatched"
            )
        cycles = self._cycles()
        return Timeline(
            cycles=cycles,
            starts=self._starts,
            dones=self._dones,
            accesses=self._accesses,
            counters=self._counters(cycles, total),
        )

    def _cycles(self) -> int:
        """Cycles that the run takes, once all is known."""
        ends = [queue.done[-1] for queue in self._queues.values() if queue.done]
        return max(end + 2 for end in (*ends, self._execute.settled))

    def _work_out(self, commands: Sequence[Command]) -> None:
        """All that can be known without another grant."""
        progress = True
        while progress:
            while self._stirred:
                self._take(self._stirred.pop())
            progress = len(self._dispatched) < len(self._arrived) and self._dispatch(commands)

    def _dispatch(self, commands: Sequence[Command]) -> bool:
        """Dispatch the next command, which has arrived; False if its queue is not known to have
        room."""
        index = len(self._dispatched)
        command = commands[index]
        queue = self._queues[command.pattern.engine]
        time = self._arrived[index] + 2
        if index and time < self._dispatched[-1] + 2:
            time = self._dispatched[-1] + 2
        leaving = queue.dispatched - queue.depth
        if leaving >= 0:
            if leaving >= len(queue.taken):
                return False
            if time <= queue.taken[leaving]:
                time = queue.taken[leaving] + 1
        self._dispatched.append(time)
        if not queue.waiting:
            self._stirred.append(queue)
        queue.push(index, command, time)
        return True

    def _take(self, queue: _Queue) -> None:
        """Let an engine take commands whose waits are known to be met."""
        waiting, taken, timing = queue.waiting, queue.taken, queue.timing
        while waiting and timing.ready is not None:
            index, command, pushed, waits = waiting[0]
            time = pushed + 1
            if taken and taken[-1] >= time:
                time = taken[-1] + 1
            if waits:
                met = queue.met(waits)
                if met is None:
                    return
                if timing is self._execute:
                    self._execute.note_wait(time, met)
                for _, cycle in met:
                    if cycle > time:
                        time = cycle
            if time < timing.ready:
                time = timing.ready
            waiting.popleft()
            taken.append(time)
            self._starts[index] = time
            done, self._accesses[index] = timing.take(time, command)
            if done is None:
                self._loading = index
            else:
                self._end(queue, index, done)

    def _end(self, queue: _Queue, index: int, done: int) -> None:
        queue.done.append(done)
        self._dones[index] = done
        if queue.followers:
            self._stirred += queue.followers
            queue.followers.clear()

    def _grant(self, total: int) -> bool:
        """Grant the earliest addresses on the read bus, if there are any, until something more may
        be known; all else that can be known is known."""
        fetch, load = self._fetch_offer(total), self._load.offer
        if fetch is None and load is None:
            return False
        if load is not None and (fetch is None or load < fetch):
            # Until its command is done, a load makes nothing known.
            return self._grant_load(fetch) or self._grant(total)
        arrived, first = self._arrived, len(self._arrived)
        # What fetched commands ask for comes later than they do.
        while fetch is not None and (len(arrived) == first or fetch < arrived[first]):
            load = self._load.offer
            if load is not None and load < fetch:
                break
            self._grant_fetch(fetch)
            fetch = self._fetch_offer(total)
        return True

    def _grant_load(self, stop: int | None) -> bool:
        """Grant the load engine's addresses before cycle ``stop``; whether a command ended."""
        done = self._load.accept(self._bus, stop)
        if done is not None:
            queue = self._queues[Engine.LOAD]
            self._end(queue, self._loading, done)
            self._stirred.append(queue)
        return done is not None

    def _grant_fetch(self, offer: int) -> None:
        """Grant the address of the next command, offered in cycle ``offer``."""
        self._requested = offer
        self._arrived.append(self._bus.read(offer, self._fetch_beats))
        # A load that wanted the same cycle comes one later.
        if self._load.offer == offer:
            self._load.postpone()

    def _fetch_offer(self, total: int) -> int | None:
        """Cycle in which the next command's address is offered; None if not known or at the end."""
        index = len(self._arrived)
        slot = index - FETCH_AHEAD
        if index == total or slot >= len(self._dispatched):
            return None
        if slot >= 0 and self._dispatched[slot] > self._requested:
            return self._dispatched[slot] + 1
        return self._requested + 1

    def _counters(self, cycles: int, total: int) -> dict[str, int]:
        found = sum_accesses(self._accesses)
        found["memory_read_beats"] += total * self._fetch_beats
        found.update(self._execute.stalls(cycles, found["array_busy"]))
        found["cycles"] = cycles
        found["commands"] = total
        return {name: found[name] for name in COUNTER_NAMES}
