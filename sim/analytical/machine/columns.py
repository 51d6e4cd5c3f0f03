"""How the array's rows and columns take a convolution's channels: groups of columns, and for each
the tiles of weights that it sums over."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

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
        pieces = (cut(total, size) for total, size in zip(self._loops, split, strict=True))
        ky, kx, kc = pieces
        return (prod(sizes) for sizes in ((y, x, c) for y in ky for x in kx for c in kc))

    @property
    def _loops(self) -> tuple[int, int, int]:
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
        dealt = [
            (size, group * inputs, inputs)
            for group in range(shape.groups)
            for size in cut(outputs, cols)
        ]
    else:
        together, first, dealt = cols // outputs, 0, []
        for groups in cut(shape.groups, together):
            dealt.append((groups * outputs, first * inputs, groups * inputs))
            first += groups
    return tuple(
        ColumnGroup(
            channels=channels,
            blocks=tuple(_blocks(shape, first, count, mapping.channel_block, config.rows)),
        )
        for channels, first, count in dealt
    )


def _blocks(shape: ConvShape, first: int, count: int, size: int, rows: int) -> Iterator[Block]:
    """The blocks of ``count`` input channels from ``first`` on, ``size`` of them on chip."""
    if size >= shape.ifmap.channels:
        yield _block(shape, 0, size, first, count, rows)
        return
    for channels in cut(count, size):
        yield _block(shape, first, channels, 0, channels, rows)
        first += channels


def _block(
    shape: ConvShape, first: int, on_chip: int, offset: int, channels: int, rows: int
) -> Block:
    (ky, kx), run = shape.window.kernel, channels
    # Taps side by side in memory are one run.
    if channels == on_chip and (kx == 1 or shape.window.dilation[1] == 1):
        kx, run = 1, kx * run
    return Block(first=first, channels=on_chip, offset=offset, ky=ky, kx=kx, kc=ceil_div(run, rows))
