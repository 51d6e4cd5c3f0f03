"""Where tiles lie on chip: in slots that are taken in turn, or in a whole map."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arch.layers import FeatureMap
from arch.mapping import Slots
from arch.presets import PRESETS
from compiler.geometry import Span2D
from compiler.homes import Home, OnChip, Tiles, slot_banks, slot_bytes
from compiler.memory_map import MapPlace
from compiler.waits import Region

CONFIG = PRESETS["tiny"]
SHAPE = FeatureMap(height=6, width=5, channels=4)
NOWHERE = Home(memory=None, chip=None)


def span(y: int, x: int, height: int, width: int) -> Span2D:
    return Span2D(y=y, x=x, height=height, width=width)


def test_slots_are_taken_in_turn() -> None:
    slots = Slots(first=1, banks=1, count=2)
    tiles = Tiles(SHAPE, NOWHERE, slots, CONFIG)
    area = span(2, 1, 3, 2)
    first, missing = tiles.take(area, 1, 3)
    assert missing
    assert first.place == MapPlace(address=CONFIG.activation_bank_bytes, pixel_pitch=3, row_pitch=6)
    assert first.at(3, 2, 2).address == first.place.address + 6 + 3 + 1
    assert first.region(span(2, 1, 1, 2), 1, 3) == Region("activation", 1024, 1030)
    assert tiles.take(area, 1, 3) == (first, False)
    second, missing = tiles.take(span(0, 0, 1, 1), 0, 4)
    assert missing
    assert second.place.address == first.place.address + slot_bytes(slots, CONFIG)


def test_a_whole_map_is_read_where_it_lies() -> None:
    place = MapPlace(address=40, pixel_pitch=9, row_pitch=50)
    tiles = Tiles(SHAPE, Home(memory=None, chip=place), None, CONFIG)
    whole, missing = tiles.take(span(2, 1, 3, 2), 0, 4)
    assert not missing
    assert (whole.area, whole.channels, whole.place) == (span(0, 0, 6, 5), 4, place)
    # The last pixel's own channels alone, not what lies behind them.
    assert whole.row_bytes == 4 * 9 + 4
    assert whole.region(span(2, 1, 3, 2), 1, 2) == Region("activation", 150, 150 + 2 * 50 + 9 + 2)


@given(st.integers(1, 5000), st.integers(1, 2))
def test_banks_are_the_fewest_that_hold_the_slots(size: int, count: int) -> None:
    banks = slot_banks(size, count, CONFIG)
    assert slot_bytes(Slots(first=0, banks=banks, count=count), CONFIG) >= size
    if banks > 1:
        assert slot_bytes(Slots(first=0, banks=banks - 1, count=count), CONFIG) < size


@given(st.data())
def test_a_region_holds_every_element(data: st.DataObject) -> None:
    place = MapPlace(address=7, pixel_pitch=5, row_pitch=31)
    whole = OnChip(area=span(0, 0, 6, 5), channel=0, channels=4, place=place)
    y, x = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 4))
    height, width = data.draw(st.integers(1, 6 - y)), data.draw(st.integers(1, 5 - x))
    channel = data.draw(st.integers(0, 3))
    channels = data.draw(st.integers(1, 4 - channel))
    region = whole.region(span(y, x, height, width), channel, channels)
    addresses = [
        7 + row * 31 + column * 5 + element
        for row, column, element in np.ndindex(6, 5, 4)
        if y <= row < y + height
        and x <= column < x + width
        and channel <= element < channel + channels
    ]
    assert (region.start, region.stop) == (min(addresses), max(addresses) + 1)
