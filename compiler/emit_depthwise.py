"""Commands of a depthwise convolution in front of a 1x1 one, which the post-processor computes."""

from collections.abc import Iterator, Sequence

from arch.commands import PostMode, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import depthwise_words
from compiler.emit_common import Emission, Placement
from compiler.emit_post import NO_OPERAND, PostSourceTile, post_step
from compiler.geometry import Span2D, all_taps, halo, spans
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
        self._inputs = Tiles(layer.input.shape, place.input, mapping.depthwise, config)
        self._parameters = ParameterBlocks(
            emission,
            config,
            memory=place.depthwise,
            words=depthwise_words(layer.shape, config),
            shared=1,
        )

    def shares(self, areas: Sequence[Span2D], outputs: Tiles, turns: int) -> Iterator[list[Step]]:
        """First all that ``areas[0]`` of ``outputs`` needs; then, for each of ``turns`` turns of
        each area, a share of what the next area needs."""
        channels = self._layer.output.shape.channels
        groups = list(spans(channels, self._config.cols))
        for number, area in enumerate(areas):
            target, _ = outputs.take(area, 0, channels)
            for turn in range(turns if number else 1):
                count = turns if number else 1
                first, last = (len(groups) * each // count for each in (turn, turn + 1))
                yield [
                    step for each in groups[first:last] for step in self._group(area, each, target)
                ]
        for _ in range(turns):
            yield []

    def _group(self, area: Span2D, span: tuple[int, int], target: OnChip) -> Iterator[Step]:
        """The outputs ``area``, channels ``span`` (first, count), into ``target``."""
        layer, (channel, channels) = self._layer, span
        window = layer.shape.window
        inputs = halo(window, layer.input.shape, area)
        source, missing = self._inputs.take(inputs, channel, channels)
        if missing:
            yield from self._emission.load_map(self._place.input.memory, source)
        parameters, loads = self._parameters.take(channel // self._config.cols)
        yield from loads
        read = PostSourceTile(
            source=PostSource.ACTIVATION,
            tile=source,
            reads=source.region(inputs, channel, channels),
            taps=all_taps(window),
        )
        yield post_step(
            self._emission,
            self._config,
            window=window,
            source=read,
            part=area,
            span=span,
            mode=PostMode.PRODUCTS,
            unsigned=not layer.input.signed,
            requantised=(layer.output.zero_point, layer.clamp),
            parameters=parameters,
            out=target,
            operand=NO_OPERAND,
            table=0,
        )
