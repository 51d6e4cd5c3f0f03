"""How often tiles are brought into a ring of slots, of which the oldest is replaced first.

A nest of loops asks for tiles; a loop either asks for other tiles in each iteration, or for the
same again. A pass over more tiles than there are slots leaves none of those that it begins with:
the ring keeps the last ones, and replaces them in the order in which the next pass asks. So tiles
are brought either once, or in every pass.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from sim.analytical.machine.axis import Numbers, Spans

_Tag = TypeVar("_Tag", bound=Hashable)


def filling_passes(tiles: int, passes: int, slots: int) -> int:
    """In how many of ``passes`` over the same ``tiles`` they have to be brought."""
    return 1 if tiles <= slots else passes


def fills(tags: Iterable[_Tag], slots: int) -> Counter[_Tag]:
    """How often each of ``tags``, asked for one after the other, is brought into an empty ring."""
    ring: list[_Tag | None] = [None] * slots
    found: Counter[_Tag] = Counter()
    place = 0
    for tag in tags:
        if tag not in ring:
            ring[place] = tag
            place = (place + 1) % slots
            found[tag] += 1
    return found


def area_fills(rows: Spans, columns: Spans, tiles: int, slots: int) -> Numbers:
    """How often each of the different rectangles of a map is brought, [rows, columns], if each pass
    over it asks for ``tiles`` different tiles; row by row."""
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
