"""How a layer's window walks over its tiles: the loops and bounds that commands are made of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape, FeatureMap, Window


class Columns(NamedTuple):
    """The output channels that fill the array's columns once, and the input channels they see."""

    channel: int
    channels: int
    input_channel: int
    input_channels: int


def column_groups(shape: ConvShape, cols: int) -> list[Columns]:
    """How a convolution's output channels are dealt to an array of ``cols`` columns, in order.

    Small groups of a grouped convolution share the array: their weights then stand side by side,
    with zeros between.
    """
    inputs, outputs = shape.group_inputs, shape.group_outputs
    if outputs >= cols:
        return [
            Columns(
                channel=group * outputs + channel,
                channels=channels,
                input_channel=group * inputs,
                input_channels=inputs,
            )
            for group in range(shape.groups)
            for channel, channels in spans(outputs, cols)
        ]
    return [
        Columns(
            channel=group * outputs,
            channels=groups * outputs,
            input_channel=group * inputs,
            input_channels=groups * inputs,
        )
        for group, groups in spans(shape.groups, cols // outputs)
    ]


def column_inputs(shape: ConvShape, cols: int) -> int:
    """Input channels that a group of columns sees; the last may see fewer. All begin at multiples
    of it."""
    if shape.group_outputs >= cols:
        return shape.group_inputs
    return min(shape.groups, cols // shape.group_outputs) * shape.group_inputs


class Reduction(NamedTuple):
    """The reduction's loops over some input channels: kernel rows x kernel columns x chunks of
    ``rows`` elements.

    ``channels`` channels from ``channel`` on are summed; on chip they lie among ``block_channels``
    channels from ``block`` on. If no group of columns has others on chip, and there is no dilation
    in x, the taps of a kernel row lie side by side in memory, and are taken as one run of kernel
    width x channels: few channels then still fill the array's rows.
    """

    block: int
    block_channels: int
    channel: int
    channels: int
    ky: int
    kx: int
    run: int
    """Elements in one run: channels, or kernel width x channels."""
    kc: int
    """Chunks in a run."""

    @property
    def tiles(self) -> int:
        """Tiles of weights for one group of columns."""
        return self.ky * self.kx * self.kc


def reductions(
    shape: ConvShape, columns: Columns, block: int, config: AcceleratorConfig
) -> list[Reduction]:
    """The reductions of ``columns``.

    ``block`` is how many input channels are on chip at a time: all, maybe among others; those of
    some whole groups of columns (see ``column_inputs``); or a part of those that the columns see.
    """
    first, count = columns.input_channel, columns.input_channels
    total, inputs = shape.ifmap.channels, column_inputs(shape, config.cols)
    if block >= total:
        return [_reduction(shape, 0, block, first, count, config, alone=block == inputs)]
    if block >= inputs:
        start = first // block * block
        channels = min(block, total - start)
        alone = block == inputs
        return [_reduction(shape, start, channels, first, count, config, alone=alone)]
    return [
        _reduction(shape, first + start, channels, first + start, channels, config, alone=True)
        for start, channels in spans(count, block)
    ]


def _reduction(
    shape: ConvShape,
    block: int,
    block_channels: int,
    channel: int,
    channels: int,
    config: AcceleratorConfig,
    *,
    alone: bool,
) -> Reduction:
    """With ``alone``, there are no other channels on chip."""
    ky, kx = shape.window.kernel
    run = channels
    if alone and (shape.window.dilation[1] == 1 or kx == 1):
        kx, run = 1, run * kx
    return Reduction(
        block=block,
        block_channels=block_channels,
        channel=channel,
        channels=channels,
        ky=ky,
        kx=kx,
        run=run,
        kc=ceil_div(run, config.rows),
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """A box of a reduction's loops that one execute command covers."""

    reduction: Reduction
    start: tuple[int, int, int]
    count: tuple[int, int, int]
    first_tile: int
    """Its first tile of weights, among all of its group of columns."""

    @property
    def tiles(self) -> int:
        """Tiles of weights in the box; they follow one another in memory."""
        return self.count[0] * self.count[1] * self.count[2]


def parts(blocks: Iterable[Reduction], split: tuple[int, int, int]) -> Iterator[Part]:
    """The boxes that ``split`` cuts the loops of ``blocks`` into, in the order of their weights."""
    done = 0
    for each in blocks:
        for ky, n_ky in spans(each.ky, split[0]):
            for kx, n_kx in spans(each.kx, split[1]):
                for kc, n_kc in spans(each.kc, split[2]):
                    yield Part(
                        reduction=each,
                        start=(ky, kx, kc),
                        count=(n_ky, n_kx, n_kc),
                        first_tile=done + (ky * each.kx + kx) * each.kc + kc,
                    )
        done += each.tiles


class Span2D(NamedTuple):
    """A rectangle of pixels."""

    y: int
    x: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Pixels in the rectangle."""
        return self.height * self.width


def spans(total: int, step: int) -> Iterator[tuple[int, int]]:
    """(start, length) of consecutive pieces of at most ``step``."""
    for start in range(0, total, step):
        yield start, min(step, total - start)


def tiles(fmap: FeatureMap, height: int, width: int) -> Iterator[Span2D]:
    """Output tiles of at most ``height`` x ``width``, row by row."""
    for y, tile_height in spans(fmap.height, height):
        for x, tile_width in spans(fmap.width, width):
            yield Span2D(y=y, x=x, height=tile_height, width=tile_width)


def window_parts(window: Window, rows: int, columns: int) -> Iterator[Span2D]:
    """The window's taps in blocks of at most ``rows`` x ``columns``, row by row."""
    for y, height in spans(window.kernel[0], rows):
        for x, width in spans(window.kernel[1], columns):
            yield Span2D(y=y, x=x, height=height, width=width)


def all_taps(window: Window) -> Span2D:
    """The window's taps."""
    return Span2D(y=0, x=0, height=window.kernel[0], width=window.kernel[1])


def first_tap(window: Window, out: Span2D, taps: Span2D) -> tuple[int, int]:
    """The input pixel (y, x), maybe padding, under the first of ``taps`` of the first output of
    ``out``."""
    return (
        out.y * window.stride[0] - window.padding[0] + taps.y * window.dilation[0],
        out.x * window.stride[1] - window.padding[1] + taps.x * window.dilation[1],
    )


def halo(window: Window, ifmap: FeatureMap, out: Span2D, taps: Span2D | None = None) -> Span2D:
    """The input pixels that the output tile ``out`` needs, clipped to the map; ``taps``: for some
    of the window's taps alone.

    A tile that sees padding alone still gets one pixel, so that there is something to address.
    """
    taps = all_taps(window) if taps is None else taps
    y, x = first_tap(window, out, taps)
    last_y = y + (out.height - 1) * window.stride[0] + (taps.height - 1) * window.dilation[0]
    last_x = x + (out.width - 1) * window.stride[1] + (taps.width - 1) * window.dilation[1]
    y, height = _clip(y, last_y, ifmap.height)
    x, width = _clip(x, last_x, ifmap.width)
    return Span2D(y=y, x=x, height=height, width=width)


def halo_span(window: Window, axis: int, size: int, start: int, count: int) -> tuple[int, int]:
    """Rows (axis 0) or columns (1) of what ``halo`` gives, as (first, number), for ``count`` rows
    or columns of outputs from ``start`` on, of a map of ``size`` of them."""
    stride = window.stride[axis]
    first = start * stride - window.padding[axis]
    last = first + (count - 1) * stride + window.extent[axis] - 1
    return _clip(first, last, size)


def _clip(first: int, last: int, size: int) -> tuple[int, int]:
    """(first, number) of ``first`` to ``last`` that are below ``size``; at least one."""
    first = min(max(first, 0), size - 1)
    return first, max(min(last + 1, size), first + 1) - first


def halo_size(window: Window, ifmap: FeatureMap, height: int, width: int) -> tuple[int, int]:
    """Largest (height, width) of the input of any tile of ``height`` x ``width`` outputs."""
    return (
        min((height - 1) * window.stride[0] + window.extent[0], ifmap.height),
        min((width - 1) * window.stride[1] + window.extent[1], ifmap.width),
    )
