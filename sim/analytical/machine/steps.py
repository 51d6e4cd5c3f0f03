"""A layer as a sequence of steps: the sums and outputs of one group of columns of one tile.

Steps of the same kind are the same commands, but for addresses that make no difference to time.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

from sim.analytical.machine.inputs import Channels, channel_ranges
from sim.analytical.machine.outputs import OutputBytes
from sim.analytical.machine.place import Addresses
from sim.analytical.machine.ring import MISSING, Requests
from sim.analytical.machine.tiling import Area, Tiling, spans_of
from sim.analytical.machine.transfers import Rows, rectangle_rows
from sim.command.bursts import burst_phase

_PIXEL: Area = ((0, 1), (0, 1))


class Tile(NamedTuple):
    """A tile of pixels: its outputs, the sums that they are made of, and the input of these."""

    outputs: Area
    sums: Area
    source: Area


class Box(NamedTuple):
    """Weights of one execute command, and the input channels that they meet."""

    tiles: int
    rows: Rows
    channels: Channels


class Group(NamedTuple):
    """A group of columns, and the block of constants for its outputs."""

    channels: int
    boxes: tuple[Box, ...]
    block: int


class Range(NamedTuple):
    """Groups of columns that a tile's outputs are made of, and their channels."""

    groups: tuple[Group, ...]
    channels: Channels


class Step(NamedTuple):
    """The ``outputs`` of one group of columns of one tile; the ``first`` and the ``last`` of its
    range. Their constants are in a strip, block number ``part`` of it."""

    tile: Tile
    outputs: Area
    range: Range
    group: Group
    strip: int
    part: int
    first: bool
    last: bool


class Places:
    """Where parts of a layer's data lie in memory."""

    def __init__(self, tiling: Tiling, addresses: Addresses) -> None:
        self._tiling = tiling
        self._addresses = addresses
        self._bus = tiling.config.bus_bytes
        layer = tiling.layer
        self._maps = {
            "input": (addresses.input, tiling.input_pitches),
            "output": (addresses.output, tiling.output_pitches),
        }
        if layer.operand is not None:
            self._maps["operand"] = addresses.operand, tiling.operand_pitches
        self.rows: Callable[[str, Area, Channels], tuple[Rows, ...]] = cache(self._rows)
        """``channels`` of an area of the map ``input``, ``operand`` or ``output``."""
        self.phases: Callable[[tuple[Rows, ...]], Hashable] = cache(self._phases)
        """What the duration of copying some rows depends on."""

    def strip(self, number: int) -> Rows:
        """A strip of constants."""
        tiling = self._tiling
        block = tiling.constant_words * self._bus
        start = self._addresses.parameters + number * tiling.parameter_strip * block
        return Rows(start, 0, tiling.blocks_of_strip(number) * block, 1)

    def _rows(self, name: str, area: Area, channels: Channels) -> tuple[Rows, ...]:
        (y, height), (x, width) = area
        address, (pixel, row) = self._maps[name]
        element = self._tiling.config.activation_bytes
        start = address + y * row + x * pixel + channels.first * element
        size = channels.number * element
        return tuple(rectangle_rows(start, (pixel, row), height, width, size))

    def _phases(self, rows: tuple[Rows, ...]) -> Hashable:
        return tuple(
            (each[1:], burst_phase(each.address, each.size, each.pitch, self._bus)) for each in rows
        )


class Steps:
    """All steps of a layer in program order, and what is missing on chip when their turn comes."""

    def __init__(self, tiling: Tiling, addresses: Addresses) -> None:
        self.places = Places(tiling, addresses)
        self.table = Rows(addresses.table, 0, tiling.config.table_bytes, 1)
        """Where the table lies."""
        self._tiling = tiling
        self.outputs = OutputBytes(tiling)
        """What commands touch of the outputs on chip."""
        self._layer = layer = tiling.layer
        self._conv = layer.conv is not None
        mapping = tiling.mapping
        self.weights = Requests(tiling.weight_slots if self._conv else 1)
        self.inputs = Requests(mapping.inputs.count if mapping.inputs else 1)
        self.operands = Requests(mapping.operands.count if mapping.operands else 1)
        self.parameters = Requests(tiling.parameter_slots)
        ranges, tiles = list(_ranges(tiling, addresses)), list(_tiles(tiling))
        works = (
            product(tiles, ranges)
            if tiling.pixels_outer
            else ((tile, each) for each, tile in product(ranges, tiles))
        )
        self._areas = dict(zip(tiles, tiling.areas, strict=True))
        self.all = [step for tile, each in works for step in self._of_range(tile, each)]
        for step in self.all:
            self._ask(step)

    def operand_area(self, tile: Tile) -> Area:
        """The part of the second operand that a tile needs."""
        return _PIXEL if self._layer.broadcasts else tile.outputs

    def asked(self, step: Step) -> tuple[int, int, int, int]:
        """How much ``step`` asks of the rings of weights, inputs, operands and parameters."""
        boxes, inputs = len(step.group.boxes), 0
        if self._layer.loads_input:
            inputs = boxes if self._conv else int(step.first)
        operands = int(step.first and self._layer.loads_operand)
        return boxes, inputs, operands, 1

    def _of_range(self, tile: Tile, each: Range) -> Iterator[Step]:
        works = list(product(self._areas[tile], each.groups))
        for index, ((outputs, block), group) in enumerate(works):
            number = group.block if block is None else block
            strip, part = divmod(number, self._tiling.parameter_strip)
            ends = index == 0, index == len(works) - 1
            yield Step(tile, outputs, each, group, strip, part, *ends)

    def _ask(self, step: Step) -> None:
        tile, each, group = step.tile, step.range, step.group
        for box in group.boxes:
            self.weights.ask(box.rows)
            if self._layer.loads_input:
                self.inputs.ask((tile.source, box.channels))
        if step.first:
            if self._layer.loads_input and not self._conv:
                self.inputs.ask((tile.source, each.channels))
            if self._layer.loads_operand:
                self.operands.ask((self.operand_area(tile), each.channels))
        self.parameters.ask(step.strip)

    def kinds(self) -> list[int]:
        """A number for each step: equal for steps of the same kind."""
        numbers: dict[Hashable, int] = {}
        places = [0, 0, 0, 0]
        found = []
        for step in self.all:
            asked = self.asked(step)
            kind = self._kind(step, places, asked)
            places = [place + number for place, number in zip(places, asked, strict=True)]
            found.append(numbers.setdefault(kind, len(numbers)))
        return found

    def _kind(self, step: Step, places: list[int], asked: tuple[int, ...]) -> Hashable:
        """All that the times of a step's commands depend on; ``places``: what the steps before it
        have asked of each ring."""
        tile, each, group = step.tile, step.range, step.group
        rings = self.weights, self.inputs, self.operands, self.parameters
        weights, inputs, operands, parameters = (
            ring.ages[place : place + number]
            for ring, place, number in zip(rings, places, asked, strict=True)
        )
        phases, rows = self.places.phases, self.places.rows
        moved: list[Hashable] = [
            phases((box.rows,))
            for box, age in zip(group.boxes, weights, strict=True)
            if age == MISSING
        ]
        if MISSING in inputs:
            boxes = group.boxes if self._conv else (None,)
            for box, age in zip(boxes, inputs, strict=True):
                if age == MISSING:
                    channels = box.channels if box else each.channels
                    moved.append(phases(rows("input", tile.source, channels)))
        if MISSING in operands:
            moved.append(phases(rows("operand", self.operand_area(tile), each.channels)))
        if MISSING in parameters:
            moved.append(phases((self.places.strip(step.strip),)))
        if self._layer.stores:
            moved.append(self.outputs.written(tile.outputs, step.outputs, each.channels))
            if step.last:
                stored = rows("output", tile.outputs, each.channels)
                touched = self.outputs.read(tile.outputs, each.channels, len(stored))
                moved += [phases(stored), *touched]
        return (
            tuple(size for area in (step.outputs, tile.sums) for _, size in area),
            tuple(box.tiles for box in group.boxes),
            (step.first, step.last, step.part, group.channels),
            *(
                # In a ring that replaces nothing, it makes no difference which slot is used.
                tuple(age == MISSING for age in ages) if ring.fixed else tuple(ages)
                for ring, ages in zip(rings, (weights, inputs, operands, parameters), strict=True)
            ),
            *moved,
        )


def _tiles(tiling: Tiling) -> Iterator[Tile]:
    rows, columns = (
        [spans_of(each[axis]) for each in (tiling.outputs, tiling.sums, tiling.sources)]
        for axis in (0, 1)
    )
    for y in zip(*rows, strict=True):
        for x in zip(*columns, strict=True):
            yield Tile(*zip(y, x, strict=True))


def _ranges(tiling: Tiling, addresses: Addresses) -> Iterator[Range]:
    groups = list(_groups(tiling, addresses))
    at = 0
    for part, channels in zip(tiling.ranges, channel_ranges(tiling), strict=True):
        yield Range(tuple(groups[at : at + len(part)]), channels)
        at += len(part)


def _groups(tiling: Tiling, addresses: Addresses) -> Iterator[Group]:
    split, address = tiling.mapping.split, addresses.weights
    for index, group in enumerate(tiling.groups):
        boxes = []
        for block in group.blocks:
            channels = Channels(block.first, block.channels)
            for tiles in block.boxes(split):
                size = tiles * tiling.config.weight_tile_bytes
                boxes.append(Box(tiles, Rows(address, 0, size, 1), channels))
                address += size
        yield Group(group.channels, tuple(boxes), tiling.block_of(index))
