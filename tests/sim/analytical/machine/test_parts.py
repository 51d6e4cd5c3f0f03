"""The closed forms of spans, windows, rings and transfers against counting one by one."""

from itertools import product

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from sim.analytical.machine.axis import Slide, Spans
from sim.analytical.machine.ring import MISSING, Requests, area_fills
from sim.analytical.machine.transfers import Area, rectangle_rows
from tests.support.machines import CONFIGS

SEEDS = range(60)


def slide(rng: np.random.Generator) -> Slide:
    return Slide(
        length=int(rng.integers(1, 12)),
        kernel=int(rng.integers(1, 5)),
        stride=int(rng.integers(1, 4)),
        dilation=int(rng.integers(1, 4)),
        before=int(rng.integers(0, 6)),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_vectors_that_touch_the_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, outputs = slide(rng), Spans.cut(int(rng.integers(1, 15)), int(rng.integers(1, 6)))
    pitch, size = int(rng.integers(1, 20)), int(rng.integers(1, 20))
    offsets = rng.integers(0, 40, size=3)
    expected = [
        sum(
            -size < ((output * window.stride - window.before + tap * window.dilation) * pitch + at)
            and (output * window.stride - window.before + tap * window.dilation) * pitch + at
            < window.length * pitch
            for output in range(start, start + number)
            for tap in range(window.kernel)
            for at in offsets.tolist()
        )
        for start, number in zip(outputs.start.tolist(), outputs.size.tolist(), strict=True)
    ]
    assert window.reaching(outputs, offsets, size, pitch).tolist() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_fills_of_an_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (slide(rng).seen(Spans.cut(int(rng.integers(1, 9)), 2)) for _ in range(2))
    tiles, slots = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    requests = Requests(slots)
    places = [
        list(zip(span.start.tolist(), span.size.tolist(), strict=True)) for span in (rows, columns)
    ]
    asked = [
        (row, column, tile)
        for row, column in product(places[0], places[1])
        for tile in range(tiles)
    ]
    found = requests.fills_of(asked)
    expected = np.zeros((len(rows.runs), len(columns.runs)), np.int64)
    unique = [list(dict.fromkeys(each)) for each in places]
    for (row, column, tile), times in found.items():
        if tile == 0:
            expected[unique[0].index(row), unique[1].index(column)] = times
    assert area_fills(rows, columns, tiles, slots).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_fills_of_passes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags, passes = list(range(int(rng.integers(1, 9)))), int(rng.integers(1, 6))
    slots = int(rng.integers(1, 9))
    one_by_one, at_once = Requests(slots), Requests(slots)
    # What is there from before.
    for requests in (one_by_one, at_once):
        requests.fills_of(tags[-2:])
    assert at_once.fills_of_passes(tags, passes) == one_by_one.fills_of(tags * passes)


def test_ages_name_the_slot() -> None:
    requests = Requests(2)
    asked = [requests.ask(tag) for tag in "abaacab"]
    assert asked == [True, True, False, False, True, True, True]
    assert requests.ages == [MISSING, MISSING, 1, 1, MISSING, MISSING, MISSING]
    assert not requests.fixed


@pytest.mark.parametrize("seed", SEEDS)
def test_beats_and_commands_of_rectangles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bus = int(rng.choice([4, 8, 16]))
    height, width, channels = (int(size) for size in rng.integers(1, 9, size=3))
    size, gap = int(rng.integers(1, channels + 1)), int(rng.integers(0, 3))
    pitches = channels + gap, width * (channels + gap) + int(rng.integers(0, 2)) * 3
    rows, columns = (Spans.cut(total, int(rng.integers(1, 5))) for total in (height, width))
    first = int(rng.integers(0, channels - size + 1))
    area = Area(rows, columns, pitches, first, size)
    for (y, row), (x, column) in product(enumerate(rows.start), enumerate(columns.start)):
        start = int(row * pitches[1] + column * pitches[0] + first)
        tall, wide = int(rows.size[y]), int(columns.size[x])
        moved = rectangle_rows(start, pitches, tall, wide, size)
        covered = {
            byte
            for each in moved
            for number in range(each.number)
            for byte in range(
                each.address + number * each.pitch,
                each.address + number * each.pitch + each.size,
            )
        }
        assert covered == {
            start + dy * pitches[1] + dx * pitches[0] + byte
            for dy, dx, byte in product(range(tall), range(wide), range(size))
        }
        beats = sum(
            (each.address + number * each.pitch + each.size - 1) // bus
            - (each.address + number * each.pitch) // bus
            + 1
            for each in moved
            for number in range(each.number)
        )
        assert area.beats(bus)[y, x] == beats
        assert area.commands()[y, x] == len(moved)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=lambda config: config.name)
def test_a_beat_divides_the_alignment(config: AcceleratorConfig) -> None:
    """Every map begins with a beat, as the counts of beats take for granted."""
    assert 64 % config.bus_bytes == 0
