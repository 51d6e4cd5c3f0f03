"""A layer's commands as far as timing goes: what each engine does, in which order, and after what.

Found from the tiling alone, by the machine's mapping rules:

- for each tile of pixels and range of channels, group of columns by group of columns: for each box
  of weights what is missing of it and of the inputs that it meets, and the execute command; then
  what is missing of the second operand and of the constants, and the post command; at the end of
  the range the store;
- the sums of one group after the other take turns in the halves of the accumulators;
- constants for the post-processor do not wait behind second operands and inputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, product
from typing import NamedTuple

from arch.commands import Command, Engine, LoadTarget, Pattern
from arch.mapping import Slots
from sim.analytical.machine.axis import Spans
from sim.analytical.machine.inputs import Channels, channel_ranges
from sim.analytical.machine.order import Conflict, Order
from sim.analytical.machine.patterns import (
    execute_pattern,
    load_pattern,
    post_pattern,
    store_pattern,
)
from sim.analytical.machine.place import Addresses
from sim.analytical.machine.ring import Ring, Slot
from sim.analytical.machine.tiling import Tiling
from sim.analytical.machine.transfers import Rows, rectangle_rows

_Span = tuple[int, int]
"""(start, size) along an axis."""

_PIXEL: tuple[_Span, _Span] = (0, 1), (0, 1)


class _Tile(NamedTuple):
    """A tile of pixels: its outputs, the sums that they are made of, and the input of these."""

    outputs: tuple[_Span, _Span]
    sums: tuple[_Span, _Span]
    source: tuple[_Span, _Span]


class _Box(NamedTuple):
    """Weights of one execute command, and the input channels that they meet."""

    tiles: int
    address: int
    size: int
    channels: Channels


class _Group(NamedTuple):
    """A group of columns."""

    number: int
    channels: int
    boxes: tuple[_Box, ...]


class _MapLoad(NamedTuple):
    """A load of a part of a map into a slot, and the engine that reads that."""

    rows: Rows
    slot: Slot
    reader: Engine


class _Range(NamedTuple):
    """Groups of columns that a tile's outputs are made of, and their channels."""

    groups: tuple[_Group, ...]
    channels: Channels


class Stream:
    """The commands of a layer that lies in memory as ``addresses`` say."""

    def __init__(self, tiling: Tiling, addresses: Addresses) -> None:
        self._tiling = tiling
        self._layer = tiling.layer
        self._config = tiling.config
        self._addresses = addresses
        self._order = Order()
        mapping = tiling.mapping
        self._inputs = _ring(mapping.inputs)
        self._operands = _ring(mapping.operands)
        self._outputs = _ring(mapping.outputs)
        self._parameters = Ring(tiling.parameter_slots, tiling.parameter_strip)
        self._weights = Ring(tiling.weight_slots if tiling.layer.conv else 1)
        self._halves = cycle((Slot(), Slot()))
        self._table = Slot()
        self._source = Engine.LOAD if tiling.layer.conv is None else Engine.EXECUTE
        self._ranges = list(self._lay_out())

    def commands(self) -> Iterator[Command]:
        """All commands, in program order."""
        if self._layer.table:
            rows = Rows(self._addresses.table, 0, self._config.table_bytes, 1)
            yield self._load(LoadTarget.TABLE, rows, self._table, Engine.POST)
        for tile, channels in self._works():
            yield from self._work(tile, channels)

    def _works(self) -> Iterator[tuple[_Tile, _Range]]:
        tiles = list(self._tiles())
        if self._tiling.pixels_outer:
            return product(tiles, self._ranges)
        return ((tile, channels) for channels, tile in product(self._ranges, tiles))

    def _tiles(self) -> Iterator[_Tile]:
        tiling = self._tiling
        rows, columns = (
            [_spans(each[axis]) for each in (tiling.outputs, tiling.sums, tiling.sources)]
            for axis in (0, 1)
        )
        for y in zip(*rows, strict=True):
            for x in zip(*columns, strict=True):
                yield _Tile(*zip(y, x, strict=True))

    def _lay_out(self) -> Iterator[_Range]:
        groups = list(self._groups())
        at = 0
        for part, channels in zip(self._tiling.ranges, channel_ranges(self._tiling), strict=True):
            yield _Range(tuple(groups[at : at + len(part)]), channels)
            at += len(part)

    def _groups(self) -> Iterator[_Group]:
        tiling, split = self._tiling, self._tiling.mapping.split
        address = self._addresses.weights
        for index, group in enumerate(tiling.groups):
            boxes = []
            for block in group.blocks:
                for tiles in block.boxes(split):
                    size = tiles * tiling.config.weight_tile_bytes
                    channels = Channels(block.first, block.channels)
                    boxes.append(_Box(tiles, address, size, channels))
                    address += size
            yield _Group(index, group.channels, tuple(boxes))

    def _work(self, tile: _Tile, channels: _Range) -> Iterator[Command]:
        """One tile of outputs."""
        tiling = self._tiling
        out, _ = self._outputs.take((tile.outputs, channels.channels))
        operand, loads = self._operand(tile, channels.channels)
        pixels: Slot | None = None
        if self._layer.conv is None:
            pixels, more = self._input(tile, channels.channels)
            loads = [*more, *loads]
        for group in channels.groups:
            source = pixels or next(self._halves)
            if pixels is None:
                yield from self._sum(tile, group, source)
            strip, part = divmod(tiling.block_of(group.number), tiling.parameter_strip)
            parameters, missing = self._parameters.take(strip)
            # Loads of inputs and operands are overtaken, but for those that the queues cannot hold.
            kept = max(0, len(loads) - 2 * self._config.command_queue_depth) if missing else 0
            yield from self._loads(loads[:kept])
            if missing:
                yield self._load_parameters(strip, parameters)
            yield from self._loads(loads[kept:])
            loads = []
            yield self._post(tile, group, (source, parameters, operand), part, out)
        yield from self._store(tile, channels.channels, out)

    def _sum(self, tile: _Tile, group: _Group, sums: Slot) -> Iterator[Command]:
        """The sums of one group of columns."""
        (_, height), (_, width) = tile.sums
        for number, box in enumerate(group.boxes):
            weights, missing = self._weights.take((group.number, number))
            if missing:
                rows = Rows(box.address, 0, box.size, 1)
                yield self._load(LoadTarget.WEIGHT, rows, weights, Engine.EXECUTE)
            source, loads = self._input(tile, box.channels)
            yield from self._loads(loads)
            conflicts = (
                (Engine.LOAD, source.filled),
                (Engine.LOAD, weights.filled),
                (Engine.POST, sums.reads[0]),
            )
            pattern = execute_pattern(box.tiles, height, width)
            command, done = self._command(pattern, (0, 0, 0), conflicts)
            source.reads[0] = weights.reads[0] = sums.filled = done
            yield command

    def _post(
        self,
        tile: _Tile,
        group: _Group,
        reads: tuple[Slot, Slot, Slot | None],
        part: int,
        out: Slot,
    ) -> Command:
        """The outputs of one group of columns, with part number ``part`` of the constants."""
        (_, height), (_, width) = tile.outputs
        source, parameters, operand = reads
        conflicts = [(self._source, source.filled), (Engine.LOAD, parameters.filled)]
        if self._layer.table:
            conflicts.append((Engine.LOAD, self._table.filled))
        if operand is not None:
            conflicts.append((Engine.LOAD, operand.filled))
        conflicts.append((Engine.STORE, out.reads[0]))
        pattern = post_pattern(self._layer, height, width, group.channels)
        command, done = self._command(pattern, (0, 0, 0, 0), conflicts)
        source.reads[0] = self._table.reads[0] = out.filled = done
        parameters.reads[part] = done
        if operand is not None:
            operand.reads[0] = done
        return command

    def _store(self, tile: _Tile, channels: Channels, out: Slot) -> Iterator[Command]:
        """A tile of outputs to memory."""
        layer = self._layer
        pitches = self._tiling.packed(layer.ofmap)
        for rows in self._rows(tile.outputs, channels, pitches, self._addresses.output):
            pattern = store_pattern(rows.pitch, rows.size, rows.number)
            conflicts = ((Engine.POST, out.filled),)
            command, out.reads[0] = self._command(pattern, (rows.address, 0), conflicts)
            yield command

    def _input(self, tile: _Tile, channels: Channels) -> tuple[Slot, list[_MapLoad]]:
        """The slot of a tile's input, and the loads that bring what is missing."""
        slot, missing = self._inputs.take((tile.source, channels))
        if not missing:
            return slot, []
        pitches = self._tiling.input_pitches
        rows = self._rows(tile.source, channels, pitches, self._addresses.input)
        reader = Engine.POST if self._layer.conv is None else Engine.EXECUTE
        return slot, [_MapLoad(each, slot, reader) for each in rows]

    def _operand(self, tile: _Tile, channels: Channels) -> tuple[Slot | None, list[_MapLoad]]:
        """The same of a tile's second operand; None without one."""
        operand = self._layer.operand
        if operand is None:
            return None, []
        area = _PIXEL if self._layer.broadcasts else tile.outputs
        slot, missing = self._operands.take((area, channels))
        if not missing:
            return slot, []
        rows = self._rows(area, channels, self._tiling.packed(operand), self._addresses.operand)
        return slot, [_MapLoad(each, slot, Engine.POST) for each in rows]

    def _rows(
        self,
        area: tuple[_Span, _Span],
        channels: Channels,
        pitches: tuple[int, int],
        address: int,
    ) -> list[Rows]:
        (y, height), (x, width) = area
        pixel, row = pitches
        element = self._config.activation_bytes
        start = address + y * row + x * pixel + channels.first * element
        return rectangle_rows(start, pitches, height, width, channels.number * element)

    def _loads(self, loads: Iterable[_MapLoad]) -> Iterator[Command]:
        for each in loads:
            yield self._load(LoadTarget.ACTIVATION, *each)

    def _load_parameters(self, strip: int, slot: Slot) -> Command:
        tiling = self._tiling
        block = tiling.constant_words * self._config.bus_bytes
        number = tiling.blocks_of_strip(strip)
        start = self._addresses.parameters + strip * tiling.parameter_strip * block
        rows = Rows(start, 0, number * block, 1)
        return self._load(LoadTarget.PARAMETER, rows, slot, Engine.POST, number)

    def _load(
        self, target: LoadTarget, rows: Rows, slot: Slot, reader: Engine, parts: int = 1
    ) -> Command:
        """A load into the first ``parts`` parts of ``slot``."""
        pattern = load_pattern(target, rows.pitch, rows.size, rows.number)
        conflicts = ((reader, max(slot.reads[:parts])),)
        command, slot.filled = self._command(pattern, (rows.address, 0), conflicts)
        return command

    def _command(
        self, pattern: Pattern, addresses: tuple[int, ...], conflicts: Sequence[Conflict]
    ) -> tuple[Command, int]:
        """A command, and its number at its engine."""
        number, waits = self._order.add(pattern.engine, conflicts)
        return Command(pattern, addresses, waits), number


def _ring(slots: Slots | None) -> Ring:
    return Ring(1 if slots is None else slots.count)


def _spans(spans: Spans) -> list[_Span]:
    return list(zip(spans.start.tolist(), spans.size.tolist(), strict=True))
