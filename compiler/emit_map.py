"""Commands of layers without a multiplication by weights: pooling, elementwise, tables.

The post-processor reads the activation buffer by itself, the array rests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from arch.commands import Engine, LoadTarget, PostMode, PostOperand, PostSource
from arch.config import AcceleratorConfig
from arch.layers import PoolShape, Window
from arch.mapping import Mapping, Slots
from compiler.constants import block_numbers
from compiler.emit_common import (
    NO_OPERAND,
    Emission,
    Placement,
    offset_loop,
    post_fields,
    row_loop,
    slot_ring,
)
from compiler.geometry import Span2D, halo, spans, tiles
from compiler.slots import SlotRing
from compiler.waits import Region, Step
from sim.network import Add, AveragePool, MaxPool, Multiply, Table

PostLayer = MaxPool | AveragePool | Add | Multiply | Table


def pool_shape(layer: PostLayer) -> PoolShape:
    """The window of ``layer``: one pixel for elementwise layers."""
    if isinstance(layer, MaxPool | AveragePool):
        return layer.shape
    return PoolShape(ifmap=layer.input.shape, window=Window(kernel=(1, 1)))


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """An output tile: where it is, and where its operands and result lie on chip."""

    pixels: Span2D
    channels: int
    source: Span2D
    address: int
    operand: int
    out: int


class MapEmitter:
    """Turns one layer and its mapping into steps."""

    def __init__(
        self, layer: PostLayer, mapping: Mapping, place: Placement, config: AcceleratorConfig
    ) -> None:
        self._layer = layer
        self._mapping = mapping
        self._place = place
        self._config = config
        self._shape = pool_shape(layer)
        self._emission = Emission(layer, place, config)
        self._inputs = slot_ring(mapping.inputs, config)
        self._operands = _ring(mapping.operands, config)
        self._outputs = slot_ring(mapping.outputs, config)
        self._parameters = self._emission.parameter_ring()
        ofmap = self._shape.ofmap
        self._blocks = (
            block_numbers(layer)
            if isinstance(layer, AveragePool)
            else np.zeros((ofmap.height, ofmap.width), np.int64)
        )

    def steps(self) -> Iterator[Step]:
        """All commands of the layer, in program order."""
        if isinstance(self._layer, Table):
            yield self._load_table()
        ofmap, mapping = self._shape.ofmap, self._mapping
        group = mapping.tile_groups * self._config.cols
        for out in tiles(ofmap, mapping.tile_height, mapping.tile_width):
            for channel, channels in spans(ofmap.channels, group):
                yield from self._tile(out, channel, channels)

    def _tile(self, out: Span2D, channel: int, channels: int) -> Iterator[Step]:
        source = halo(self._shape.window, self._shape.ifmap, out)
        address, missing = self._inputs.take((source, channel))
        if missing:
            place = self._place.input
            yield from self._emission.load_map(place, source, channel, channels, address)
        operand = 0
        if self._operands is not None:
            operand, loads = self._load_operand(self._operands, out, channel, channels)
            yield from loads
        target, _ = self._outputs.take((out, channel))
        tile = _Tile(
            pixels=out,
            channels=channels,
            source=source,
            address=address,
            operand=operand,
            out=target,
        )
        for part in self._uniform_parts(out):
            block = int(self._blocks[part.y, part.x])
            parameters, missing = self._parameters.take(block)
            if missing:
                yield self._emission.load_parameters(block, parameters)
            for first, count in spans(channels, self._config.cols):
                yield self._post(tile, part, first, count, parameters)
        yield from self._emission.store_map(out, channel, channels, target)

    def _load_operand(
        self, ring: SlotRing, out: Span2D, channel: int, channels: int
    ) -> tuple[int, list[Step]]:
        """Where the second operand of a tile lies, and the loads that bring it there."""
        part = Span2D(y=0, x=0, height=1, width=1) if self._broadcasts else out
        address, missing = ring.take((part, channel))
        place = self._place.other
        if not missing or place is None:
            return address, []
        return address, list(self._emission.load_map(place, part, channel, channels, address))

    @property
    def _broadcasts(self) -> bool:
        return isinstance(self._layer, Add | Multiply) and self._layer.broadcasts

    def _load_table(self) -> Step:
        return self._emission.load(
            LoadTarget.TABLE,
            dram=self._place.table,
            dram_pitch=0,
            row_bytes=self._config.table_bytes,
            rows=1,
            address=self._table * self._config.table_bytes,
            pitch=0,
        )

    @property
    def _table(self) -> int:
        """Layers take the two tables in turn."""
        return self._place.index % 2

    def _uniform_parts(self, out: Span2D) -> Iterator[Span2D]:
        """``out`` cut into rectangles whose pixels share their parameters."""
        numbers = self._blocks[out.y : out.y + out.height, out.x : out.x + out.width]
        for y, height in _runs(numbers):
            for x, width in _runs(numbers.T):
                yield Span2D(y=out.y + y, x=out.x + x, height=height, width=width)

    def _post(self, tile: _Tile, part: Span2D, first: int, count: int, parameters: int) -> Step:
        """One group of columns of a part of a tile."""
        window, layer = self._shape.window, self._layer
        element = self._config.activation_bytes
        pixel = tile.channels * element
        pitch = tile.source.width * pixel
        y = part.y * window.stride[0] - window.padding[0] - tile.source.y
        x = (part.x * window.stride[1] - window.padding[1] - tile.source.x) * pixel
        out_pitch = tile.pixels.width * pixel
        start = (part.y - tile.pixels.y) * out_pitch + (part.x - tile.pixels.x) * pixel
        out = tile.out + start + first * element
        values = {
            "address": (tile.address + first * element + y * pitch)
            % self._config.activation_buffer_bytes,
            "y": y,
            "x": x,
            "height": tile.source.height,
            "width": pitch,
            **row_loop("py", part.height, dy=window.stride[0], pitch=pitch),
            **offset_loop("px", part.width, dx=window.stride[1] * pixel),
            **row_loop("wy", window.kernel[0], dy=window.dilation[0], pitch=pitch),
            **offset_loop("wx", window.kernel[1], dx=window.dilation[1] * pixel),
            "source": PostSource.ACTIVATION,
            "mode": PostMode.SUM if isinstance(layer, AveragePool) else PostMode.MAX,
            "unsigned": int(not layer.input.signed),
            **post_fields(layer, parameters, count),
            "out_address": out,
            "out_py": out_pitch,
            "out_px": pixel,
            **self._operand_fields(tile, start, first * element, out_pitch),
            "table": self._table + 1 if isinstance(layer, Table) else 0,
        }
        last = out + (part.height - 1) * out_pitch + (part.width - 1) * pixel + count * element
        return self._emission.step(
            Engine.POST,
            values,
            reads=self._reads(tile, parameters),
            writes=(Region("activation", out, last),),
        )

    def _operand_fields(
        self, tile: _Tile, start: int, first: int, out_pitch: int
    ) -> dict[str, int]:
        layer = self._layer
        if not isinstance(layer, Add | Multiply):
            return NO_OPERAND
        kind = PostOperand.ADD if isinstance(layer, Add) else PostOperand.MULTIPLY
        pixel = tile.channels * self._config.activation_bytes
        steps = (0, 0, 0) if self._broadcasts else (start, out_pitch, pixel)
        return {
            "operand": kind,
            "operand_unsigned": int(not layer.other.signed),
            "operand_address": tile.operand + steps[0] + first,
            "operand_py": steps[1],
            "operand_px": steps[2],
        }

    def _reads(self, tile: _Tile, parameters: int) -> tuple[Region, ...]:
        pixel = tile.channels * self._config.activation_bytes
        size = tile.source.pixels * pixel
        reads = [
            Region("activation", tile.address, tile.address + size),
            self._emission.parameter_region(parameters),
        ]
        if self._operands is not None:
            pixels = 1 if self._broadcasts else tile.pixels.pixels
            end = tile.operand + pixels * pixel
            reads.append(Region("activation", tile.operand, end))
        if isinstance(self._layer, Table):
            size = self._config.table_bytes
            reads.append(Region("table", self._table * size, (self._table + 1) * size))
        return tuple(reads)


def _ring(slots: Slots | None, config: AcceleratorConfig) -> SlotRing | None:
    return None if slots is None else slot_ring(slots, config)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(start, length) of runs of equal rows."""
    changes = np.flatnonzero((numbers[1:] != numbers[:-1]).any(axis=1)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(numbers)]):
        yield start, stop - start
