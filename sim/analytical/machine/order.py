"""What commands wait for: those before them that use the same slots.

A slot is used by one engine that fills it and one that reads it. A command waits for the newest
command of another engine that it may not overtake there, unless it knows that one to be done: from
what it waits for already, or from what the commands before it in its own queue have waited for.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from arch.commands import COUNT_BITS, Engine

_NUMBERS = range(max(Engine) + 1)

Conflict = tuple[Engine, int]
"""A command by its engine and its number there, counted from 1; 0 for none."""


@dataclass(eq=False, slots=True)
class Slot:
    """One place on chip: what is there, and the commands that last filled and last read it."""

    tag: Hashable = None
    filled: int = 0
    read: int = 0


class Ring:
    """Slots that tiles take in turn."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot() for _ in range(count)]
        self._by_tag: dict[Hashable, Slot] = {}
        self._next = 0

    def take(self, tag: Hashable) -> tuple[Slot, bool]:
        """The slot of ``tag``, and whether it has to be filled first."""
        slot = self._by_tag.get(tag)
        if slot is not None:
            return slot, False
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        self._by_tag.pop(slot.tag, None)
        self._by_tag[tag] = slot
        slot.tag = tag
        return slot, True


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
