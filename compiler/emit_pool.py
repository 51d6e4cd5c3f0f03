"""Commands of a pooling layer: the post-processor reads the activation buffer by itself."""

from collections.abc import Iterator

from arch.commands import Engine, PostMode, PostSource
from arch.config import AcceleratorConfig
from arch.layers import PoolShape, Window
from arch.mapping import Mapping
from compiler.emit_common import Emission, Placement, loop, post_fields, slot_ring
from compiler.geometry import Span2D, halo, spans, tiles
from compiler.waits import Region, Step
from sim.network import GlobalAveragePool, MaxPool


def pool_shape(layer: MaxPool | GlobalAveragePool) -> PoolShape:
    """The window of ``layer``: a global pooling's covers the whole map."""
    if isinstance(layer, MaxPool):
        return layer.shape
    fmap = layer.input.shape
    return PoolShape(ifmap=fmap, window=Window(kernel=(fmap.height, fmap.width)))


class PoolEmitter:
    """Turns one pooling and its mapping into steps."""

    def __init__(
        self,
        layer: MaxPool | GlobalAveragePool,
        mapping: Mapping,
        place: Placement,
        config: AcceleratorConfig,
    ) -> None:
        self._layer = layer
        self._mapping = mapping
        self._config = config
        self._shape = pool_shape(layer)
        self._emission = Emission(layer, place, config)
        self._inputs = slot_ring(mapping.inputs, config)
        self._outputs = slot_ring(mapping.outputs, config)

    def steps(self) -> Iterator[Step]:
        """All commands of the layer, in program order."""
        # Every channel has the same bias and multiplier: one block serves all.
        yield self._emission.load_parameters(0, 0)
        ofmap, mapping = self._shape.ofmap, self._mapping
        for out in tiles(ofmap, mapping.tile_height, mapping.tile_width):
            group = mapping.tile_groups * self._config.cols
            for channel, channels in spans(ofmap.channels, group):
                yield from self._tile(out, channel, channels)

    def _tile(self, out: Span2D, channel: int, channels: int) -> Iterator[Step]:
        source = halo(self._shape.window, self._shape.ifmap, out)
        address, missing = self._inputs.take((source, channel))
        if missing:
            yield from self._emission.load_map(source, channel, channels, address)
        target, _ = self._outputs.take((out, channel))
        for first, count in spans(channels, self._config.cols):
            yield self._post(out, source, channels, first, count, address, target)
        yield from self._emission.store_map(out, channel, channels, target)

    def _post(
        self,
        out: Span2D,
        source: Span2D,
        channels: int,
        first: int,
        count: int,
        address: int,
        target: int,
    ) -> Step:
        """One group of columns of a tile of ``channels`` channels."""
        window = self._shape.window
        pitch = source.width * channels
        y = out.y * window.stride[0] - window.padding[0] - source.y
        x = (out.x * window.stride[1] - window.padding[1] - source.x) * channels
        average = isinstance(self._layer, GlobalAveragePool)
        values = {
            "address": (address + first + y * pitch + x) % self._config.activation_buffer_bytes,
            "y": y,
            "x": x,
            "height": source.height,
            "width": pitch,
            **loop("py", out.height, dy=window.stride[0], pitch=pitch),
            **loop("px", out.width, dx=window.stride[1] * channels),
            **loop("wy", window.kernel[0], dy=window.dilation[0], pitch=pitch),
            **loop("wx", window.kernel[1], dx=window.dilation[1] * channels),
            "source": PostSource.ACTIVATION,
            "mode": PostMode.SUM if average else PostMode.MAX,
            "unsigned": int(not self._layer.input.signed),
            **post_fields(self._layer, 0, count),
            "out_address": target + first,
            "out_py": out.width * channels,
            "out_px": channels,
        }
        written = Region(
            "activation", target + first, target + first + (out.pixels - 1) * channels + count
        )
        return self._emission.step(
            Engine.POST,
            values,
            reads=(
                Region("activation", address, address + source.pixels * channels),
                self._emission.parameter_region(0),
            ),
            writes=(written,),
        )
