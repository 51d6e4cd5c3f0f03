"""What commands wait for: those before them that use the same slots.

A slot is used by one engine that fills it and one that reads it. A command waits for the newest
command of another engine that it may not overtake there, unless it knows that one to be done: from
what it waits for already, or from what the commands before it in its own queue have waited for.
"""

from collections.abc import Iterable

from arch.commands import COUNT_BITS, Engine

_NUMBERS = range(max(Engine) + 1)

Conflict = tuple[Engine, int]
"""A command by its engine and its number there, counted from 1; 0 for none."""


class Order:
    """Numbers commands by engine, and finds what each waits for."""

    def __init__(self) -> None:
        self._waits = [[0 for _ in _NUMBERS] for _ in _NUMBERS]
        self._known = [[0 for _ in _NUMBERS] for _ in _NUMBERS]
        # Of each command of each engine: what is known to be done once it is.
        self._after = [[[0 for _ in _NUMBERS]] for _ in _NUMBERS]

    def add(self, engine: Engine, conflicts: Iterable[Conflict]) -> tuple[int, tuple[int, ...]]:
        """The number of the next command of ``engine``, and its waits in the order of engines."""
        known, waits, after = self._known[engine], self._waits[engine], self._after
        number = known[engine] = len(after[engine])
        for other, needed in conflicts:
            if needed > known[other]:
                waits[other] = needed
                known[:] = map(max, known, after[other][needed])
        waits[engine] = number - 1
        after[engine].append(known.copy())
        return number, tuple(wait % (1 << COUNT_BITS) for wait in waits[1:])
