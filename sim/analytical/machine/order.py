"""What commands wait for: those before them that use the same slots.

A command waits for the newest command of another engine that it may not overtake in a slot, unless
it knows that one to be done: from what it waits for already, or from what the commands before it in
its own queue have waited for.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from arch.commands import COUNT_BITS, COUNTS, WAITS, Engine
from sim.analytical.machine.ring import Ring

_PLACE = {name: place for place, name in enumerate(COUNTS, 1)}
"""Where a clock has a count: that of an engine's commands under the engine's number."""
DRAIN = _PLACE["drain"]
"""Where it has the post commands that read nothing more of the accumulators."""
_PLACES = range(max(_PLACE.values()) + 1)
_ENGINES = range(max(Engine) + 1)
_OWN = {
    engine: [place for name, place in _PLACE.items() if COUNTS[name] is engine] for engine in Engine
}
_ASKED = {
    engine: [_PLACE[wait.removeprefix("wait_")] for wait in waits]
    for engine, waits in WAITS.items()
}
"""What an engine's commands wait for, in the order of their waits."""
_COUNTS = 1 << COUNT_BITS
_HORIZON = _COUNTS // 4
"""No wait reaches further back, so that 16-bit counts compare rightly."""

Conflict = tuple[int, int]
"""A count, and the number of a command that it must have reached, from 1; 0 for none."""


class Order:
    """Numbers commands by engine, and finds what each waits for."""

    def __init__(self) -> None:
        self._issued = [0 for _ in _PLACES]
        self._waits = [[0 for _ in _PLACES] for _ in _ENGINES]
        self._known = [[0 for _ in _PLACES] for _ in _ENGINES]
        # Of each command of each count: what is known to be done once it is counted.
        self._after = [[[0 for _ in _PLACES]] for _ in _PLACES]

    def add(self, engine: Engine, conflicts: Iterable[Conflict]) -> tuple[int, tuple[int, ...]]:
        """The number of the next command of ``engine``, and its waits."""
        known, waits, after = self._known[engine], self._waits[engine], self._after
        number = self._issued[engine] + 1
        for place in _OWN[engine]:
            self._issued[place] = known[place] = number
        for other, needed in conflicts:
            if needed > known[other]:
                waits[other] = needed
                for place, time in enumerate(after[other][needed]):
                    if time > known[place]:
                        known[place] = time
        waits[engine] = number - 1
        after[engine].append(known.copy())
        if engine is Engine.POST:
            # It reads from when the one before it is done.
            after[DRAIN].append(known.copy())
            after[DRAIN][-1][engine] = number - 1
        asked = _ASKED[engine]
        if max(self._issued) < _HORIZON:
            return number, tuple([waits[place] for place in asked])
        oldest = [issued - _HORIZON for issued in self._issued]
        return number, tuple([max(waits[place], oldest[place]) % _COUNTS for place in asked])

    def state(self, rings: Sequence[Ring], over: Sequence[int]) -> tuple[object, ...]:
        """All that the times of later commands, which use ``rings``, depend on through waits;
        ``over``: how many commands of each engine were done before that could matter.

        Later commands compare what they know only with the commands that last used a slot, and only
        if those are not known to whoever is the next to use it, and not over: what these knew is
        over as well.
        """
        used = [list(self._unknown(ring, over)) for ring in rings]
        marks: list[list[int]] = [[] for _ in _PLACES]
        for place, number in {each for slots in used for each in slots if each[1]}:
            marks[place].append(number)
        for each in marks:
            each.sort()
        counted = (self._after[place][number] for place in _PLACES for number in marks[place])
        return (
            tuple(
                number and self._issued[place] - number + 1
                for slots in used
                for place, number in slots
            ),
            tuple(
                bisect_right(numbers, time)
                for clock in (*self._known, *counted)
                for numbers, time in zip(marks, clock, strict=True)
            ),
        )

    def _unknown(self, ring: Ring, over: Sequence[int]) -> Iterable[Conflict]:
        """The commands that last used the slots of ``ring``; 0 instead of one that is known."""
        read_place = DRAIN if ring.drained else ring.reader
        filled = max(self._known[ring.reader][ring.filler], over[ring.filler - 1])
        read = max(self._known[ring.filler][read_place], over[ring.reader - 1])
        for number, reads in ring.used():
            yield ring.filler, number if number > filled else 0
            for each in reads:
                yield read_place, each if each > read else 0
