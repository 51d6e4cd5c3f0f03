"""Commands of a depthwise convolution in front of a 1x1 one, which the post-processor computes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from arch.commands import PostSource
from arch.config import AcceleratorConfig, ceil_div
from arch.mapping import Mapping
from arch.post_timing import post_interval
from compiler.constants import alone
from compiler.emit_common import Emission, Placement
from compiler.emit_post import PostEmitter, PostSourceTile
from compiler.geometry import Span2D, all_taps, halo, spans
from compiler.homes import OnChip, Tiles
from compiler.post_walk import kernel_columns
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
        self._shape = layer.shape
        self._memory = place.input.memory
        self._emission = emission
        self._config = config
        self._inputs = Tiles(layer.input.shape, place.input, mapping.depthwise, config)
        self._post = PostEmitter(
            alone(layer),
            mapping,
            replace(place, parameters=place.depthwise),
            emission,
            config,
            shared=1,
        )

    def shares(
        self, areas: Sequence[Span2D], outputs: Tiles, turns: int, turn_cycles: int
    ) -> Iterator[list[Step]]:
        """First all that ``areas[0]`` of ``outputs`` needs; then, for each of ``turns`` turns of
        each area, a share of what the next area needs.

        A turn is one group of columns, which takes the array ``turn_cycles`` for the largest area.
        """
        channels = self._shape.out_channels
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
        groups = ceil_div(self._shape.out_channels, self._config.cols)
        window = self._shape.window
        interval = post_interval(self._config, window.kernel[0])
        cycles = area.height * kernel_columns(window, area.width) * interval
        pieces = min(ceil_div(cycles, turn_cycles), turns // groups)
        return ceil_div(area.height, max(1, pieces))

    def _group(
        self, area: Span2D, part: Span2D, span: tuple[int, int], target: OnChip
    ) -> Iterator[Step]:
        """The outputs ``part`` of ``area``, channels ``span`` (first, count), into ``target``."""
        channel, channels = span
        window = self._shape.window
        inputs = halo(window, self._shape.ifmap, area)
        source, missing = self._inputs.take(inputs, channel, channels)
        if missing:
            yield from self._emission.load_map(self._memory, source)
        read = PostSourceTile(
            source=PostSource.ACTIVATION,
            tile=source,
            reads=source.region(inputs, channel, channels),
            taps=all_taps(replace(window, kernel=(window.kernel[0], 1))),
        )
        block = channel // self._config.cols
        yield from self._post.post(read, part, span, block, None, target)
