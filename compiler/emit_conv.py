"""Commands of a convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, product, repeat
from typing import NamedTuple

from arch.commands import Engine, LoadTarget, Pattern, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping, Order
from arch.timing import step_cycles
from compiler.emit_common import Emission, Placement, offset_loop, row_loop
from compiler.emit_depthwise import DepthwiseEmitter
from compiler.emit_post import PostEmitter, PostSourceTile
from compiler.fusion import FusedLayer
from compiler.geometry import (
    Columns,
    Part,
    Span2D,
    all_taps,
    column_groups,
    halo,
    parts,
    reductions,
    spans,
    tiles,
)
from compiler.homes import Home, OnChip, Tiles
from compiler.memory_map import MapPlace
from compiler.slots import SlotRing
from compiler.waits import Region, Step
from sim.network import Conv


@dataclass(frozen=True, kw_only=True)
class _Group:
    """One group of columns: its number, its parts, and where its weights begin."""

    index: int
    columns: Columns
    parts: tuple[Part, ...]
    weights: int


class _Pixels(NamedTuple):
    """A rectangle of output pixels; ``sums`` are the convolution's pixels that they are made of,
    ``source`` the input's."""

    outputs: Span2D
    sums: Span2D
    source: Span2D
    drains: tuple[PostSourceTile, ...]
    """The sums in either half of the accumulators."""


class _Channels(NamedTuple):
    """Some groups of columns, and the output channels that they make."""

    groups: tuple[_Group, ...]
    channel: int
    """The first."""
    channels: int


class ConvEmitter:
    """Turns one convolution, what is fused to it, and its mapping into steps."""

    def __init__(
        self,
        layer: FusedLayer,
        conv: Conv,
        mapping: Mapping,
        place: Placement,
        config: AcceleratorConfig,
    ) -> None:
        self._layer = conv
        self._window = layer.shape.window
        self._mapping = mapping
        self._place = place
        self._config = config
        self._emission = Emission(place, config)
        shared = None if layer.front is None else 0
        self._post = PostEmitter(layer, mapping, place, self._emission, config, shared)
        self._groups = tuple(self._lay_out_weights())
        self._depthwise: DepthwiseEmitter | None = None
        source = place.input
        if layer.front is not None:
            self._depthwise = DepthwiseEmitter(layer.front, mapping, place, self._emission, config)
            source = Home(memory=None, chip=None)
        self._inputs = Tiles(conv.input.shape, source, mapping.inputs, config)
        self._outputs = Tiles(layer.output.shape, place.output, mapping.outputs, config)
        largest = max(part.tiles for group in self._groups for part in group.parts)
        chunk = largest * config.weight_tile_bytes
        self._weights = SlotRing(base=0, size=chunk, count=config.weight_buffer_bytes // chunk)
        entries = config.accumulator_half_entries
        self._halves = cycle((0, 1))
        self._half_regions = [Region("accumulator", half, half + entries) for half in (0, entries)]
        self._patterns: dict[tuple[object, ...], Pattern] = {}

    def _lay_out_weights(self) -> Iterator[_Group]:
        shape, mapping, config = self._layer.shape, self._mapping, self._config
        address = self._place.weights
        for index, columns in enumerate(column_groups(shape, config.cols)):
            blocks = reductions(shape, columns, mapping.channel_block, config)
            yield _Group(
                index=index,
                columns=columns,
                parts=tuple(parts(blocks, mapping.split)),
                weights=address,
            )
            address += sum(each.tiles for each in blocks) * config.weight_tile_bytes

    def steps(self) -> Iterator[Step]:
        """All commands of the layer, in program order."""
        yield from self._post.start()
        ahead = self._work_ahead()
        yield from next(ahead)
        for pixels, (groups, channel, channels) in self._works():
            outputs = pixels.outputs
            out, _ = self._outputs.take(outputs, channel, channels)
            operand, loads = self._post.operand(outputs, channel, channels)
            for group in groups:
                sums = pixels.drains[next(self._halves)]
                yield from self._sum(pixels, group, sums.reads)
                # Second operands come behind the inputs: these are needed first.
                yield from loads
                loads = []
                # While the array sums: drained right after it, a sum never waits for these.
                yield from next(ahead)
                span = group.columns.channel, group.columns.channels
                yield from self._post.post(sums, outputs, span, group.index, operand, out)
            yield from self._emission.store_map(out, outputs, channel, channels)

    def _work_ahead(self) -> Iterator[list[Step]]:
        """What is done for tiles to come: first once, then at each group of columns."""
        if self._depthwise is None:
            return repeat([])
        areas, tiles = self._rectangles(), sum(part.tiles for part in self._groups[0].parts)
        turn = tiles * step_cycles(self._config, areas[0].pixels)
        return self._depthwise.shares(areas, self._inputs, len(self._groups), turn)

    def _rectangles(self) -> list[Span2D]:
        return list(tiles(self._window.ofmap, self._mapping.tile_height, self._mapping.tile_width))

    def _works(self) -> Iterator[tuple[_Pixels, _Channels]]:
        """The output tiles, in order."""
        mapping = self._mapping
        rectangles = map(self._pixels, self._rectangles())
        ranges = [
            _channels(self._groups[start : start + count])
            for start, count in spans(len(self._groups), mapping.tile_groups)
        ]
        if mapping.order is Order.PIXELS_OUTER:
            return product(rectangles, ranges)
        return ((pixels, channels) for channels, pixels in product(ranges, rectangles))

    def _pixels(self, outputs: Span2D) -> _Pixels:
        window = self._window
        sums = halo(window.window, window.ifmap, outputs)
        source = halo(self._layer.shape.window, self._layer.input.shape, sums)
        drains = tuple(self._drain(sums, half) for half in self._half_regions)
        return _Pixels(outputs, sums, source, drains)

    def _drain(self, sums: Span2D, half: Region) -> PostSourceTile:
        entries = MapPlace(address=half.start, pixel_pitch=1, row_pitch=sums.width)
        tile = OnChip(area=sums, channel=0, channels=1, place=entries)
        taps = all_taps(self._window.window)
        return PostSourceTile(source=PostSource.ACCUMULATOR, tile=tile, reads=half, taps=taps)

    def _sum(self, pixels: _Pixels, group: _Group, sums: Region) -> Iterator[Step]:
        """One group of columns of one tile into the accumulators ``sums``: weights, inputs, execute
        commands."""
        for part in group.parts:
            weights, missing = self._weights.take((group.index, part.first_tile))
            if missing:
                yield self._load_weights(group, part, weights)
            block, channels = part.reduction.block, part.reduction.block_channels
            tile, missing = self._inputs.take(pixels.source, block, channels)
            if missing:
                yield from self._emission.load_map(self._place.input.memory, tile)
            yield self._execute(pixels, part, tile, weights, sums)

    def _load_weights(self, group: _Group, part: Part, address: int) -> Step:
        tile = self._config.weight_tile_bytes
        return self._emission.load_constants(
            LoadTarget.WEIGHT,
            dram=group.weights + part.first_tile * tile,
            size=part.tiles * tile,
            address=address,
        )

    def _execute(
        self, pixels: _Pixels, part: Part, tile: OnChip, weights: int, sums: Region
    ) -> Step:
        place = tile.place
        y, x = self._first(pixels.sums, part, tile)
        pattern = self._pattern(pixels.sums, part, tile, y, x)
        address = (place.address + y * place.row_pitch) % self._config.activation_buffer_bytes
        stop = weights + part.tiles * self._config.weight_tile_bytes
        reads = (
            tile.region(pixels.source, tile.channel, tile.channels),
            Region("weight", weights, stop),
        )
        return self._emission.step(pattern, (address, weights, sums.start), reads, (sums,))

    def _first(self, sums: Span2D, part: Part, tile: OnChip) -> tuple[int, int]:
        """The row and the offset in it of the first position that ``part`` reads of ``tile``."""
        window, place, (ky, kx, kc) = self._layer.shape.window, tile.place, part.start
        y = sums.y * window.stride[0] - window.padding[0] + ky * window.dilation[0]
        x = sums.x * window.stride[1] - window.padding[1] + kx * window.dilation[1]
        channel = part.reduction.channel - tile.channel + kc * self._config.rows
        return y - tile.area.y, (x - tile.area.x) * place.pixel_pitch + channel * place.element

    def _pattern(self, sums: Span2D, part: Part, tile: OnChip, y: int, x: int) -> Pattern:
        """The pattern of an execute command whose first position is (``y``, ``x``) of ``tile``."""
        place, accumulate = tile.place, int(part.first_tile > 0)
        pixel, pitch = place.pixel_pitch, place.row_pitch
        key = (
            *(y, x, tile.area.height, tile.row_bytes, pixel, pitch),
            *(part.count, sums.height, sums.width, accumulate),
        )
        pattern = self._patterns.get(key)
        if pattern is not None:
            return pattern
        config, source, window = self._config, self._layer.input, self._layer.shape.window
        n_ky, n_kx, n_kc = part.count
        fields = {
            "y": y,
            "x": x,
            "height": tile.area.height,
            "width": tile.row_bytes,
            **row_loop("ky", n_ky, dy=window.dilation[0], pitch=pitch),
            **offset_loop("kx", n_kx, dx=window.dilation[1] * pixel),
            **offset_loop("kc", n_kc, dx=config.rows * place.element),
            **row_loop("oy", sums.height, dy=window.stride[0], pitch=pitch),
            **offset_loop("ox", sums.width, dx=window.stride[1] * pixel),
            "padding": source.zero_point & (1 << config.activation_bits) - 1,
            "unsigned": int(not source.signed),
            "accumulate": accumulate,
        }
        pattern = self._patterns[key] = Pattern(Engine.EXECUTE, fields)
        return pattern


def _channels(groups: tuple[_Group, ...]) -> _Channels:
    channels = sum(group.columns.channels for group in groups)
    return _Channels(groups, groups[0].columns.channel, channels)
