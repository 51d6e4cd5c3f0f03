"""Commands of a convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, repeat

from arch.commands import Engine, LoadTarget, PostSource
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


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One output tile: a rectangle of pixels and some groups of columns.

    ``sums`` are the convolution's pixels that the outputs are made of, ``source`` the input's.
    """

    pixels: Span2D
    sums: Span2D
    source: Span2D
    groups: tuple[_Group, ...]

    @property
    def channel(self) -> int:
        """First output channel."""
        return self.groups[0].columns.channel

    @cached_property
    def channels(self) -> int:
        """Output channels."""
        return sum(group.columns.channels for group in self.groups)


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
        self._emission = Emission(layer, place, config)
        self._post = PostEmitter(layer, mapping, place, self._emission, config)
        self._groups = tuple(self._lay_out_weights())
        self._depthwise: DepthwiseEmitter | None = None
        source = place.input
        if layer.depthwise is not None:
            self._depthwise = DepthwiseEmitter(
                layer.depthwise, mapping, place, self._emission, config
            )
            source = Home(memory=None, chip=None)
        self._inputs = Tiles(conv.input.shape, source, mapping.inputs, config)
        self._outputs = Tiles(layer.output.shape, place.output, mapping.outputs, config)
        largest = max(part.tiles for group in self._groups for part in group.parts)
        chunk = largest * config.weight_tile_bytes
        self._weights = SlotRing(base=0, size=chunk, count=config.weight_buffer_bytes // chunk)
        entries = config.accumulator_half_entries
        self._halves = cycle((0, entries))
        self._half_regions = {
            half: Region("accumulator", half, half + entries) for half in (0, entries)
        }

    def _lay_out_weights(self) -> Iterator[_Group]:
        shape, mapping, config = self._layer.shape, self._mapping, self._config
        address = self._place.weights
        for index, columns in enumerate(column_groups(shape, config.cols)):
            blocks = reductions(shape, columns, mapping.channel_block, config.rows)
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
        for work in self._works():
            out, _ = self._outputs.take(work.pixels, work.channel, work.channels)
            operand, loads = self._post.operand(work.pixels, work.channel, work.channels)
            for group in work.groups:
                half = next(self._halves)
                yield from self._sum(work, group, half)
                # Second operands come behind the inputs: these are needed first.
                yield from loads
                loads = []
                # While the array sums: drained right after it, a sum never waits for these.
                yield from next(ahead)
                yield from self._post_process(work, group, half, operand, out)
            yield from self._emission.store_map(out, work.pixels, work.channel, work.channels)

    def _work_ahead(self) -> Iterator[list[Step]]:
        """What is done for tiles to come: first once, then at each group of columns."""
        if self._depthwise is None:
            return repeat([])
        areas, tiles = self._rectangles(), sum(part.tiles for part in self._groups[0].parts)
        turn = tiles * step_cycles(self._config, areas[0].pixels)
        return self._depthwise.shares(areas, self._inputs, len(self._groups), turn)

    def _rectangles(self) -> list[Span2D]:
        return list(tiles(self._window.ofmap, self._mapping.tile_height, self._mapping.tile_width))

    def _works(self) -> Iterator[_Work]:
        window, mapping = self._window, self._mapping
        rectangles = self._rectangles()
        ranges = [
            self._groups[start : start + count]
            for start, count in spans(len(self._groups), mapping.tile_groups)
        ]
        if mapping.order is Order.PIXELS_OUTER:
            pairs = ((pixels, groups) for pixels in rectangles for groups in ranges)
        else:
            pairs = ((pixels, groups) for groups in ranges for pixels in rectangles)
        for pixels, groups in pairs:
            sums = halo(window.window, window.ifmap, pixels)
            source = halo(self._layer.shape.window, self._layer.input.shape, sums)
            yield _Work(pixels=pixels, sums=sums, source=source, groups=groups)

    def _sum(self, work: _Work, group: _Group, half: int) -> Iterator[Step]:
        """One group of columns of one tile into the accumulators: weights, inputs, execute
        commands."""
        for part in group.parts:
            weights, missing = self._weights.take((group.index, part.first_tile))
            if missing:
                yield self._load_weights(group, part, weights)
            block, channels = part.reduction.block, part.reduction.block_channels
            tile, missing = self._inputs.take(work.source, block, channels)
            if missing:
                yield from self._emission.load_map(self._place.input.memory, tile)
            yield self._execute(work, part, tile, weights, half)

    def _load_weights(self, group: _Group, part: Part, address: int) -> Step:
        tile = self._config.weight_tile_bytes
        return self._emission.load_constants(
            LoadTarget.WEIGHT,
            dram=group.weights + part.first_tile * tile,
            size=part.tiles * tile,
            address=address,
        )

    def _execute(self, work: _Work, part: Part, tile: OnChip, weights: int, half: int) -> Step:
        layer, config, sums = self._layer, self._config, work.sums
        window, reduction = layer.shape.window, part.reduction
        pixel, pitch, element = tile.place.pixel_pitch, tile.place.row_pitch, tile.place.element
        (ky, kx, kc), (n_ky, n_kx, n_kc) = part.start, part.count
        step_x = window.dilation[1] * pixel
        y = sums.y * window.stride[0] - window.padding[0] - tile.area.y + ky * window.dilation[0]
        x = (sums.x * window.stride[1] - window.padding[1] - tile.area.x) * pixel
        x += (reduction.channel - tile.channel + kc * config.rows) * element + kx * step_x
        values = {
            "address": (tile.place.address + y * pitch) % config.activation_buffer_bytes,
            "y": y,
            "x": x,
            "height": tile.area.height,
            "width": tile.row_bytes,
            **row_loop("ky", n_ky, dy=window.dilation[0], pitch=pitch),
            **offset_loop("kx", n_kx, dx=step_x),
            **offset_loop("kc", n_kc, dx=config.rows * element),
            **row_loop("oy", sums.height, dy=window.stride[0], pitch=pitch),
            **offset_loop("ox", sums.width, dx=window.stride[1] * pixel),
            "padding": layer.input.zero_point & (1 << config.activation_bits) - 1,
            "unsigned": int(not layer.input.signed),
            "weight_address": weights,
            "accumulator_address": half,
            "accumulate": int(part.first_tile > 0),
        }
        stop = weights + part.tiles * config.weight_tile_bytes
        return self._emission.step(
            Engine.EXECUTE,
            values,
            reads=(
                tile.region(work.source, tile.channel, tile.channels),
                Region("weight", weights, stop),
            ),
            writes=(self._half_regions[half],),
        )

    def _post_process(
        self, work: _Work, group: _Group, half: int, operand: OnChip | None, out: OnChip
    ) -> Iterator[Step]:
        """One group of columns of one tile out of the accumulators."""
        entries = MapPlace(address=half, pixel_pitch=1, row_pitch=work.sums.width)
        source = PostSourceTile(
            source=PostSource.ACCUMULATOR,
            tile=OnChip(area=work.sums, channel=0, channels=1, place=entries),
            reads=self._half_regions[half],
            taps=all_taps(self._window.window),
        )
        span = group.columns.channel, group.columns.channels
        yield from self._post.post(source, work.pixels, span, group.index, operand, out)
