"""What commands wait for: those before them that use the same slots.

A command waits for the newest command of another engine that it may not overtake in a slot, unless
it knows that one to be done: from what it waits for already, or from what the commands before it in
its own queue have waited for.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from arch.commands import COUNT_BITS, Engine
from sim.analytical.machine.ring import Ring

_NUMBERS = range(max(Engine) + 1)
_COUNTS = 1 << COUNT_BITS
_HORIZON = _COUNTS // 4
"""No wait reaches further back, so that 16-bit counts compare rightly."""

Conflict = tuple[Engine, int]
"""A command by its engine and its number there, counted from 1; 0 for none."""


class Order:
    """Numbers commands by engine, and finds what each waits for."""

    def __init__(self) -> None:
        self._issued = [0 for _ in _NUMBERS]
        self._waits = [[0 for _ in _NUMBERS] for _ in _NUMBERS]
        self._known = [[0 for _ in _NUMBERS] for _ in _NUMBERS]
        # Of each command of each engine: what is known to be done once it is.
        self._after = [[[0 for _ in _NUMBERS]] for _ in _NUMBERS]

    def add(self, engine: Engine, conflicts: Iterable[Conflict]) -> tuple[int, tuple[int, ...]]:
        """The number of the next command of ``engine``, and its waits in the order of engines."""
        known, waits, after = self._known[engine], self._waits[engine], self._after
        number = self._issued[engine] = known[engine] = self._issued[engine] + 1
        for other, needed in conflicts:
            if needed > known[other]:
                waits[other] = needed
                for place, time in enumerate(after[other][needed]):
                    if time > known[place]:
                        known[place] = time
        waits[engine] = number - 1
        after[engine].append(known.copy())
        _, load, execute, post, store = waits
        if max(self._issued) < _HORIZON:
            return number, (load, execute, post, store)
        told = zip(waits[1:], self._issued[1:], strict=True)
        return number, tuple(max(wait, issued - _HORIZON) % _COUNTS for wait, issued in told)

    def state(self, rings: Sequence[Ring], over: Sequence[int]) -> tuple[object, ...]:
        """All that the times of later commands, which use ``rings``, depend on through waits;
        ``over``: how many commands of each engine were done before that could matter.

        Later commands compare what they know only with the commands that last used a slot, and only
        if those are not known to whoever is the next to use it, and not over: what these knew is
        over as well.
        """
        used = [list(self._unknown(ring, over)) for ring in rings]
        marks: list[list[int]] = [[] for _ in _NUMBERS]
        for engine, number in {each for slots in used for each in slots if each[1]}:
            marks[engine].append(number)
        for each in marks:
            each.sort()
        clocks = [*self._known, *(self._after[e][n] for e in Engine for n in marks[e])]
        return (
            tuple(
                number and self._issued[engine] - number + 1
                for slots in used
                for engine, number in slots
            ),
            tuple(
                bisect_right(numbers, time)
                for clock in clocks
                for numbers, time in zip(marks, clock, strict=True)
            ),
        )

    def _unknown(self, ring: Ring, over: Sequence[int]) -> Iterable[Conflict]:
        """The commands that last used the slots of ``ring``; 0 instead of one that is known."""
        filled = max(self._known[ring.reader][ring.filler], over[ring.filler - 1])
        read = max(self._known[ring.filler][ring.reader], over[ring.reader - 1])
        for number, reads in ring.used():
            yield ring.filler, number if number > filled else 0
            for each in reads:
                yield ring.reader, each if each > read else 0
