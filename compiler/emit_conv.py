"""Commands of a convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from arch.commands import Engine, LoadTarget, PostMode, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping, Order
from compiler.emit_common import (
    NO_OPERAND,
    Emission,
    Placement,
    offset_loop,
    post_fields,
    row_loop,
    slot_ring,
)
from compiler.geometry import (
    Columns,
    Part,
    Span2D,
    column_groups,
    halo,
    parts,
    reductions,
    spans,
    tiles,
)
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
    """One output tile: a rectangle of pixels and some groups of columns."""

    pixels: Span2D
    groups: tuple[_Group, ...]

    @property
    def channel(self) -> int:
        """First output channel."""
        return self.groups[0].columns.channel

    @property
    def channels(self) -> int:
        """Output channels."""
        return sum(group.columns.channels for group in self.groups)


class ConvEmitter:
    """Turns one convolution and its mapping into steps."""

    def __init__(
        self, layer: Conv, mapping: Mapping, place: Placement, config: AcceleratorConfig
    ) -> None:
        self._layer = layer
        self._mapping = mapping
        self._place = place
        self._config = config
        self._emission = Emission(layer, place, config)
        self._groups = tuple(self._lay_out_weights())
        self._inputs = slot_ring(mapping.inputs, config)
        self._outputs = slot_ring(mapping.outputs, config)
        largest = max(part.tiles for group in self._groups for part in group.parts)
        chunk = largest * config.weight_tile_bytes
        self._weights = SlotRing(base=0, size=chunk, count=config.weight_buffer_bytes // chunk)
        self._parameters = self._emission.parameter_ring()
        self._halves = cycle((0, config.accumulator_half_entries))

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
        for work in self._works():
            out, _ = self._outputs.take(work)
            for group in work.groups:
                yield from self._group(work, group, out)
            yield from self._emission.store_map(work.pixels, work.channel, work.channels, out)

    def _works(self) -> Iterator[_Work]:
        ofmap, mapping = self._layer.shape.ofmap, self._mapping
        rectangles = list(tiles(ofmap, mapping.tile_height, mapping.tile_width))
        ranges = [
            self._groups[start : start + count]
            for start, count in spans(len(self._groups), mapping.tile_groups)
        ]
        if mapping.order is Order.PIXELS_OUTER:
            pairs = ((pixels, groups) for pixels in rectangles for groups in ranges)
        else:
            pairs = ((pixels, groups) for groups in ranges for pixels in rectangles)
        for pixels, groups in pairs:
            yield _Work(pixels=pixels, groups=groups)

    def _group(self, work: _Work, group: _Group, out: int) -> Iterator[Step]:
        """One group of columns of one tile: weights, inputs, execute commands, post-processing."""
        half = next(self._halves)
        source = halo(self._layer.shape.window, self._layer.input.shape, work.pixels)
        for part in group.parts:
            weights, missing = self._weights.take((group.index, part.first_tile))
            if missing:
                yield self._load_weights(group, part, weights)
            block, channels = part.reduction.block, part.reduction.block_channels
            address, missing = self._inputs.take((source, block))
            if missing:
                yield from self._emission.load_map(
                    self._place.input, source, block, channels, address
                )
            yield self._execute(work.pixels, part, source, address, weights, half)
        parameters, missing = self._parameters.take(group.index)
        if missing:
            yield self._emission.load_parameters(group.index, parameters)
        yield self._post(work, group.columns, parameters, half, out)

    def _load_weights(self, group: _Group, part: Part, address: int) -> Step:
        tile = self._config.weight_tile_bytes
        return self._emission.load(
            LoadTarget.WEIGHT,
            dram=group.weights + part.first_tile * tile,
            dram_pitch=0,
            row_bytes=part.tiles * tile,
            rows=1,
            address=address,
            pitch=0,
        )

    def _execute(
        self, out: Span2D, part: Part, source: Span2D, address: int, weights: int, half: int
    ) -> Step:
        layer, config = self._layer, self._config
        window, element = layer.shape.window, config.activation_bytes
        pixel = part.reduction.block_channels * element
        pitch = source.width * pixel
        (ky, kx, kc), (n_ky, n_kx, n_kc) = part.start, part.count
        step_x = window.dilation[1] * pixel
        y = out.y * window.stride[0] - window.padding[0] - source.y + ky * window.dilation[0]
        x = (out.x * window.stride[1] - window.padding[1] - source.x) * pixel
        x += (part.reduction.channel - part.reduction.block + kc * config.rows) * element
        x += kx * step_x
        values = {
            "address": (address + y * pitch) % config.activation_buffer_bytes,
            "y": y,
            "x": x,
            "height": source.height,
            "width": pitch,
            **row_loop("ky", n_ky, dy=window.dilation[0], pitch=pitch),
            **offset_loop("kx", n_kx, dx=step_x),
            **offset_loop("kc", n_kc, dx=config.rows * element),
            **row_loop("oy", out.height, dy=window.stride[0], pitch=pitch),
            **offset_loop("ox", out.width, dx=window.stride[1] * pixel),
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
                Region("activation", address, address + source.pixels * pixel),
                Region("weight", weights, stop),
            ),
            writes=(Region("accumulator", half, half + config.accumulator_half_entries),),
        )

    def _post(self, work: _Work, columns: Columns, parameters: int, half: int, out: int) -> Step:
        height, width = work.pixels.height, work.pixels.width
        element = self._config.activation_bytes
        pixel = work.channels * element
        start = out + (columns.channel - work.channel) * element
        values = {
            "address": half,
            "y": 0,
            "x": 0,
            "height": height,
            "width": width,
            **row_loop("py", height, dy=1, pitch=width),
            **offset_loop("px", width, dx=1),
            **row_loop("wy", 1),
            **offset_loop("wx", 1),
            "source": PostSource.ACCUMULATOR,
            "mode": PostMode.MAX,
            "unsigned": 0,
            **post_fields(self._layer, parameters, columns.channels),
            "out_address": start,
            "out_py": width * pixel,
            "out_px": pixel,
            **NO_OPERAND,
            "table": 0,
        }
        return self._emission.step(
            Engine.POST,
            values,
            reads=(
                Region("accumulator", half, half + self._config.accumulator_half_entries),
                self._emission.parameter_region(parameters),
            ),
            writes=(
                Region(
                    "activation",
                    start,
                    start + (work.pixels.pixels - 1) * pixel + columns.channels * element,
                ),
            ),
        )
