"""Commands of layers without the array: pooling, elementwise, tables, depthwise convolutions.

The post-processor reads the activation buffer by itself, the array rests.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from arch.commands import PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import block_numbers
from compiler.emit_common import Emission, Placement
from compiler.emit_post import PostEmitter, PostSourceTile
from compiler.fusion import FusedLayer
from compiler.geometry import Span2D, halo, spans, tiles, window_parts
from compiler.homes import Tiles
from compiler.waits import Step
from sim.network import AveragePool


class MapEmitter:
    """Turns one layer and its mapping into steps."""

    def __init__(
        self, layer: FusedLayer, mapping: Mapping, place: Placement, config: AcceleratorConfig
    ) -> None:
        self._mapping = mapping
        self._place = place
        self._config = config
        self._shape = layer.shape.window
        self._emission = Emission(place, config)
        self._post = PostEmitter(layer, mapping, place, self._emission, config)
        self._inputs = Tiles(layer.input.shape, place.input, mapping.inputs, config)
        self._outputs = Tiles(layer.output.shape, place.output, mapping.outputs, config)
        self._depthwise = layer.depthwise is not None
        ofmap = self._shape.ofmap
        self._blocks = (
            block_numbers(layer.pool)
            if isinstance(layer.pool, AveragePool)
            else np.zeros((ofmap.height, ofmap.width), np.int64)
        )

    def steps(self) -> Iterator[Step]:
        """All commands of the layer, in program order."""
        yield from self._post.start()
        ofmap, mapping = self._shape.ofmap, self._mapping
        group = mapping.tile_groups * self._config.cols
        for out in tiles(ofmap, mapping.tile_height, mapping.tile_width):
            for channel, channels in spans(ofmap.channels, group):
                yield from self._tile(out, channel, channels)

    def _tile(self, out: Span2D, channel: int, channels: int) -> Iterator[Step]:
        window = self._shape.window
        operand, loads = self._post.operand(out, channel, channels)
        target, _ = self._outputs.take(out, channel, channels)
        for taps in window_parts(window, *self._mapping.window):
            # A depthwise convolution's windows are columns of the kernel.
            columns = taps._replace(width=1) if self._depthwise else taps
            area = halo(window, self._shape.ifmap, out, taps)
            source, missing = self._inputs.take(area, channel, channels)
            if missing:
                yield from self._emission.load_map(self._place.input.memory, source)
            # Second operands come behind the inputs.
            yield from loads
            loads = []
            read = PostSourceTile(
                source=PostSource.ACTIVATION,
                tile=source,
                reads=source.region(area, channel, channels),
                taps=columns,
            )
            for part in self._uniform_parts(out):
                block = int(self._blocks[part.y, part.x])
                for first, count in spans(channels, self._config.cols):
                    span = channel + first, count
                    if self._depthwise:
                        block = span[0] // self._config.cols
                    yield from self._post.post(read, part, span, block, operand, target)
        yield from self._emission.store_map(target, out, channel, channels)

    def _uniform_parts(self, out: Span2D) -> Iterator[Span2D]:
        """``out`` cut into rectangles whose pixels share their parameters."""
        numbers = self._blocks[out.y : out.y + out.height, out.x : out.x + out.width]
        for y, height in _runs(numbers):
            for x, width in _runs(numbers.T):
                yield Span2D(y=out.y + y, x=out.x + x, height=height, width=width)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(start, length) of runs of equal rows."""
    changes = np.flatnonzero((numbers[1:] != numbers[:-1]).any(axis=1)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(numbers)]):
        yield start, stop - start
