"""What the commands of all layers share: copies of feature maps, parameters, field groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from arch.commands import Engine, LoadTarget, Pattern
from arch.config import AcceleratorConfig
from arch.layers import Window
from compiler.geometry import Span2D
from compiler.homes import Home, OnChip
from compiler.memory_map import MapPlace
from compiler.waits import Region, Step


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one layer's operands, result and constants lie; ``index`` is its number."""

    index: int
    input: Home
    other: Home | None
    output: Home
    weights: int
    parameters: int
    table: int
    depthwise: int
    """Constants of a depthwise convolution in front."""

    @property
    def table_number(self) -> int:
        """Layers take the two tables in turn."""
        return self.index % 2


def row_loop(name: str, count: int, *, dy: int = 0, pitch: int = 0) -> dict[str, int]:
    """Fields of a loop of ``count`` iterations over rows ``pitch`` apart; idle if it has one."""
    if count == 1:
        dy = 0
    return {f"{name}_count": count - 1, f"{name}_dy": dy, f"{name}_da": dy * pitch}


def offset_loop(name: str, count: int, *, dx: int = 0) -> dict[str, int]:
    """Fields of a loop of ``count`` iterations within a row; idle if it has one."""
    return {f"{name}_count": count - 1, f"{name}_dx": 0 if count == 1 else dx}


def window_fields(
    window: Window, taps: Span2D, out: Span2D, source: OnChip, first: tuple[int, int]
) -> dict[str, int]:
    """Fields of a post command that say how the ``taps`` of ``window`` slide over ``source`` for
    outputs of the size of ``out``, from the pixel ``first`` (y, x) of ``source`` on."""
    pixel, pitch = source.place.pixel_pitch, source.place.row_pitch
    return {
        "y": first[0],
        "x": first[1] * pixel,
        "height": source.area.height,
        "width": source.row_bytes,
        **row_loop("py", out.height, dy=window.stride[0], pitch=pitch),
        **offset_loop("px", out.width, dx=window.stride[1] * pixel),
        **row_loop("wy", taps.height, dy=window.dilation[0], pitch=pitch),
        **offset_loop("wx", taps.width, dx=window.dilation[1] * pixel),
    }


class Emission:
    """Makes the steps of one layer.

    Patterns are made once and found by what they depend on. Addresses are in the order of
    ``arch.commands.ADDRESSES``.
    """

    def __init__(self, place: Placement, config: AcceleratorConfig) -> None:
        self._place = place
        self._config = config
        self._loads: dict[tuple[int, ...], Pattern] = {}
        self._stores: dict[tuple[int, ...], Pattern] = {}

    def step(
        self,
        pattern: Pattern,
        addresses: tuple[int, ...],
        reads: tuple[Region, ...],
        writes: tuple[Region, ...],
    ) -> Step:
        """A step of this layer."""
        return Step(pattern, addresses, reads, writes, self._place.index)

    def load_constants(self, target: LoadTarget, *, dram: int, size: int, address: int) -> Step:
        """Load ``size`` bytes of weights, parameters or tables to ``address`` of their buffer."""
        # Constants in memory are never written, so nothing reads them too early.
        unit = self._config.bus_bytes if target is LoadTarget.PARAMETER else 1
        written = Region(_BUFFERS[target], address // unit, (address + size) // unit)
        pattern = self._load_pattern(target, 0, size, 1, 0)
        return self.step(pattern, (dram, address), (), (written,))

    def load_table(self) -> Step:
        """Load the layer's table."""
        return self.load_constants(
            LoadTarget.TABLE,
            dram=self._place.table,
            size=self._config.table_bytes,
            address=self._place.table_number * self._config.table_bytes,
        )

    def load_map(self, memory: MapPlace | None, tile: OnChip) -> Iterator[Step]:
        """Load the rectangle and channels of ``tile`` from the map at ``memory``."""
        assert memory is not None
        for rows in _copy(memory, tile, tile.area, tile.channel, tile.channels):
            pattern = self._load_pattern(LoadTarget.ACTIVATION, *rows.shape)
            yield self.step(pattern, rows.addresses, (rows.in_memory,), (rows.on_chip,))

    def store_map(self, tile: OnChip, part: Span2D, channel: int, channels: int) -> Iterator[Step]:
        """Store a rectangle and some channels of ``tile`` to the layer's output map, if that is in
        memory."""
        memory = self._place.output.memory
        if memory is None:
            return
        for rows in _copy(memory, tile, part, channel, channels):
            pattern = self._stores.get(rows.shape)
            if pattern is None:
                pattern = Pattern(Engine.STORE, _transfer_fields(*rows.shape))
                self._stores[rows.shape] = pattern
            yield self.step(pattern, rows.addresses, (rows.on_chip,), (rows.in_memory,))

    def _load_pattern(self, target: LoadTarget, *shape: int) -> Pattern:
        """The pattern of loads of this shape (see ``_Rows``) into the buffer ``target``."""
        key = target, *shape
        pattern = self._loads.get(key)
        if pattern is None:
            fields = {"target": int(target), **_transfer_fields(*shape)}
            pattern = self._loads[key] = Pattern(Engine.LOAD, fields)
        return pattern


_BUFFERS = {target: target.name.lower() for target in LoadTarget}


def _transfer_fields(
    dram_pitch: int, row_bytes: int, rows: int, buffer_pitch: int
) -> dict[str, int]:
    """Fields of the pattern of a load or store."""
    return {
        "dram_pitch": dram_pitch,
        "row_bytes": row_bytes,
        "rows": rows - 1,
        "buffer_pitch": buffer_pitch,
    }


class _Rows(NamedTuple):
    """Rows of equal length and distance, in memory and in a buffer."""

    dram: int
    dram_pitch: int
    buffer: int
    buffer_pitch: int
    row_bytes: int
    rows: int
    pixel: tuple[int, int] = (0, 0)
    """Bytes before and behind each row that belong to the same pixel in memory."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What the pattern of their transfer depends on."""
        return self.dram_pitch, self.row_bytes, self.rows, self.buffer_pitch

    @property
    def addresses(self) -> tuple[int, int]:
        """Of the first row."""
        return self.dram, self.buffer

    @property
    def in_memory(self) -> Region:
        """The bytes in memory, whole pixels: fewer regions differ this way, and who reads a pixel
        reads all of it."""
        before, behind = self.pixel
        last = self.dram + (self.rows - 1) * self.dram_pitch
        return Region("memory", self.dram - before, last + self.row_bytes + behind)

    @property
    def on_chip(self) -> Region:
        last = self.buffer + (self.rows - 1) * self.buffer_pitch
        return Region("activation", self.buffer, last + self.row_bytes)


def _copy(
    memory: MapPlace, tile: OnChip, part: Span2D, channel: int, channels: int
) -> Iterator[_Rows]:
    """The fewest, longest rows that make up some channels of ``part`` in both places."""
    places = memory.at(part.y, part.x, channel), tile.at(part.y, part.x, channel)
    height, width = part.height, part.width
    size = channels * memory.element
    if width == 1 or all(place.pixel_pitch == size for place in places):
        # The bytes of one row of pixels lie side by side.
        row = width * size
        if height == 1 or all(place.row_pitch == row for place in places):
            yield _rows(places, (0, 0), height * row, 1)
        else:
            yield _rows(places, (places[0].row_pitch, places[1].row_pitch), row, height)
        return
    # Some channels only: each pixel is a row of its own.
    pitches = places[0].pixel_pitch, places[1].pixel_pitch
    before = channel * memory.element
    pixel = before, pitches[0] - memory.skipped - before - size
    if height == 1 or all(place.row_pitch == width * place.pixel_pitch for place in places):
        yield _rows(places, pitches, size, part.pixels, pixel)
        return
    for y in range(height):
        starts = places[0].at(y, 0, 0), places[1].at(y, 0, 0)
        yield _rows(starts, pitches, size, width, pixel)


def _rows(
    starts: tuple[MapPlace, MapPlace],
    pitches: tuple[int, int],
    row_bytes: int,
    rows: int,
    pixel: tuple[int, int] = (0, 0),
) -> _Rows:
    (dram, buffer), (dram_pitch, buffer_pitch) = starts, pitches
    return _Rows(dram.address, dram_pitch, buffer.address, buffer_pitch, row_bytes, rows, pixel)
