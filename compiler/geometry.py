"""How a layer's window walks over its tiles: the loops and bounds that commands are made of."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.config import ceil_div
from arch.layers import ConvShape, FeatureMap, Window


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """The reduction's loops: kernel rows x kernel columns x chunks of ``rows`` elements.

    Without dilation in x the taps of a kernel row lie side by side in memory, and are taken as one
    run of kernel width x channels: few channels then still fill the array's rows.
    """

    ky: int
    kx: int
    run: int
    """Elements in one run: channels, or kernel width x channels."""
    kc: int
    """Chunks in a run."""

    @classmethod
    def of(cls, shape: ConvShape, rows: int) -> "Reduction":
        """The loops of ``shape`` on an array of ``rows`` rows."""
        ky, kx = shape.window.kernel
        run = shape.ifmap.channels
        if shape.window.dilation[1] == 1 or kx == 1:
            kx, run = 1, run * kx
        return cls(ky=ky, kx=kx, run=run, kc=ceil_div(run, rows))

    @property
    def tiles(self) -> int:
        """Tiles of weights for one group of columns."""
        return self.ky * self.kx * self.kc

    def parts(self, split: tuple[int, int, int]) -> Iterator["Part"]:
        """The boxes that ``split`` cuts the loops into, in the order of their weights."""
        for ky, n_ky in spans(self.ky, split[0]):
            for kx, n_kx in spans(self.kx, split[1]):
                for kc, n_kc in spans(self.kc, split[2]):
                    first = (ky * self.kx + kx) * self.kc + kc
                    yield Part(
                        start=(ky, kx, kc), count=(n_ky, n_kx, n_kc), first_tile=first
                    )


@dataclass(frozen=True, kw_only=True)
class Part:
    """A box of the reduction's loops that one execute command covers."""

    start: tuple[int, int, int]
    count: tuple[int, int, int]
    first_tile: int

    @property
    def tiles(self) -> int:
        """Tiles of weights in the box; they follow one another in memory."""
        return self.count[0] * self.count[1] * self.count[2]


@dataclass(frozen=True, kw_only=True)
class Span2D:
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


def halo(window: Window, ifmap: FeatureMap, out: Span2D) -> Span2D:
    """The input pixels that the output tile ``out`` needs, clipped to the map.

    A tile that sees padding alone still gets one pixel, so that there is something to address.
    """
    y, height = _clip(
        out.y, out.height, window.stride[0], window.extent[0], window.padding[0], ifmap.height
    )
    x, width = _clip(
        out.x, out.width, window.stride[1], window.extent[1], window.padding[1], ifmap.width
    )
    return Span2D(y=y, x=x, height=height, width=width)


def _clip(
    start: int, count: int, stride: int, extent: int, padding: int, size: int
) -> tuple[int, int]:
    first = start * stride - padding
    last = first + (count - 1) * stride + extent
    first = min(max(first, 0), size - 1)
    return first, max(min(last, size), first + 1) - first


def halo_size(window: Window, ifmap: FeatureMap, height: int, width: int) -> tuple[int, int]:
    """Largest (height, width) of the input of any tile of ``height`` x ``width`` outputs."""
    return (
        min((height - 1) * window.stride[0] + window.extent[0], ifmap.height),
        min((width - 1) * window.stride[1] + window.extent[1], ifmap.width),
    )
