"""What a tiling costs, roughly: what the prices of all layers have in common."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import FeatureMap
from arch.mapping import Order
from arch.post_timing import post_constant_words
from compiler.depthwise_cost import DepthwiseWork
from compiler.fusion import LayerShape, Operand
from compiler.geometry import halo_size, halo_span, spans


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
    joined: bool = False
    """Whether what is loaded and what is stored are parts of the same pixels in memory."""

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


class Piece(NamedTuple):
    """One dimension of a tile: pixels of its outputs, of the sums behind them, and of its input."""

    outputs: int
    sums: int
    source: int


class Work(ABC):
    """One layer's work, with ``block`` input channels on chip at a time, and of the window's
    ``taps`` (rows, columns); without them all. ``sizes`` are the channels of each group of
    columns."""

    split = 1, 1, 1
    depthwise: DepthwiseWork | None = None

    def __init__(
        self,
        shape: LayerShape,
        room: Room,
        block: int,
        sizes: list[int],
        config: AcceleratorConfig,
        taps: tuple[int, int] | None = None,
    ) -> None:
        self.shape = shape
        self.room = room
        self.block = block
        self.sizes = sizes
        self._config = config
        self._halos = cache(self._find_halos)
        self._pieces = cache(self._find_pieces)
        window = shape.window.window
        # A depthwise convolution alone: windows are columns of the kernel.
        self._by_columns = shape.conv is None and shape.depthwise is not None
        self._constants = post_constant_words(
            config,
            operand=shape.operand is not Operand.NONE,
            kernel_rows=window.kernel[0] if self._by_columns else 0,
        )
        self.taps = taps or window.kernel
        self._window = replace(window, kernel=self.taps)
        self._parts = ceil_div(window.kernel[0], self.taps[0]) * ceil_div(
            window.kernel[1], self.taps[1]
        )

    @property
    def in_parts(self) -> bool:
        """Whether each window is taken in parts."""
        return self._parts > 1

    @abstractmethod
    def least_cycles(self, tile: Tile) -> float:
        """No more than ``cycles``, and sooner told."""

    @abstractmethod
    def cycles(self, tile: Tile, counts: Counts) -> float:
        """Rough cycles of the layer."""

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

    def _find_pieces(self, axis: int, size: int) -> list[tuple[Piece, int]]:
        """What the height (0) or width (1) is cut into, by tiles of ``size``, and how many there
        are of each."""
        window, conv = self.shape.window, self.shape.conv
        outputs, sums = (_sizes(fmap)[axis] for fmap in (window.ofmap, window.ifmap))
        found: Counter[Piece] = Counter()
        for start, count in spans(outputs, size):
            first, summed = halo_span(self._window, axis, sums, start, count)
            source = summed
            if conv is not None:
                _, source = halo_span(conv.window, axis, _sizes(conv.ifmap)[axis], first, summed)
            found[Piece(count, summed, source)] += 1
        return list(found.items())

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


def _sizes(fmap: FeatureMap) -> tuple[int, int]:
    return fmap.height, fmap.width
