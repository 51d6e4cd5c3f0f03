"""A layer cut into the tiles of its mapping: spans along both axes, groups of columns, slots."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import TypeVar

import numpy as np

from arch.config import AcceleratorConfig, ceil_div
from arch.mapping import Mapping, Order
from arch.post_timing import post_constant_words
from sim.analytical.machine.axis import Numbers, Slide, Spans, slides
from sim.analytical.machine.columns import Block, ColumnGroup, conv_groups, cut
from sim.analytical.machine.fit import (
    check_no_slots,
    check_shape,
    check_slots,
    check_sums,
    check_weights,
)
from sim.analytical.machine.layer import MachineLayer

_Each = TypeVar("_Each")

Span = tuple[int, int]
"""(start, size) along an axis."""
Area = tuple[Span, Span]
"""Rows and columns of a rectangle."""


class Tiling:
    """What counts and cycles of a layer under a mapping are made of.

    Raises ``MappingError`` if the mapping does not fit the layer and the machine, or is not
    covered.
    """

    def __init__(self, layer: MachineLayer, mapping: Mapping, config: AcceleratorConfig) -> None:
        check_shape(layer, mapping, config)
        self.layer = layer
        self.mapping = mapping
        self.config = config
        ofmap, window = layer.ofmap, layer.window
        self.outputs = (
            Spans.cut(ofmap.height, mapping.tile_height),
            Spans.cut(ofmap.width, mapping.tile_width),
        )
        self.windows = slides(window.window, window.ifmap)
        """How the post-processor's window slides, along rows and columns."""
        if layer.conv is None:
            self.groups = tuple(
                ColumnGroup(channels=size) for size in cut(ofmap.channels, config.cols)
            )
        else:
            self.groups = conv_groups(layer.conv, mapping, config)
        self._check()

    def _check(self) -> None:
        """Whether the largest tile fits every storage."""
        layer, mapping, config = self.layer, self.mapping, self.config
        ranges = (sum(group.channels for group in each) for each in self.ranges)
        channels = inputs = max(ranges)
        if layer.conv is not None:
            check_sums(*self._largest(self.sums), config)
            blocks = [block for group in self.groups for block in group.blocks]
            inputs = max(block.channels for block in blocks)
            for loops in {block.loops for block in blocks}:
                check_weights(loops, mapping.split, config)
        pixel = config.activation_bytes
        outputs = prod(self._largest(self.outputs)) * channels * pixel
        sources = prod(self._largest(self.sources)) * inputs * pixel
        operands = channels * pixel if layer.broadcasts else outputs
        maps = [
            ("inputs", mapping.inputs, layer.input_home, sources),
            ("outputs", mapping.outputs, layer.output_home, outputs),
        ]
        if layer.operand is not None:
            maps.append(("second operands", mapping.operands, layer.operand_home, operands))
        banks = layer.free_banks or (0, config.activation_banks)
        for name, slots, home, size in maps:
            if home.on_chip:
                check_no_slots(name, slots)
            else:
                check_slots(name, slots, size, banks, config)

    def _largest(self, spans: tuple[Spans, Spans]) -> tuple[int, int]:
        rows, columns = spans
        return int(rows.size.max()), int(columns.size.max())

    @cached_property
    def areas(self) -> list[list[tuple[Area, int | None]]]:
        """For each tile, the rectangles of its outputs that take the same constants, and the block
        of these, None if that depends on the group of columns alone."""
        rows, columns = self.outputs
        tiles = product(spans_of(rows), spans_of(columns))
        blocks = self.layer.blocks
        if blocks is None:
            return [[(tile, None)] for tile in tiles]
        return [list(_uniform(tile, np.array(blocks))) for tile in tiles]

    @property
    def tiles(self) -> int:
        """Tiles of output pixels."""
        rows, columns = self.outputs
        return len(rows) * len(columns)

    @cached_property
    def sums(self) -> tuple[Spans, Spans]:
        """What the post-processor's windows see."""
        return _seen(self.windows, self.outputs)

    @cached_property
    def taps(self) -> tuple[Slide, Slide]:
        """How the convolution's window slides."""
        assert self.layer.conv is not None
        return slides(self.layer.conv.window, self.layer.conv.ifmap)

    @cached_property
    def sources(self) -> tuple[Spans, Spans]:
        """The pixels of the input that the tiles need."""
        return self.sums if self.layer.conv is None else _seen(self.taps, self.sums)

    @cached_property
    def ranges(self) -> tuple[tuple[ColumnGroup, ...], ...]:
        """The groups of columns that a tile's outputs are made of, for each range of channels."""
        size = self.mapping.tile_groups
        return tuple(
            self.groups[start : start + size] for start in range(0, len(self.groups), size)
        )

    @property
    def pixels_outer(self) -> bool:
        """Whether each tile of pixels meets all channels before the next."""
        return self.layer.conv is None or self.mapping.order is Order.PIXELS_OUTER

    def passes(self, groups: Sequence[_Each]) -> list[Sequence[_Each]]:
        """What each pass over all tiles of pixels takes of all groups of columns."""
        if self.pixels_outer:
            return [groups]
        size = self.mapping.tile_groups
        return [groups[start : start + size] for start in range(0, len(groups), size)]

    @property
    def window_size(self) -> int:
        """Positions of each window that the post-processor takes."""
        height, width = self.layer.window.window.kernel
        return height if self.layer.products else height * width

    @cached_property
    def constant_words(self) -> int:
        """Words of constants that a post command reads."""
        return post_constant_words(
            self.config,
            operand=self.layer.operand is not None,
            kernel_rows=self.layer.window.window.kernel[0] if self.layer.products else 0,
        )

    @property
    def parameter_blocks(self) -> int:
        """Blocks of constants that are different."""
        if self.layer.blocks is not None:
            return max(map(max, self.layer.blocks)) + 1
        alike = self.layer.conv is None and not self.layer.products
        return 1 if alike else len(self.groups)

    @cached_property
    def parameter_strip(self) -> int:
        """Blocks of constants that are loaded at once: most of those sizes of which four strips fit
        the buffer, and all strips if all blocks do."""
        blocks, room = self.parameter_blocks, self.config.parameter_words // self.constant_words
        sizes = range(max(1, room // 4), 0, -1)
        if blocks > room:
            return sizes[0]
        return next(size for size in sizes if ceil_div(blocks, size) * size <= room)

    @property
    def parameter_slots(self) -> int:
        """Strips of constants that are on chip at a time."""
        return self.config.parameter_words // (self.parameter_strip * self.constant_words)

    def blocks_of_strip(self, strip: int) -> int:
        """Blocks of constants in strip number ``strip``."""
        return min(self.parameter_strip, self.parameter_blocks - strip * self.parameter_strip)

    def block_of(self, group: int) -> int:
        """The block of constants of group of columns number ``group``."""
        alike = self.layer.conv is None and not self.layer.products
        return 0 if alike else group

    @cached_property
    def boxes(self) -> tuple[tuple[int, ...], ...]:
        """Tiles of weights of each execute command, by group of columns."""
        split = self.mapping.split
        return tuple(
            tuple(size for block in group.blocks for size in block.boxes(split))
            for group in self.groups
        )

    @cached_property
    def weight_slots(self) -> int:
        """Boxes of weights that are on chip at a time."""
        return self.config.weight_buffer_bytes // self.weight_slot_bytes

    @cached_property
    def weight_slot_bytes(self) -> int:
        """Bytes of the largest box."""
        return max(map(max, self.boxes)) * self.config.weight_tile_bytes

    @property
    def input_pitches(self) -> tuple[int, int]:
        """Bytes from pixel to pixel and from row to row of the input."""
        layer = self.layer
        return layer.input_home.distances(layer.ifmap, self.config.activation_bytes)

    @property
    def operand_pitches(self) -> tuple[int, int]:
        """The same of the second operand."""
        layer = self.layer
        assert layer.operand is not None
        return layer.operand_home.distances(layer.operand, self.config.activation_bytes)

    @property
    def output_pitches(self) -> tuple[int, int]:
        """The same of the output."""
        layer = self.layer
        return layer.output_home.distances(layer.ofmap, self.config.activation_bytes)

    def walk(self, block: Block) -> Slide:
        """How the convolution's taps slide along columns, those that are one run taken as one."""
        return replace(self.taps[1], kernel=block.kx)


def spans_of(spans: Spans) -> list[Span]:
    """The spans one by one."""
    return list(zip(spans.start.tolist(), spans.size.tolist(), strict=True))


def _uniform(tile: Area, blocks: Numbers) -> Iterator[tuple[Area, int]]:
    """``tile`` cut into rectangles of outputs with the same of the ``blocks`` [row, column]."""
    (y, height), (x, width) = tile
    own = blocks[y : y + height, x : x + width]
    for row, rows in _runs(own):
        for column, columns in _runs(own.T):
            area = (y + row, rows), (x + column, columns)
            yield area, int(own[row, column])


def _runs(numbers: Numbers) -> Iterator[Span]:
    """(start, size) of runs of equal rows."""
    changes = np.flatnonzero((numbers[1:] != numbers[:-1]).any(axis=1)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(numbers)]):
        yield start, stop - start


def _seen(windows: tuple[Slide, Slide], outputs: tuple[Spans, Spans]) -> tuple[Spans, Spans]:
    (along_y, along_x), (rows, columns) = windows, outputs
    return along_y.seen(rows), along_x.seen(columns)
