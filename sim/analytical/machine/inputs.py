"""How often each part of the input is brought into the input slots."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sim.analytical.machine.axis import Numbers
from sim.analytical.machine.ring import Requests, are_alike, are_apart, area_fills
from sim.analytical.machine.tiling import Tiling


class Channels(NamedTuple):
    """Some channels of a map."""

    first: int
    number: int


Fills = Iterator[tuple[Channels, Numbers]]
"""Channels, and how often they are brought, [different rows, different columns] of the input."""


def input_fills(tiling: Tiling) -> Fills:
    """All that is brought into the input slots; the same channels may come more than once."""
    asked = _asked(tiling)
    sets = [frozenset(each) for each in asked]
    if are_apart(sets):
        for each in asked:
            yield from _pass_fills(tiling, each)
    elif are_alike(sets):
        rows, columns = (spans.different for spans in tiling.sources)
        stays = len(sets[0]) * len(rows) * len(columns) <= _slots(tiling)
        for each in asked[:1] if stays else asked:
            yield from _pass_fills(tiling, each)
    else:
        yield from _counted_fills(tiling, asked)


def _slots(tiling: Tiling) -> int:
    assert tiling.mapping.inputs is not None
    return tiling.mapping.inputs.count


def _asked(tiling: Tiling) -> list[list[Channels]]:
    """For each pass over all tiles of pixels, the channels that each of them asks for, in order."""
    ranges = [tiling.groups] if tiling.pixels_outer else tiling.ranges
    if tiling.layer.conv is not None:
        return [
            [Channels(block.first, block.channels) for group in groups for block in group.blocks]
            for groups in ranges
        ]
    return [list(channel_ranges(tiling))]


def channel_ranges(tiling: Tiling) -> Iterator[Channels]:
    """The output channels of each of a tile's ranges."""
    first = 0
    for groups in tiling.ranges:
        number = sum(group.channels for group in groups)
        yield Channels(first, number)
        first += number


def _pass_fills(tiling: Tiling, asked: Sequence[Channels]) -> Fills:
    """What one pass brings that finds nothing of its own."""
    rows, columns = tiling.sources
    once = Requests(_slots(tiling)).fills_of(asked)
    area = area_fills(rows, columns, len(once), _slots(tiling))
    for channels in dict.fromkeys(asked):
        yield channels, area * once[channels]


def _counted_fills(tiling: Tiling, asked: Sequence[Sequence[Channels]]) -> Fills:
    """All passes, one request after the other: where neighbouring ranges share a group of a grouped
    convolution, part of what one leaves is found by the next."""
    rows, columns = tiling.sources
    numbers = [
        np.repeat(np.arange(len(spans.runs)), spans.runs).tolist() for spans in (rows, columns)
    ]
    requests = (
        (channels, row, column)
        for each in asked
        for row in numbers[0]
        for column in numbers[1]
        for channels in each
    )
    found: dict[Channels, Numbers] = {}
    for (channels, row, column), times in Requests(_slots(tiling)).fills_of(requests).items():
        if channels not in found:
            found[channels] = np.zeros((len(rows.runs), len(columns.runs)), np.int64)
        found[channels][row, column] = times
    yield from found.items()
