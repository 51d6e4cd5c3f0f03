"""What the commands of all layers share: copies of feature maps, parameters, field groups."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.commands import Engine, LoadTarget, PostOperand
from arch.config import AcceleratorConfig
from arch.mapping import Slots
from compiler.constants import MapLayer, block_words, requantised_range
from compiler.geometry import Span2D
from compiler.memory_map import MapPlace
from compiler.slots import SlotRing
from compiler.waits import Region, Step


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where in memory one layer's operands, result and constants lie; ``index`` is its number."""

    index: int
    input: MapPlace
    other: MapPlace | None
    output: MapPlace
    weights: int
    parameters: int
    table: int


_SLOT_ALIGNMENT = 64


def slot_bytes(slots: Slots, config: AcceleratorConfig) -> int:
    """Bytes of each slot."""
    region = slots.banks * config.activation_bank_bytes
    return region // slots.count // _SLOT_ALIGNMENT * _SLOT_ALIGNMENT


def slot_ring(slots: Slots, config: AcceleratorConfig) -> SlotRing:
    """The ring over ``slots`` of the activation buffer, in bytes."""
    return SlotRing(
        base=slots.first * config.activation_bank_bytes,
        size=slot_bytes(slots, config),
        count=slots.count,
    )


def row_loop(name: str, count: int, *, dy: int = 0, pitch: int = 0) -> dict[str, int]:
    """Fields of a loop of ``count`` iterations over rows ``pitch`` apart; idle if it has one."""
    if count == 1:
        dy = 0
    return {f"{name}_count": count - 1, f"{name}_dy": dy, f"{name}_da": dy * pitch}


def offset_loop(name: str, count: int, *, dx: int = 0) -> dict[str, int]:
    """Fields of a loop of ``count`` iterations within a row; idle if it has one."""
    return {f"{name}_count": count - 1, f"{name}_dx": 0 if count == 1 else dx}


NO_OPERAND = {
    "operand": PostOperand.NONE,
    "operand_unsigned": 0,
    "operand_address": 0,
    "operand_py": 0,
    "operand_px": 0,
}
"""Fields of a post command without a second operand."""


def post_fields(layer: MapLayer, parameters: int, channels: int) -> dict[str, int]:
    """Fields of a post command that say how sums become values."""
    zero_point, (low, high) = requantised_range(layer)
    return {
        "parameter_address": parameters,
        "channels": channels - 1,
        "zero_point": zero_point,
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
        """A load into the buffer ``target``."""
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
        # Constants in memory are never written: only maps need an order.
        maps = target is LoadTarget.ACTIVATION
        source = Region("memory", dram, dram + (rows - 1) * dram_pitch + row_bytes)
        written = Region(target.name.lower(), address // unit, (address + extent) // unit)
        return self.step(Engine.LOAD, values, reads=(source,) if maps else (), writes=(written,))

    def load_parameters(self, block: int, word: int) -> Step:
        """Load the layer's parameter block number ``block`` to ``word`` of the buffer."""
        size = self.block_words * self._config.bus_bytes
        return self.load(
            LoadTarget.PARAMETER,
            dram=self._place.parameters + block * size,
            dram_pitch=0,
            row_bytes=size,
            rows=1,
            address=word * self._config.bus_bytes,
            pitch=0,
        )

    @property
    def block_words(self) -> int:
        """Words of the parameter buffer in one of the layer's blocks."""
        return block_words(self._layer, self._config)

    def parameter_region(self, word: int) -> Region:
        """The words of a block of parameters."""
        return Region("parameter", word, word + self.block_words)

    def parameter_ring(self) -> SlotRing:
        """The ring of the layer's parameter blocks, in words."""
        size = self.block_words
        return SlotRing(base=0, size=size, count=self._config.parameter_words // size)

    def load_map(
        self, place: MapPlace, part: Span2D, channel: int, channels: int, address: int
    ) -> Iterator[Step]:
        """Load a rectangle of the map at ``place``, some channels of it, packed, to ``address``."""
        for rows in _rows(place, part, channel, channels):
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
        for rows in _rows(self._place.output, part, channel, channels):
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


def _rows(place: MapPlace, part: Span2D, channel: int, channels: int) -> Iterator[_Rows]:
    """The fewest, longest rows that make up a rectangle of some channels of a map."""
    start = place.at(part.y, part.x, channel)
    pixel = channels * place.element
    row = part.width * pixel
    if pixel == place.pixel_pitch or part.width == 1:
        # The bytes of one row of pixels lie side by side.
        contiguous = row == place.row_pitch or part.height == 1
        yield _Rows(
            dram=start.address,
            dram_pitch=0 if contiguous else place.row_pitch,
            row_bytes=part.height * row if contiguous else row,
            rows=1 if contiguous else part.height,
            offset=0,
        )
        return
    # Some channels only: each pixel is a row of its own.
    if part.width * place.pixel_pitch == place.row_pitch or part.height == 1:
        yield _Rows(
            dram=start.address,
            dram_pitch=place.pixel_pitch,
            row_bytes=pixel,
            rows=part.pixels,
            offset=0,
        )
        return
    for y in range(part.height):
        yield _Rows(
            dram=start.address + y * place.row_pitch,
            dram_pitch=place.pixel_pitch,
            row_bytes=pixel,
            rows=part.width,
            offset=y * row,
        )
