"""The time of a layer: its steps one by one until they repeat, and then by multiplication.

Before a step, all that lies ahead depends on the kinds of the steps to come, on which commands last
used each slot, and on the engines' and queues' times as distances from now. If all of this is as it
was some steps before, the same time passes again with the same stalls, for as often as the kinds
repeat.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from arch.timing import FETCH_AHEAD
from sim.analytical.machine.place import Addresses
from sim.analytical.machine.steps import Steps
from sim.analytical.machine.stream import Stream
from sim.analytical.machine.tiling import Tiling
from sim.command.stepwise import StepwiseTimeline


def time_counters(tiling: Tiling, addresses: Addresses, total: int, busy: int) -> Counter[str]:
    """Cycles and stalls of a layer of ``total`` commands whose array is ``busy`` so many cycles."""
    walk = Walk(tiling, addresses, total)
    walk.run()
    return walk.result(busy)


class _Mark(NamedTuple):
    """How far a walk has come."""

    place: int
    """Steps."""
    commands: int
    times: Counter[str]


class Walk:
    """Goes through the steps of a layer of ``total`` commands."""

    def __init__(self, tiling: Tiling, addresses: Addresses, total: int) -> None:
        steps = Steps(tiling, addresses)
        self._stream = Stream(tiling, steps)
        self._timeline = StepwiseTimeline(tiling.config, total)
        self._steps = steps.all
        self._kinds = steps.kinds()
        self._place = 0
        self._sketches: dict[int, tuple[int, ...]] = {}
        """Of each kind the last one."""
        # What was left out.
        self._skipped_commands = 0
        self._skipped: Counter[str] = Counter()

    @property
    def commands(self) -> int:
        """Commands that have been timed one by one."""
        return self._timeline.given

    def run(self) -> None:
        """All steps."""
        seen: dict[tuple[object, ...], _Mark] = {}
        self._timeline.give(self._stream.start())
        worth = _returning(self._kinds)
        while self._place < len(self._kinds):
            if worth[self._place] and self._looks_known():
                over, times = self._timeline.state()
                state = self._kinds[self._place], times, self._stream.state(over)
                former, seen[state] = seen.get(state), self._mark()
                if former is not None and self._skip(former, seen[state]):
                    continue
            step = self._steps[self._place]
            self._timeline.give(list(self._stream.step(step)))
            self._place += 1

    def _looks_known(self) -> bool:
        """Whether the state may be one that has been before; a whole state takes as long to find as
        a step to walk."""
        kind, sketch = self._kinds[self._place], self._timeline.sketch()
        former = self._sketches.get(kind)
        self._sketches[kind] = sketch
        return former == sketch

    def _mark(self) -> _Mark:
        times = self._timeline.progress() + self._skipped
        return _Mark(self._place, self._timeline.given + self._skipped_commands, times)

    def _skip(self, former: _Mark, now: _Mark) -> bool:
        """Leave out what repeats the steps between two marks of equal state, if anything does."""
        timeline, period = self._timeline, now.place - former.place
        commands = now.commands - former.commands
        # Where the end comes in sight, fewer commands are fetched ahead.
        most = (timeline.total - timeline.given - FETCH_AHEAD) // commands
        periods = min(_repeats(self._kinds, former.place, period), most)
        if periods < 1:
            return False
        for name, time in now.times.items():
            self._skipped[name] += (time - former.times[name]) * periods
        self._skipped_commands += commands * periods
        timeline.total -= commands * periods
        self._stream.skip(self._steps[now.place : now.place + periods * period])
        self._place += periods * period
        return True

    def result(self, busy: int) -> Counter[str]:
        """Cycles and stalls, with the array ``busy`` for so many cycles."""
        found = self._timeline.end() + self._skipped
        held = found.pop("held", 0)
        waited = sum(time for name, time in found.items() if name != "cycles")
        found["stall_weights"] = held - busy
        found["stall_idle"] = found["cycles"] - held - waited
        return found


def _repeats(kinds: Sequence[int], start: int, period: int) -> int:
    """How often the ``period`` steps from ``start`` on are repeated right after."""
    place = start + period
    while place < len(kinds) and kinds[place] == kinds[place - period]:
        place += 1
    return (place - start) // period - 1


def _returning(kinds: Sequence[int]) -> list[bool]:
    """Whether each step may begin or end a period: it comes with the same steps before or after it
    that come with the next or the last one of its kind."""
    found, last = [False] * len(kinds), dict[int, int]()
    for place, kind in enumerate(kinds):
        before = last.get(kind)
        last[kind] = place
        if before is not None:
            period = place - before
            if kinds[before:place] == kinds[place : place + period]:
                found[before] = found[place] = True
    return found
