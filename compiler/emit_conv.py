"""Commands of a convolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from arch.commands import Engine, LoadTarget, PostMode, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping, Order
from compiler.emit_common import Emission, Placement, loop, post_fields, slot_ring
from compiler.geometry import Part, Span2D, halo, parts, reductions, spans, tiles
from compiler.slots import SlotRing
from compiler.waits import Region, Step
from sim.network import Conv


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One output tile: a rectangle of pixels and a range of channels."""

    pixels: Span2D
    channel: int
    channels: int


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
        blocks = reductions(layer.shape, mapping.channel_block, config.rows)
        self._tiles = sum(each.tiles for each in blocks)
        self._parts = list(parts(blocks, mapping.split))
        self._inputs = slot_ring(mapping.inputs, config)
        self._outputs = slot_ring(mapping.outputs, config)
        chunk = max(part.tiles for part in self._parts) * config.weight_tile_bytes
        self._weights = SlotRing(base=0, size=chunk, count=config.weight_buffer_bytes // chunk)
        block = config.parameter_block_words
        self._parameters = SlotRing(base=0, size=block, count=config.parameter_words // block)
        self._halves = cycle((0, config.accumulator_half_entries))

    def steps(self) -> Iterator[Step]:
        """All commands of the layer, in program order."""
        for work in self._works():
            out, _ = self._outputs.take(work)
            for channel, channels in spans(work.channels, self._config.cols):
                yield from self._columns(work, channel, channels, out)
            yield from self._emission.store_map(work.pixels, work.channel, work.channels, out)

    def _works(self) -> Iterator[_Work]:
        ofmap, mapping = self._layer.shape.ofmap, self._mapping
        rectangles = list(tiles(ofmap, mapping.tile_height, mapping.tile_width))
        groups = list(spans(ofmap.channels, mapping.tile_channels))
        if mapping.order is Order.PIXELS_OUTER:
            pairs = ((pixels, group) for pixels in rectangles for group in groups)
        else:
            pairs = ((pixels, group) for group in groups for pixels in rectangles)
        for pixels, (channel, channels) in pairs:
            yield _Work(pixels=pixels, channel=channel, channels=channels)

    def _columns(self, work: _Work, channel: int, channels: int, out: int) -> Iterator[Step]:
        """One group of columns of one tile: weights, inputs, execute commands, post-processing."""
        column_group = (work.channel + channel) // self._config.cols
        half = next(self._halves)
        source = halo(self._layer.shape.window, self._layer.input.shape, work.pixels)
        for part in self._parts:
            weights, missing = self._weights.take((column_group, part.first_tile))
            if missing:
                yield self._load_weights(column_group, part, weights)
            block = part.reduction
            address, missing = self._inputs.take((source, block.channel))
            if missing:
                yield from self._emission.load_map(source, block.channel, block.channels, address)
            yield self._execute(work.pixels, part, source, address, weights, half)
        parameters, missing = self._parameters.take(column_group)
        if missing:
            yield self._emission.load_parameters(column_group, parameters)
        yield self._post(work, channel, channels, parameters, half, out)

    def _load_weights(self, column_group: int, part: Part, address: int) -> Step:
        tile = self._config.weight_tile_bytes
        first = column_group * self._tiles + part.first_tile
        return self._emission.load(
            LoadTarget.WEIGHT,
            dram=self._place.weights + first * tile,
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
        window, channels = layer.shape.window, part.reduction.channels
        pitch = source.width * channels
        (ky, kx, kc), (n_ky, n_kx, n_kc) = part.start, part.count
        step_x = window.dilation[1] * channels
        y = out.y * window.stride[0] - window.padding[0] - source.y + ky * window.dilation[0]
        x = (out.x * window.stride[1] - window.padding[1] - source.x) * channels
        x += kx * step_x + kc * config.rows
        values = {
            "address": (address + y * pitch + x) % config.activation_buffer_bytes,
            "y": y,
            "x": x,
            "height": source.height,
            "width": pitch,
            **loop("ky", n_ky, dy=window.dilation[0], pitch=pitch),
            **loop("kx", n_kx, dx=step_x),
            **loop("kc", n_kc, dx=config.rows),
            **loop("oy", out.height, dy=window.stride[0], pitch=pitch),
            **loop("ox", out.width, dx=window.stride[1] * channels),
            "padding": layer.input.zero_point & 0xFF,
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
                Region("activation", address, address + source.pixels * channels),
                Region("weight", weights, stop),
            ),
            writes=(Region("accumulator", half, half + config.accumulator_half_entries),),
        )

    def _post(
        self, work: _Work, channel: int, channels: int, parameters: int, half: int, out: int
    ) -> Step:
        height, width = work.pixels.height, work.pixels.width
        values = {
            "address": half,
            "y": 0,
            "x": 0,
            "height": height,
            "width": width,
            **loop("py", height, dy=1, pitch=width),
            **loop("px", width, dx=1),
            **loop("wy", 1),
            **loop("wx", 1),
            "source": PostSource.ACCUMULATOR,
            "mode": PostMode.MAX,
            "unsigned": 0,
            **post_fields(self._layer, parameters, channels),
            "out_address": out + channel,
            "out_py": width * work.channels,
            "out_px": work.channels,
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
                    out + channel,
                    out + channel + (work.pixels.pixels - 1) * work.channels + channels,
                ),
            ),
        )
