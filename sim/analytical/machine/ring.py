"""Rings of slots, which tiles take in turn; a tile that is still there is not brought again."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from sim.analytical.machine.axis import Numbers, Spans

_Tag = TypeVar("_Tag", bound=Hashable)


@dataclass(eq=False, slots=True)
class Slot:
    """One place on chip: what is there, and the numbers of the commands that last filled it and
    last read each of its parts; 0 for none."""

    tag: Hashable = None
    filled: int = 0
    reads: list[int] = field(default_factory=lambda: [0])


class Ring:
    """``count`` slots, of which the one filled first is filled next."""

    def __init__(self, count: int, parts: int = 1) -> None:
        self._slots = [Slot(reads=[0] * parts) for _ in range(count)]
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

    def fills(self, tags: Iterable[_Tag]) -> Counter[_Tag]:
        """How often each of ``tags`` is brought, asked for one after the other."""
        return Counter(tag for tag in tags if self.take(tag)[1])

    def fills_of_passes(self, tags: Sequence[_Tag], passes: int) -> Counter[_Tag]:
        """The same of ``passes`` over ``tags``, which ask for each tag once in a row.

        All passes but the first are alike: if there are more tags than slots, the ring ends each
        with the last ones, and replaces these in the order in which the next one asks.
        """
        found = self.fills(tags)
        if passes > 1:
            for tag, times in self.fills(tags).items():
                found[tag] += times * (passes - 1)
        return found


def area_fills(rows: Spans, columns: Spans, tiles: int, slots: int) -> Numbers:
    """How often each of the different rectangles of a map is brought, [rows, columns], if each pass
    over it asks for ``tiles`` different tiles, row by row.

    Tiles in a row see the same rectangle where both of its ends are clipped to the map.
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
