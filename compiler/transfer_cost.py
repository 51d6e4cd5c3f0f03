"""How long parts of a map take from memory or to it, by the laws of ``sim/command/engines.py``; on
average over where rows begin within a beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import FeatureMap
from arch.timing import BUFFER_READ_LATENCY, BUFFER_WRITE_LATENCY

_BURST_CYCLES = 2
"""From an address to the next one, at least."""


class Times(NamedTuple):
    """What a layer's first step takes, its last one, and all of them."""

    first: float = 0.0
    last: float = 0.0
    total: float = 0.0

    def plus(self, other: "Times") -> "Times":
        """Both, one after the other."""
        first, last, total = other
        return Times(self.first + first, self.last + last, self.total + total)


class Cut(NamedTuple):
    """Sizes that a map's height or width is cut into, and how often each comes, the first one
    first; ``whole``: it is not cut."""

    sizes: Sequence[tuple[int, int]]
    last: int
    whole: bool

    @property
    def first(self) -> int:
        """The first size."""
        return self.sizes[0][0]

    @property
    def total(self) -> int:
        """All sizes together."""
        return sum(size * count for size, count in self.sizes)


@dataclass(frozen=True, kw_only=True)
class Port:
    """One direction of the memory. Times are in cycles."""

    config: AcceleratorConfig
    latency: int
    """From a command's taking to that of one that waits for it, less those of its beats."""
    answer: int
    """From a burst's address until another one may be outstanding, less those of its beats."""

    @classmethod
    def read(cls, config: AcceleratorConfig) -> "Port":
        """The load engine and the memory's read side."""
        answer = config.memory_latency + 2 - config.beat_interval
        # Two cycles to the first address.
        return cls(config=config, latency=answer + 2 + BUFFER_WRITE_LATENCY, answer=answer)

    @classmethod
    def write(cls, config: AcceleratorConfig) -> "Port":
        """The store engine and the memory's write side."""
        answer = config.memory_latency + BUFFER_READ_LATENCY + 3 - config.beat_interval
        return cls(config=config, latency=answer + 3, answer=answer)

    def rows(self, size: int, pitch: int) -> float:
        """Each of many rows of ``size`` bytes, ``pitch`` apart."""
        config = self.config
        grain = gcd(size, pitch, config.bus_bytes)
        cycles = ((size - grain) / config.bus_bytes + 1) * config.beat_interval
        bursts = ceil_div(size, config.burst_beats * config.bus_bytes)
        waiting = (self.answer + cycles / bursts) / config.outstanding_bursts
        return max(cycles, bursts * max(_BURST_CYCLES, waiting))

    def tiles(
        self, fmap: FeatureMap, cuts: tuple[Cut, Cut], ranges: Sequence[int], *, scattered: bool
    ) -> Times:
        """All tiles of a map, which is cut into rows and columns, and into ``ranges`` of channels;
        ``scattered``: its pixels do not lie side by side."""
        (rows, columns), element = cuts, self.config.activation_bytes
        pixel = fmap.channels * element
        if scattered or len(ranges) > 1:
            # Each pixel is a row of its own.
            first, last = (self.rows(each * element, pixel) for each in (ranges[0], ranges[-1]))
            return Times(
                rows.first * columns.first * first,
                rows.last * columns.last * last,
                rows.total * columns.total * (first * (len(ranges) - 1) + last),
            )
        if columns.whole:
            # Rows of pixels lie side by side.
            row = columns.first * pixel
            times = [count * self.rows(size * row, row) for size, count in rows.sizes]
            first, last = (self.rows(size * row, row) for size in (rows.first, rows.last))
            return Times(first, last, sum(times))
        pitch = fmap.width * pixel
        times = [count * self.rows(size * pixel, pitch) for size, count in columns.sizes]
        first, last = (self.rows(size * pixel, pitch) for size in (columns.first, columns.last))
        return Times(rows.first * first, rows.last * last, rows.total * sum(times))
