"""Rings of slots on chip, which tiles take in turn: a tile that is still there is not brought
again, and the one that was brought first is replaced first."""

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from arch.commands import Engine
from sim.analytical.machine.axis import Numbers, Spans
from sim.analytical.machine.order import DRAIN, Use

_Tag = TypeVar("_Tag", bound=Hashable)

MISSING = -1


class Requests:
    """What is asked of a ring of ``slots`` slots, one tile after the other."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.ages: list[int] = []
        """Of each request: how many tiles have been brought since the one asked for, or
        ``MISSING``."""
        self.fills = 0
        """Tiles that have been brought."""
        self._brought: dict[Hashable, int] = {}

    def ask(self, tag: Hashable) -> bool:
        """Ask for ``tag``; True if it has to be brought."""
        number = self._brought.get(tag)
        if number is not None and self.fills - number <= self.slots:
            self.ages.append(self.fills - number - 1)
            return False
        self._brought[tag] = self.fills
        self.fills += 1
        self.ages.append(MISSING)
        return True

    @property
    def fixed(self) -> bool:
        """Nothing is ever replaced."""
        return self.fills <= self.slots

    def fills_of(self, tags: Iterable[_Tag]) -> Counter[_Tag]:
        """How often each of ``tags`` is brought, asked for one after the other."""
        return Counter(tag for tag in tags if self.ask(tag))

    def fills_of_passes(self, tags: Sequence[_Tag], passes: int) -> Counter[_Tag]:
        """The same of ``passes`` over ``tags``, which ask for each tag once in a row.

        All passes but the first are alike: if there are more tags than slots, the ring ends each
        with the last ones, and replaces these in the order in which the next one asks.
        """
        found = self.fills_of(tags)
        if passes > 1:
            for tag, times in self.fills_of(tags).items():
                found[tag] += times * (passes - 1)
        return found


@dataclass(eq=False, slots=True)
class Slot:
    """One place on chip: the numbers of the commands that last filled it, and that last read each
    of its parts; 0 for none."""

    filled: int = 0
    reads: list[int] = field(default_factory=lambda: [0])


class Ring:
    """Slots that commands of the engine ``filler`` fill, and those of ``reader`` read.

    ``requests`` say what is missing; without them, everything is. A ``drained`` slot may be filled
    again as soon as the reader has read the last of it.
    """

    def __init__(
        self,
        filler: Engine,
        reader: Engine,
        count: int,
        requests: Requests | None = None,
        parts: int = 1,
        *,
        drained: bool = False,
    ) -> None:
        self.drained = drained
        self.filler = filler
        self.reader = reader
        self._slots = deque(Slot(reads=[0] * parts) for _ in range(count))
        self._ages = None if requests is None else requests.ages
        self._next = 0
        self.fixed = requests is not None and requests.fixed
        """Nothing is ever replaced."""

    def take(self) -> tuple[Slot, bool]:
        """The slot of the next tile that is asked for, and whether it has to be filled first."""
        age = MISSING
        if self._ages is not None:
            age = self._ages[self._next]
            self._next += 1
        if age == MISSING:
            self._slots.rotate(-1)
        return self._slots[-1 if age == MISSING else -1 - age], age == MISSING

    def skip(self, requests: int) -> None:
        """Leave so many requests out."""
        self._next += requests

    def place(self, slot: Slot) -> int:
        """Where ``slot`` is among the slots; which does not matter if nothing is ever replaced."""
        return 0 if self.fixed or slot not in self._slots else self._slots.index(slot)

    def uses(self) -> Iterator[Use]:
        """Of each slot, the longest filled first: who may wait for the commands that filled it and
        read it."""
        read = DRAIN if self.drained else self.reader
        for slot in self._slots:
            yield self.reader, self.filler, slot.filled
            for each in slot.reads:
                yield self.filler, read, each


def area_fills(rows: Spans, columns: Spans, tiles: int, slots: int) -> Numbers:
    """How often each of the different rectangles of a map is brought, [rows, columns], if each pass
    over it asks for ``tiles`` different tiles, row by row.

    Tiles in a row see the same rectangle where both of its ends are clipped to the map. A pass over
    more tiles than there are slots leaves none of those that it begins with.
    """
    by_column = _filling(columns, tiles, slots)
    by_row = _filling(rows, tiles * len(columns.different), slots)
    return np.asarray(np.multiply.outer(by_row, by_column), np.int64)


def _filling(spans: Spans, tiles: int, slots: int) -> Numbers:
    """Of each different span, how many of its passes bring their tiles."""
    return np.ones_like(spans.runs) if tiles <= slots else spans.runs


def are_alike(passes: Sequence[frozenset[_Tag]]) -> bool:
    """Whether all passes ask for the same."""
    return all(each == passes[0] for each in passes)


def are_apart(passes: Sequence[frozenset[_Tag]]) -> bool:
    """Whether no two passes ask for the same."""
    return sum(map(len, passes)) == len(frozenset[_Tag]().union(*passes))
