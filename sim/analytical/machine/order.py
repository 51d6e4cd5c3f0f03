"""What commands wait for: those before them that use the same slots.

A command waits for the newest command of another engine that it may not overtake in a slot, unless
it knows that one to be done: from what it waits for already, or from what the commands before it in
its own queue have waited for.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from arch.commands import COUNT_BITS, COUNTS, WAITS, Engine

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
Use = tuple[Engine, int, int]
"""An engine, and a conflict that its commands to come may have."""
Done = Sequence[Sequence[int]]
"""For each engine and count, the number up to which its commands to come wait for none."""


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

    def done(self, over: Sequence[int]) -> Done:
        """What each engine knows to be done, or what is ``over``: so many commands of each engine
        were done before that could matter."""
        counts = [over[(Engine.POST if place == DRAIN else place) - 1] for place in _PLACES[1:]]
        return [[0, *map(max, known[1:], counts)] for known in self._known]

    def state(self, uses: Iterable[Use], done: Done) -> tuple[object, ...]:
        """All that the times of later commands depend on through waits, which may be those of
        ``uses``.

        Later commands compare what they know only with the commands that last used a slot, and only
        if those are not known to whoever is the next to use it, and not over: what these knew is
        over as well.
        """
        used = [
            (place, number if number > done[engine][place] else 0) for engine, place, number in uses
        ]
        marks: list[list[int]] = [[] for _ in _PLACES]
        for place, number in {each for each in used if each[1]}:
            marks[place].append(number)
        for each in marks:
            each.sort()
        counted = (self._after[place][number] for place in _PLACES for number in marks[place])
        return (
            tuple(number and self._issued[place] - number + 1 for place, number in used),
            tuple(
                bisect_right(numbers, time)
                for clock in (*self._known, *counted)
                for numbers, time in zip(marks, clock, strict=True)
            ),
        )
