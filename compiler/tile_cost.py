"""What a tiling costs, roughly: the cycles of the busiest of array, memory and post-processor."""

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape
from arch.mapping import Order
from arch.post_timing import post_constant_words, post_cycles
from arch.timing import step_cycles
from compiler.depthwise_cost import DepthwiseWork
from compiler.fusion import LayerShape, Operand
from compiler.geometry import Columns, Reduction, column_groups, halo_size, reductions, spans

_COMMAND_CYCLES = 30
"""Rough start-up cost of a command, which keeps tiles from becoming needlessly small."""

_ROW_CYCLES = 4
"""Rough cost of a row that is not contiguous with the one before in memory: a burst of its own."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a layer finds on chip, and the banks of the activation buffer that are free for its
    tiles."""

    first_bank: int
    banks: int
    input_pitch: int | None = None
    """Elements from pixel to pixel of an input that is on chip; None if it comes from memory."""
    input_scattered: bool = False
    """Whether the input's pixels do not lie side by side in memory."""
    other_on_chip: bool = False
    output_on_chip: bool = False
    output_in_memory: bool = True

    @classmethod
    def whole(cls, config: AcceleratorConfig) -> "Room":
        """All banks; nothing is on chip."""
        return cls(first_bank=0, banks=config.activation_banks)


class Tile(NamedTuple):
    """A size of tiles, and the order in which they are walked."""

    height: int
    width: int
    groups: int
    channels: int
    """Most output channels that ``groups`` groups of columns have together."""
    order: Order


class Counts(NamedTuple):
    """Slots of inputs and second operands, and slots of outputs."""

    inputs: int
    outputs: int


class Work:
    """One layer's work, with some number of input channels on chip at a time, and of the window's
    taps (rows, columns); without ``taps`` all of them."""

    def __init__(
        self,
        shape: LayerShape,
        room: Room,
        block: int,
        config: AcceleratorConfig,
        taps: tuple[int, int] | None = None,
    ) -> None:
        self.shape = shape
        self.room = room
        self.block = block
        self._config = config
        self.split = 1, 1, 1
        self._weights: tuple[int, ...] = ()
        self.depthwise: DepthwiseWork | None = None
        if shape.depthwise is not None:
            self.depthwise = DepthwiseWork(
                shape.depthwise, from_memory=room.input_pitch is None, config=config
            )
        if shape.conv is None:
            self.sizes = [count for _, count in spans(shape.window.ofmap.channels, config.cols)]
        else:
            groups = column_groups(shape.conv, config.cols)
            self.sizes = [columns.channels for columns in groups]
            self._count_weights(shape.conv, groups)
        self._halos = cache(self._find_halos)
        window = shape.window.window
        self.taps = taps or window.kernel
        self._window = replace(window, kernel=self.taps)
        self._parts = ceil_div(window.kernel[0], self.taps[0]) * ceil_div(
            window.kernel[1], self.taps[1]
        )

    @property
    def in_parts(self) -> bool:
        """Whether each window is taken in parts."""
        return self._parts > 1

    def _count_weights(self, conv: ConvShape, groups: list[Columns]) -> None:
        blocks = [reductions(conv, columns, self.block, self._config.rows) for columns in groups]
        # Of each group of columns: its tiles of weights, and the input channels that it loads if it
        # finds nothing on chip.
        self._weights = tuple(sum(each.tiles for each in group) for group in blocks)
        self._channels = sum(each.block_channels for group in blocks for each in group)
        self.split = _split(blocks[0][0], sum(self._weights), self._config)

    def sums(self, tile: Tile) -> tuple[int, int]:
        """Largest (height, width) of what the post-processor's window, or a part of it, slides
        over."""
        return self._halos(tile.height, tile.width)[0]

    def source(self, tile: Tile) -> tuple[int, int]:
        """Largest (height, width) of the input of a tile."""
        return self._halos(tile.height, tile.width)[1]

    def _find_halos(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """What ``sums`` and ``source`` give for a tile of ``height`` x ``width``."""
        window, conv = self.shape.window, self.shape.conv
        sums = halo_size(self._window, window.ifmap, height, width)
        return sums, sums if conv is None else halo_size(conv.window, conv.ifmap, *sums)

    @property
    def takes_inputs(self) -> bool:
        """Whether the array's inputs need slots, into which they are loaded or computed."""
        return self.room.input_pitch is None or self.depthwise is not None

    def sizes_on_chip(self, tile: Tile) -> tuple[int, int, int, int]:
        """Bytes of a slot of inputs, second operands, outputs, and inputs of a depthwise
        convolution in front; 0 for what needs none."""
        height, width = self.source(tile)
        element = self._config.activation_bytes
        outputs = tile.height * tile.width * tile.channels * element
        block = tile.channels if self.shape.conv is None else self.block
        inputs = height * width * block * element
        operands = 0
        if self.shape.operand is not Operand.NONE:
            operands = outputs if self.shape.operand is Operand.MAP else tile.channels * element
        room = self.room
        return (
            inputs if self.takes_inputs else 0,
            0 if room.other_on_chip else operands,
            0 if room.output_on_chip else outputs,
            0 if self.depthwise is None else self.depthwise.slot_bytes(height, width),
        )

    def cycles(self, tile: Tile, counts: Counts) -> float:
        """Rough cycles of the layer."""
        ofmap, config = self.shape.window.ofmap, self._config
        tiles = ceil_div(ofmap.height, tile.height) * ceil_div(ofmap.width, tile.width)
        columns = len(self.sizes)
        groups = ceil_div(columns, tile.groups)
        taps = self.taps[0] * self.taps[1]
        constants = post_constant_words(
            config, operand=self.shape.operand is not Operand.NONE, kernel_rows=0
        )
        post = post_cycles(config, tile.height * tile.width, taps, constants)
        load = self._load_cycles(tile, tiles, groups, counts)
        store = self._store_cycles(tile, groups) if self.room.output_in_memory else 0.0
        execute = 0
        if self.shape.conv is not None:
            height, width = self.sums(tile)
            execute = tiles * sum(self._weights) * step_cycles(config, height * width)
        posts = tiles * columns * self._parts * (post + _COMMAND_CYCLES // 2)
        ahead = 0
        if self.depthwise is not None:
            ahead = self.depthwise.post_cycles(tile.height, tile.width)
            posts += tiles * ahead
        hidden = max(execute, load, store, posts)
        steps = tiles * groups * self._parts
        exposed = load if counts.inputs == 1 and steps > 1 else load / steps
        if counts.outputs == 1 and tiles * groups > 1:
            exposed += store
        return hidden + exposed + ahead + post + steps * _COMMAND_CYCLES

    def _load_cycles(self, tile: Tile, tiles: int, groups: int, counts: Counts) -> float:
        """Cycles of the memory's read side."""
        config, conv, room = self._config, self.shape.conv, self.room
        rate = config.memory_bytes_per_cycle
        # Elements in a cycle.
        elements = rate / config.activation_bytes
        height, width = self.source(tile)
        pixels = tiles * self._parts * height * width
        cycles = 0.0
        if conv is not None:
            whole = self.block >= conv.ifmap.channels
            total = sum(self._weights) * config.weight_tile_bytes
            group = max(self._weights) * tile.groups * config.weight_tile_bytes
            walked = total if tile.order is Order.PIXELS_OUTER else group
            cycles += total * (1 if walked <= config.weight_buffer_bytes else tiles) / rate
            if self.depthwise is not None:
                cycles += tiles * self.depthwise.load_cycles(tile.height, tile.width)
            elif room.input_pitch is None:
                inputs = pixels * (conv.ifmap.channels if whole else self._channels)
                again = tile.order is Order.CHANNELS_OUTER and whole and tiles > counts.inputs
                cycles += inputs * (groups if again else 1) / elements
                if not whole:
                    cycles += pixels * len(self.sizes) * _ROW_CYCLES
                elif room.input_scattered:
                    cycles += pixels * (groups if again else 1) * _ROW_CYCLES
                cycles += tiles * height * _ROW_CYCLES if width < conv.ifmap.width else 0
        elif room.input_pitch is None:
            cycles += pixels * self.shape.window.ifmap.channels / elements
            cycles += pixels * groups * _ROW_CYCLES if groups > 1 else 0
        if self.shape.operand is Operand.MAP and not room.other_on_chip:
            ofmap = self.shape.window.ofmap
            cycles += ofmap.elements / elements
            cycles += ofmap.height * ofmap.width * groups * _ROW_CYCLES if groups > 1 else 0
        return cycles

    def _store_cycles(self, tile: Tile, groups: int) -> float:
        """Cycles of the memory's write side."""
        ofmap = self.shape.window.ofmap
        config = self._config
        cycles = ofmap.elements * config.activation_bytes / config.memory_bytes_per_cycle
        if tile.width < ofmap.width:
            cycles += ofmap.height * ceil_div(ofmap.width, tile.width) * _ROW_CYCLES
        if groups > 1:
            cycles += ofmap.height * ofmap.width * groups * _ROW_CYCLES
        return cycles


def _split(reduction: Reduction, tiles: int, config: AcceleratorConfig) -> tuple[int, int, int]:
    """The largest box of the reduction of which two fit the weight buffer; all of it if the
    ``tiles`` tiles of the whole layer fit."""
    limit = config.weight_buffer_bytes // (2 * config.weight_tile_bytes)
    if tiles * config.weight_tile_bytes <= config.weight_buffer_bytes:
        limit = max(limit, reduction.tiles)
    limit = min(limit, LOOP_LIMIT)
    row = reduction.kx * reduction.kc
    if row <= limit:
        return min(reduction.ky, limit // row), reduction.kx, reduction.kc
    if reduction.kc <= limit:
        return 1, min(reduction.kx, limit // reduction.kc), reduction.kc
    return 1, 1, min(reduction.kc, limit)
