"""One image axis cut into tiles: what each of them covers and sees, as arrays over the tiles."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap, Window

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spans:
    """Positions ``start`` ... ``start + size - 1`` of an axis, one span for each tile."""

    start: Numbers
    size: Numbers

    @classmethod
    def cut(cls, total: int, size: int) -> "Spans":
        """``total`` positions in pieces of at most ``size``."""
        start = np.arange(0, total, size, dtype=np.int64)
        return cls(start, np.minimum(size, total - start))

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def runs(self) -> Numbers:
        """How often each of the different spans comes in a row; equal ones are neighbours."""
        new = np.flatnonzero(self._is_new)
        return np.diff(new, append=len(self))

    @cached_property
    def different(self) -> "Spans":
        """The different spans, in order."""
        return Spans(self.start[self._is_new], self.size[self._is_new])

    @cached_property
    def _is_new(self) -> NDArray[np.bool_]:
        same = (self.start[1:] == self.start[:-1]) & (self.size[1:] == self.size[:-1])
        return np.concatenate([[True], ~same])


@dataclass(frozen=True, kw_only=True)
class Slide:
    """A window along one axis of a map ``length`` long; tap k of output o lies at position
    ``o * stride - before + k * dilation``."""

    length: int
    kernel: int
    stride: int
    dilation: int
    before: int

    def seen(self, outputs: Spans) -> Spans:
        """The positions that ``outputs`` need, clipped to the map; at least one."""
        first = outputs.start * self.stride - self.before
        reach = (outputs.size - 1) * self.stride + (self.kernel - 1) * self.dilation
        start = np.clip(first, 0, self.length - 1)
        stop = np.maximum(np.minimum(first + reach + 1, self.length), start + 1)
        return Spans(start, stop - start)

    def inside(self, outputs: Spans) -> Numbers:
        """(output, tap) pairs of each span that lie inside the map."""
        return self.reaching(outputs, np.zeros(1, np.int64), 1, 1)

    def reaching(self, outputs: Spans, offsets: Numbers, size: int, pitch: int) -> Numbers:
        """(output, tap, offset) triples of each span of ``outputs`` whose vector touches the map.

        A vector of ``size`` bytes begins ``offset`` bytes behind the first of its position, of
        ``pitch`` bytes. It touches the map if it ends behind its first byte and begins before its
        last.
        """
        taps = np.arange(self.kernel, dtype=np.int64)[:, None] * self.dilation - self.before
        # The first position whose vector ends on the map, the last whose vector begins there.
        lowest = (-size - offsets) // pitch + 1
        highest = (self.length * pitch - 1 - offsets) // pitch
        low = -((taps - lowest) // self.stride)
        high = (highest - taps) // self.stride
        first, last = outputs.start, outputs.start + outputs.size - 1
        found = np.minimum(last[:, None, None], high) - np.maximum(first[:, None, None], low) + 1
        return np.asarray(np.maximum(found, 0).sum(axis=(1, 2)), np.int64)


def slides(window: Window, ifmap: FeatureMap) -> tuple[Slide, Slide]:
    """``window`` along the rows and along the columns of ``ifmap``."""
    y, x = (
        Slide(
            length=length,
            kernel=window.kernel[axis],
            stride=window.stride[axis],
            dilation=window.dilation[axis],
            before=window.padding[axis],
        )
        for axis, length in enumerate((ifmap.height, ifmap.width))
    )
    return y, x
