"""Commands of a depthwise convolution in front of a 1x1 one, which the post-processor computes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from arch.commands import Pattern, PostMode, PostSource
from arch.config import AcceleratorConfig, ceil_div
from arch.mapping import Mapping
from arch.post_timing import post_interval
from compiler.constants import depthwise_words
from compiler.depthwise_cost import kernel_columns
from compiler.emit_common import Emission, Placement, window_fields
from compiler.emit_post import PostSourceTile, post_pattern
from compiler.geometry import Span2D, all_taps, first_tap, halo, spans
from compiler.homes import OnChip, Tiles
from compiler.parameter_blocks import ParameterBlocks
from compiler.waits import Step
from sim.network import Conv


class DepthwiseEmitter:
    """Makes the tiles that the 1x1 convolution reads, a group of channels at a time."""

    def __init__(
        self,
        layer: Conv,
        mapping: Mapping,
        place: Placement,
        emission: Emission,
        config: AcceleratorConfig,
    ) -> None:
        self._layer = layer
        self._place = place
        self._emission = emission
        self._config = config
        window = layer.shape.window
        # Windows are one column of the kernel, at every column of the input.
        self._column = replace(window, kernel=(window.kernel[0], 1), stride=(window.stride[0], 1))
        self._taps = all_taps(self._column)
        self._patterns: dict[tuple[int, ...], Pattern] = {}
        self._inputs = Tiles(layer.input.shape, place.input, mapping.depthwise, config)
        self._parameters = ParameterBlocks(
            emission,
            config,
            memory=place.depthwise,
            words=depthwise_words(layer.shape, config),
            shared=1,
        )

    def shares(
        self, areas: Sequence[Span2D], outputs: Tiles, turns: int, turn_cycles: int
    ) -> Iterator[list[Step]]:
        """First all that ``areas[0]`` of ``outputs`` needs; then, for each of ``turns`` turns of
        each area, a share of what the next area needs.

        A turn is one group of columns, which takes the array ``turn_cycles`` for the largest area.
        """
        channels = self._layer.output.shape.channels
        rows = self._rows_at_a_time(areas[0], turns, turn_cycles)
        for number, area in enumerate(areas):
            target, _ = outputs.take(area, 0, channels)
            pieces = [
                (span, area._replace(y=area.y + y, height=height))
                for span in spans(channels, self._config.cols)
                for y, height in spans(area.height, rows)
            ]
            count = turns if number else 1
            for turn in range(count):
                first, last = (len(pieces) * each // count for each in (turn, turn + 1))
                yield [
                    step
                    for span, part in pieces[first:last]
                    for step in self._group(area, part, span, target)
                ]
        for _ in range(turns):
            yield []

    def _rows_at_a_time(self, area: Span2D, turns: int, turn_cycles: int) -> int:
        """Rows of a group of channels that one command makes: few enough that the array need not
        wait for it, if there are turns for the others."""
        groups = ceil_div(self._layer.output.shape.channels, self._config.cols)
        window = self._layer.shape.window
        interval = post_interval(self._config, window.kernel[0])
        cycles = area.height * kernel_columns(window, area.width) * interval
        pieces = min(ceil_div(cycles, turn_cycles), turns // groups)
        return ceil_div(area.height, max(1, pieces))

    def _group(
        self, area: Span2D, part: Span2D, span: tuple[int, int], target: OnChip
    ) -> Iterator[Step]:
        """The outputs ``part`` of ``area``, channels ``span`` (first, count), into ``target``."""
        layer, (channel, channels) = self._layer, span
        window = layer.shape.window
        inputs = halo(window, layer.input.shape, area)
        source, missing = self._inputs.take(inputs, channel, channels)
        if missing:
            yield from self._emission.load_map(self._place.input.memory, source)
        parameters, loads = self._parameters.take(channel // self._config.cols)
        yield from loads
        columns = part._replace(
            x=part.x * window.stride[1], width=kernel_columns(window, part.width)
        )
        y, x = first_tap(self._column, columns, self._taps)
        first = y - inputs.y, x - inputs.x
        place = source.place
        offset = first[0] * place.row_pitch + (channel - source.channel) * place.element
        addresses = (
            (place.address + offset) % self._config.activation_buffer_bytes,
            parameters.start,
            target.address(part.y, part.x, channel),
            0,
        )
        read = PostSourceTile(
            source=PostSource.ACTIVATION,
            tile=source,
            reads=source.region(inputs, channel, channels),
            taps=self._taps,
        )
        pattern = self._pattern(read, columns, first, channels, target)
        writes = (target.region(part, target.channel, target.channels),)
        yield self._emission.step(pattern, addresses, (read.reads, parameters), writes)

    def _pattern(
        self,
        source: PostSourceTile,
        columns: Span2D,
        first: tuple[int, int],
        channels: int,
        out: OnChip,
    ) -> Pattern:
        """The pattern of a command over ``columns``, from ``first`` (y, x) of the source on."""
        tile, place, target = source.tile, source.tile.place, out.place
        key = (
            *(*first, columns.height, columns.width, channels, tile.area.height, tile.row_bytes),
            *(place.row_pitch, place.pixel_pitch, target.row_pitch, target.pixel_pitch),
        )
        pattern = self._patterns.get(key)
        if pattern is None:
            layer, window = self._layer, self._layer.shape.window
            pattern = self._patterns[key] = post_pattern(
                window_fields(self._column, self._taps, columns, tile, first),
                source,
                out,
                channels,
                (layer.output.zero_point, layer.clamp),
                mode=PostMode.PRODUCTS,
                unsigned=not layer.input.signed,
                products={
                    "kernel_rows": window.kernel[0] - 1,
                    "lead": window.kernel[1] - 1,
                    "skip": window.stride[1] - 1,
                },
            )
        return pattern
