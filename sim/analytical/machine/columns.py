"""How the array's rows and columns take a convolution's channels: groups of columns, and for each
the tiles of weights that it sums over."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape
from arch.mapping import Mapping


@dataclass(frozen=True, kw_only=True)
class Block:
    """Input channels that are on chip at a time, and the tiles of weights over those that are
    summed: ``ky`` x ``kx`` taps x ``kc`` chunks of the array's rows."""

    first: int
    """The first channel on chip."""
    channels: int
    """Channels on chip."""
    offset: int
    """Of the first channel that is summed, among those on chip."""
    ky: int
    kx: int
    kc: int

    @property
    def tiles(self) -> int:
        """Tiles of weights."""
        return self.ky * self.kx * self.kc

    def boxes(self, split: tuple[int, int, int]) -> Iterator[int]:
        """Tiles of weights of each execute command, in order."""
        pieces = (cut(total, size) for total, size in zip(self.loops, split, strict=True))
        ky, kx, kc = pieces
        return (prod(sizes) for sizes in ((y, x, c) for y in ky for x in kx for c in kc))

    @property
    def loops(self) -> tuple[int, int, int]:
        """Iterations over kernel rows, kernel columns and chunks."""
        return self.ky, self.kx, self.kc


@dataclass(frozen=True, kw_only=True)
class ColumnGroup:
    """Output channels that fill the columns once, and the blocks of inputs that they are made
    of; none without the array."""

    channels: int
    blocks: tuple[Block, ...] = ()

    @property
    def tiles(self) -> int:
        """Tiles of weights."""
        return sum(block.tiles for block in self.blocks)


def cut(total: int, size: int) -> list[int]:
    """Sizes of the pieces of ``total``, as large as ``size`` but the last."""
    whole, rest = divmod(total, size)
    return [size] * whole + [rest] * (rest > 0)


def conv_groups(
    shape: ConvShape, mapping: Mapping, config: AcceleratorConfig
) -> tuple[ColumnGroup, ...]:
    """The groups of columns of a convolution.

    Several small groups of channels stand side by side on the columns, zeros between their weights.
    """
    inputs, outputs, cols = shape.group_inputs, shape.group_outputs, config.cols
    if outputs >= cols:
        seen = inputs
        dealt = [
            (size, group * inputs, inputs)
            for group in range(shape.groups)
            for size in cut(outputs, cols)
        ]
    else:
        together, first, dealt = min(shape.groups, cols // outputs), 0, []
        seen = together * inputs
        for groups in cut(shape.groups, together):
            dealt.append((groups * outputs, first * inputs, groups * inputs))
            first += groups
    blocks = _Blocks(shape, mapping.channel_block, seen, config.rows)
    return tuple(
        ColumnGroup(channels=channels, blocks=tuple(blocks.of(first, count)))
        for channels, first, count in dealt
    )


class _Blocks(NamedTuple):
    """How input channels are taken ``size`` at a time, where a group of columns sees ``seen``."""

    shape: ConvShape
    size: int
    seen: int
    rows: int

    def of(self, first: int, count: int) -> Iterator[Block]:
        """The blocks of ``count`` input channels from ``first`` on."""
        total, size = self.shape.ifmap.channels, self.size
        if size >= self.seen:
            # All channels, or those of some whole groups.
            start = 0 if size >= total else first // size * size
            yield self._block(start, min(size, total - start), first - start, count)
            return
        for channels in cut(count, size):
            yield self._block(first, channels, 0, channels)
            first += channels

    def _block(self, first: int, on_chip: int, offset: int, channels: int) -> Block:
        (ky, kx), run = self.shape.window.kernel, channels
        # Taps side by side in memory are one run, if no group of columns has others on chip.
        if self.size <= self.seen and (kx == 1 or self.shape.window.dilation[1] == 1):
            kx, run = 1, kx * run
        kc = ceil_div(run, self.rows)
        return Block(first=first, channels=on_chip, offset=offset, ky=ky, kx=kx, kc=kc)
