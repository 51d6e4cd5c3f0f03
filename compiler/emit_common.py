"""What the commands of all layers share: copies of feature maps, parameters, field groups."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.commands import Engine, LoadTarget
from arch.config import AcceleratorConfig
from arch.layers import Window
from compiler.fusion import FusedLayer
from compiler.geometry import Span2D, first_tap
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
    window: Window, taps: Span2D, out: Span2D, source: OnChip, channel: int, size: int
) -> dict[str, int]:
    """Fields of a post command that say how the ``taps`` of ``window`` slide over ``source`` for
    the outputs ``out``, from ``channel`` on. Addresses are modulo ``size``."""
    pixel, pitch = source.place.pixel_pitch, source.place.row_pitch
    y, x = first_tap(window, out, taps)
    y, x = y - source.area.y, x - source.area.x
    first = source.place.address + (channel - source.channel) * source.place.element
    return {
        "address": (first + y * pitch) % size,
        "y": y,
        "x": x * pixel,
        "height": source.area.height,
        "width": source.row_bytes,
        **row_loop("py", out.height, dy=window.stride[0], pitch=pitch),
        **offset_loop("px", out.width, dx=window.stride[1] * pixel),
        **row_loop("wy", taps.height, dy=window.dilation[0], pitch=pitch),
        **offset_loop("wx", taps.width, dx=window.dilation[1] * pixel),
    }


class Emission:
    """Makes the steps of one layer."""

    def __init__(self, layer: FusedLayer, place: Placement, config: AcceleratorConfig) -> None:
        self._layer = layer
        self._place = place
        self._config = config

    def step(
        self,
        engine: Engine,
        values: dict[str, int],
        *,
        reads: tuple[Region, ...],
        writes: tuple[Region, ...],
    ) -> Step:
        """A step of this layer."""
        return Step(
            engine=engine, values=values, reads=reads, writes=writes, layer=self._place.index
        )

    def load_constants(self, target: LoadTarget, *, dram: int, size: int, address: int) -> Step:
        """Load ``size`` bytes of weights, parameters or tables to ``address`` of their buffer."""
        # Constants in memory are never written, so nothing reads them too early.
        unit = self._config.bus_bytes if target is LoadTarget.PARAMETER else 1
        rows = _Rows(
            dram=dram, dram_pitch=0, buffer=address, buffer_pitch=0, row_bytes=size, rows=1
        )
        written = Region(target.name.lower(), address // unit, (address + size) // unit)
        return self.step(Engine.LOAD, rows.load_values(target), reads=(), writes=(written,))

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
            yield self.step(
                Engine.LOAD,
                rows.load_values(LoadTarget.ACTIVATION),
                reads=(rows.in_memory,),
                writes=(rows.on_chip,),
            )

    def store_map(self, tile: OnChip, part: Span2D, channel: int, channels: int) -> Iterator[Step]:
        """Store a rectangle and some channels of ``tile`` to the layer's output map, if that is in
        memory."""
        memory = self._place.output.memory
        if memory is None:
            return
        for rows in _copy(memory, tile, part, channel, channels):
            yield self.step(
                Engine.STORE, rows.values(), reads=(rows.on_chip,), writes=(rows.in_memory,)
            )


@dataclass(frozen=True, kw_only=True)
class _Rows:
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

    def values(self) -> dict[str, int]:
        """Fields of a transfer."""
        return {
            "dram_address": self.dram,
            "dram_pitch": self.dram_pitch,
            "row_bytes": self.row_bytes,
            "rows": self.rows - 1,
            "buffer_address": self.buffer,
            "buffer_pitch": self.buffer_pitch,
        }

    def load_values(self, target: LoadTarget) -> dict[str, int]:
        """Fields of a load into the buffer ``target``."""
        return {"target": int(target), **self.values()}


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
    pixel = before, pitches[0] - before - size
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
    return _Rows(
        dram=starts[0].address,
        dram_pitch=pitches[0],
        buffer=starts[1].address,
        buffer_pitch=pitches[1],
        row_bytes=row_bytes,
        rows=rows,
        pixel=pixel,
    )
