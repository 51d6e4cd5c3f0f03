"""How many beats of the bus rectangles of a map take, and how many commands copy them."""

from math import gcd
from typing import NamedTuple

import numpy as np

from sim.analytical.machine.axis import Numbers, Spans


def span_beats(address: Numbers | int, size: Numbers | int, bus: int) -> Numbers:
    """Beats of ``bus`` bytes that hold ``size`` bytes from ``address`` on."""
    start = np.asarray(address, np.int64) % bus
    return np.asarray((start + size - 1) // bus + 1, np.int64)


def row_beats(
    address: Numbers, rows: Numbers, pitch: int, size: Numbers | int, bus: int
) -> Numbers:
    """Beats of ``rows`` rows of ``size`` bytes that begin ``pitch`` bytes apart.

    Where a row begins within a beat repeats after ``bus / gcd(pitch, bus)`` rows.
    """
    period = bus // gcd(pitch, bus)
    total = np.zeros(np.broadcast_shapes(np.shape(address), np.shape(rows)), np.int64)
    for phase in range(period):
        times = (rows - phase + period - 1) // period
        total += times * span_beats(address + phase * pitch, size, bus)
    return total


class Area:
    """Some channels of the rectangles ``rows`` x ``columns`` of a map in memory; arrays are
    [rows, columns].

    ``pitches`` are bytes from pixel to pixel and from row to row; ``first`` is the first byte of
    the channels in the first pixel, counted from where a beat begins, ``size`` their bytes. A
    buffer holds a rectangle without gaps.
    """

    def __init__(
        self, rows: Spans, columns: Spans, pitches: tuple[int, int], first: int, size: int
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.pitches = pitches
        self.first = first
        self.size = size

    def beats(self, bus: int) -> Numbers:
        """Beats of ``bus`` bytes that each rectangle takes."""
        pixel, row = self.pitches
        height, width = self.rows.size[:, None], self.columns.size
        address = self.rows.start[:, None] * row + self.columns.start * pixel + self.first
        line = width * self.size
        joined = span_beats(address, height * line, bus)
        apart = row_beats(address, height, row, line, bus)
        lines = np.where((height == 1) | (line == row), joined, apart)
        if self.size == pixel:
            return lines
        return np.where(width == 1, lines, self._pixel_beats(address, bus))

    def _pixel_beats(self, address: Numbers, bus: int) -> Numbers:
        """Where each pixel is a row of its own."""
        pixel, row = self.pitches
        height = self.rows.size[:, None]
        period = bus // gcd(row, bus)
        total = np.zeros_like(address)
        for phase in range(period):
            times = (height - phase + period - 1) // period
            line = row_beats(address + phase * row, self.columns.size, pixel, self.size, bus)
            total += times * line
        return total

    def commands(self) -> Numbers:
        """Commands that copy each rectangle: rows of bytes at one distance are one command."""
        pixel, row = self.pitches
        height, width = self.rows.size[:, None], self.columns.size
        one = (width == 1) | (self.size == pixel) | (height == 1) | (row == width * pixel)
        return np.where(one, 1, height)


class Rows(NamedTuple):
    """What one load or store moves: ``number`` rows of ``size`` bytes that begin ``pitch`` bytes
    apart in memory."""

    address: int
    pitch: int
    size: int
    number: int


def rectangle_rows(
    start: int, pitches: tuple[int, int], height: int, width: int, size: int
) -> list[Rows]:
    """The fewest, longest rows that hold ``size`` bytes of each of ``height`` x ``width`` pixels,
    those of the first from ``start`` on."""
    pixel, row = pitches
    line = width * size
    if width == 1 or size == pixel:
        if height == 1 or line == row:
            return [Rows(start, 0, height * line, 1)]
        return [Rows(start, row, line, height)]
    if height == 1 or row == width * pixel:
        return [Rows(start, pixel, size, height * width)]
    return [Rows(start + y * row, pixel, size, width) for y in range(height)]
