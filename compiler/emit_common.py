"""What the commands of all layers share: copies of feature maps, parameters, field groups."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.commands import Engine, LoadTarget
from arch.config import AcceleratorConfig
from arch.layers import FeatureMap
from arch.mapping import Slots
from compiler.geometry import Span2D
from compiler.slots import SlotRing
from compiler.waits import Region, Step
from sim.network import Conv, GlobalAveragePool, MaxPool

MapLayer = Conv | MaxPool | GlobalAveragePool


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Addresses in memory of what one layer reads and writes; ``index`` is the layer's number."""

    index: int
    input: int
    output: int
    weights: int
    parameters: int


def slot_ring(slots: Slots, config: AcceleratorConfig) -> SlotRing:
    """The ring over ``slots`` of the activation buffer, in bytes."""
    bank = config.activation_bank_bytes
    return SlotRing(base=slots.first * bank, size=slots.banks * bank, count=slots.count)


def loop(name: str, count: int, *, dy: int = 0, dx: int = 0, pitch: int = 0) -> dict[str, int]:
    """Fields of a loop of ``count`` iterations over rows ``pitch`` apart; idle if it has one."""
    if count == 1:
        dy = dx = 0
    return {
        f"{name}_count": count - 1,
        f"{name}_dy": dy,
        f"{name}_dx": dx,
        f"{name}_da": dy * pitch + dx,
    }


def post_fields(layer: MapLayer, parameters: int, channels: int) -> dict[str, int]:
    """Fields of a post command that say how values become output bytes."""
    low, high = layer.clamp
    return {
        "parameter_address": parameters,
        "channels": channels - 1,
        "zero_point": layer.output.zero_point,
        "low": low,
        "high": high,
    }


class Emission:
    """Makes the steps of one layer."""

    def __init__(self, layer: MapLayer, place: Placement, config: AcceleratorConfig) -> None:
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

    def load(
        self,
        target: LoadTarget,
        *,
        dram: int,
        dram_pitch: int,
        row_bytes: int,
        rows: int,
        address: int,
        pitch: int,
    ) -> Step:
        """A load whose bytes in memory no command writes, or from the input map."""
        extent = (rows - 1) * pitch + row_bytes
        unit = self._config.bus_bytes if target is LoadTarget.PARAMETER else 1
        values = {
            "target": int(target),
            "dram_address": dram,
            "dram_pitch": dram_pitch,
            "row_bytes": row_bytes,
            "rows": rows - 1,
            "buffer_address": address,
            "buffer_pitch": pitch,
        }
        source = Region("memory", dram, dram + (rows - 1) * dram_pitch + row_bytes)
        written = Region(target.name.lower(), address // unit, (address + extent) // unit)
        return self.step(Engine.LOAD, values, reads=(source,), writes=(written,))

    def load_parameters(self, column_group: int, word: int) -> Step:
        """Load the block of one group of columns to ``word`` of the parameter buffer."""
        size = self._config.parameter_block_words * self._config.bus_bytes
        return self.load(
            LoadTarget.PARAMETER,
            dram=self._place.parameters + column_group * size,
            dram_pitch=0,
            row_bytes=size,
            rows=1,
            address=word * self._config.bus_bytes,
            pitch=0,
        )

    def parameter_region(self, word: int) -> Region:
        """The words of a block of parameters."""
        return Region("parameter", word, word + self._config.parameter_block_words)

    def load_map(self, part: Span2D, channel: int, channels: int, address: int) -> Iterator[Step]:
        """Load a rectangle of the input map, some channels of it, packed, to ``address``."""
        for rows in _rows(self._layer.input.shape, self._place.input, part, channel, channels):
            yield self.load(
                LoadTarget.ACTIVATION,
                dram=rows.dram,
                dram_pitch=rows.dram_pitch,
                row_bytes=rows.row_bytes,
                rows=rows.rows,
                address=address + rows.offset,
                pitch=rows.row_bytes if rows.rows > 1 else 0,
            )

    def store_map(self, part: Span2D, channel: int, channels: int, address: int) -> Iterator[Step]:
        """Store a packed tile at ``address`` to its rectangle and channels of the output map."""
        for rows in _rows(self._layer.output.shape, self._place.output, part, channel, channels):
            start = address + rows.offset
            values = {
                "dram_address": rows.dram,
                "dram_pitch": rows.dram_pitch,
                "row_bytes": rows.row_bytes,
                "rows": rows.rows - 1,
                "buffer_address": start,
                "buffer_pitch": rows.row_bytes if rows.rows > 1 else 0,
            }
            extent = rows.rows * rows.row_bytes
            last = rows.dram + (rows.rows - 1) * rows.dram_pitch + rows.row_bytes
            yield self.step(
                Engine.STORE,
                values,
                reads=(Region("activation", start, start + extent),),
                writes=(Region("memory", rows.dram, last),),
            )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows of equal length and distance in memory, packed in the buffer from ``offset`` on."""

    dram: int
    dram_pitch: int
    row_bytes: int
    rows: int
    offset: int


def _rows(
    fmap: FeatureMap, base: int, part: Span2D, channel: int, channels: int
) -> Iterator[_Rows]:
    """The fewest, longest rows that make up a rectangle of some channels of a map."""
    first = base + (part.y * fmap.width + part.x) * fmap.channels + channel
    whole_width = part.width == fmap.width
    if channels == fmap.channels:
        row = part.width * channels
        if whole_width or part.height == 1:
            yield _Rows(dram=first, dram_pitch=0, row_bytes=part.height * row, rows=1, offset=0)
        else:
            yield _Rows(
                dram=first,
                dram_pitch=fmap.row_elements,
                row_bytes=row,
                rows=part.height,
                offset=0,
            )
        return
    # Some channels only: each pixel is a row of its own.
    if whole_width:
        yield _Rows(
            dram=first,
            dram_pitch=fmap.channels,
            row_bytes=channels,
            rows=part.pixels,
            offset=0,
        )
        return
    for y in range(part.height):
        yield _Rows(
            dram=first + y * fmap.row_elements,
            dram_pitch=fmap.channels,
            row_bytes=channels,
            rows=part.width,
            offset=y * part.width * channels,
        )
