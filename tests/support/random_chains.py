"""Constrained-random networks of several layers, in the shapes that the compiler's passes look for.

Blocks follow one another: convolutions with pooling, residual additions, gates (squeeze and
excitation), activations as tables, concatenations, slices. Multipliers follow the values that
occur, so that outputs spread. Some maps are outputs of the network as well, some have two readers.
"""

from dataclasses import replace

import numpy as np

from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from sim.golden.convolution import accumulate
from sim.golden.run import run_layer
from sim.multipliers import add_multipliers, conv_multiplier, pool_multiplier, product_multiplier
from sim.network import (
    Add,
    Alias,
    AveragePool,
    Bytes,
    Concat,
    Conv,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Slice,
    Table,
    TensorSpec,
    element_type,
)
from tests.support.random_maps import (
    SizeLimits,
    has_input_in_every_window,
    random_clamp,
    random_map,
    random_map_values,
    random_spec,
    random_window,
    up_to,
)
from tests.support.random_multipliers import random_scale

CHAIN_LIMITS = SizeLimits(
    max_height=14, max_width=14, max_channels=24, max_kernel=3, max_stride=2, max_dilation=2
)
_MAX_MACS = 150_000


def random_chain(
    rng: np.random.Generator, limits: SizeLimits = CHAIN_LIMITS
) -> tuple[Network, Bytes]:
    """A network of two to five blocks and an image for it."""
    source = random_spec(
        rng, "image", random_map(rng, limits), random_scale(rng), limits.activation_bits
    )
    chain = _Chain(rng, source, limits)
    for _ in range(int(rng.integers(2, 5, endpoint=True))):
        chain.extend()
    return chain.network(), chain.image


class _Chain:
    """A network under way: ``_last`` is what the next block reads."""

    def __init__(self, rng: np.random.Generator, source: TensorSpec, limits: SizeLimits) -> None:
        self._rng = rng
        self._limits = limits
        self._bits = limits.activation_bits
        self._input = self._last = source
        self.image = random_map_values(rng, source)
        self._maps = {source.name: self.image}
        self._layers: list[Layer] = []
        self._outputs: list[TensorSpec] = []

    def extend(self) -> None:
        """Add a block."""
        blocks = (
            self._pooled,
            self._pooled,
            self._residual,
            self._residual,
            self._separable,
            self._separable,
            self._gated,
            self._activated,
            self._gated_by_itself,
            self._joined,
            self._averaged,
        )
        blocks[int(self._rng.integers(len(blocks)))]()
        if self._rng.random() < 0.15:
            self._outputs.append(self._last)

    def network(self) -> Network:
        """The network so far; its last map is an output."""
        names = {spec.name for spec in self._outputs}
        last = [] if self._last.name in names else [self._last]
        return Network(
            name="chain",
            input=self._input,
            layers=tuple(self._layers),
            outputs=(*self._outputs, *last),
        )

    # Blocks.

    def _pooled(self) -> None:
        """Convolution and maximum pooling, mostly of one scale, with a table half of the time."""
        window = self._window(self._last)
        if self._rng.random() < 0.2:
            window = Window(kernel=(1, 1), stride=(2, int(self._rng.integers(1, 4))))
        self._last = self._conv(self._last, window)
        if self._rng.random() < 0.7:
            self._last = self._max_pool(self._last)
        if self._rng.random() < 0.5:
            self._last = self._table(self._last)

    def _residual(self) -> None:
        """One or two convolutions and a sum or product with what they started from, or with a
        projection of it."""
        rng, start = self._rng, self._last
        inner = start
        if rng.random() < 0.5:
            inner = self._conv(inner, Window(kernel=(1, 1)))
        channels = start.shape.channels
        shortcut = start
        if rng.random() < 0.3:
            channels = up_to(rng, self._limits.max_channels)
            shortcut = self._conv(start, Window(kernel=(1, 1)), channels)
        size = int(rng.choice([1, 3]))
        same = Window(kernel=(size, size), padding=(size // 2,) * 4)
        inner = self._conv(inner, same, channels)
        pair = (inner, shortcut) if rng.random() < 0.5 else (shortcut, inner)
        self._last = self._join(*pair)
        if rng.random() < 0.3:
            self._last = self._table(self._last)

    def _separable(self) -> None:
        """A depthwise and a 1x1 convolution, half of the time added to what they started from."""
        start = self._last
        window = self._window(start)
        if self._rng.random() < 0.5:
            window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
        inner = self._conv(start, window, depthwise=True)
        adds = inner.shape == start.shape and self._rng.random() < 0.5
        channels = start.shape.channels if adds else None
        self._last = self._conv(inner, Window(kernel=(1, 1)), channels)
        if adds:
            self._last = self._join(self._last, start)

    def _gated(self) -> None:
        """A map times one pixel that is made from it."""
        wide = self._last
        if self._rng.random() < 0.7:
            wide = self._conv(wide, Window(kernel=(1, 1)))
        pixel = self._average(wide if self._rng.random() < 0.5 else self._last, whole=True)
        pixel = self._table(self._conv(pixel, Window(kernel=(1, 1)), wide.shape.channels))
        self._last = self._join(wide, pixel)

    def _activated(self) -> None:
        self._last = self._table(self._last)

    def _gated_by_itself(self) -> None:
        """x times a function of x, as SiLU and hard-swish are exported, maybe with one more."""
        if self._rng.random() < 0.5:
            self._last = self._conv(self._last, Window(kernel=(1, 1)))
        pair = self._last, self._table(self._last)
        self._last = self._join(*(pair if self._rng.random() < 0.5 else pair[::-1]))
        if self._rng.random() < 0.5:
            self._last = self._table(self._last)

    def _averaged(self) -> None:
        """An average, with a shortcut of its size half of the time, maybe flat."""
        self._last = self._average(self._last, whole=self._rng.random() < 0.3)
        if self._rng.random() < 0.5:
            other = self._conv(self._last, Window(kernel=(1, 1)), self._last.shape.channels)
            self._last = self._join(self._last, other)
        if self._rng.random() < 0.3:
            flat = FeatureMap(height=1, width=1, channels=self._last.shape.elements)
            if flat.channels <= 4 * self._limits.max_channels:
                output = replace(self._last, name=self._name("flat"), shape=flat)
                self._last = self._add(Alias(name=output.name, input=self._last, output=output))

    def _joined(self) -> None:
        """Convolutions of one map, or slices of it, side by side."""
        rng, start = self._rng, self._last
        target = random_spec(rng, "", start.shape, random_scale(rng), self._bits)
        parts = []
        for _ in range(int(rng.integers(2, 3, endpoint=True))):
            source = self._slice(start) if rng.random() < 0.3 else start
            parts.append(self._conv(source, Window(kernel=(1, 1)), like=target))
        if rng.random() < 0.3:
            self._conv(parts[0], Window(kernel=(1, 1)))
            self._outputs.append(self._layers[-1].output)
        channels = sum(part.shape.channels for part in parts)
        whole = replace(start.shape, channels=channels)
        output = replace(target, name=self._name("joined"), shape=whole)
        self._last = self._add(Concat(name=output.name, inputs=tuple(parts), output=output))

    # Layers.

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self._layers)}"

    def _add(self, layer: Layer) -> TensorSpec:
        self._layers.append(layer)
        maps = (self._maps[spec.name] for spec in layer.inputs)
        self._maps[layer.output.name] = run_layer(layer, *maps)
        return layer.output

    def _reals(self, spec: TensorSpec) -> float:
        values = self._maps[spec.name].astype(np.float64) - spec.zero_point
        return float(np.sqrt(np.mean(np.square(values)))) * float(spec.scale) or 2.0**-8

    def _window(self, spec: TensorSpec) -> Window:
        return random_window(self._rng, spec.shape, self._limits)

    def _conv(
        self,
        source: TensorSpec,
        window: Window,
        channels: int | None = None,
        like: TensorSpec | None = None,
        *,
        depthwise: bool = False,
    ) -> TensorSpec:
        rng = self._rng
        ofmap = ConvShape(ifmap=source.shape, out_channels=1, window=window).ofmap
        macs = ofmap.elements * window.kernel[0] * window.kernel[1] * source.shape.channels
        most = max(1, min(self._limits.max_channels, _MAX_MACS // macs))
        groups = 1
        if channels is None:
            channels = up_to(rng, most)
            if depthwise or rng.random() < 0.15:
                groups = channels = source.shape.channels
        shape = ConvShape(ifmap=source.shape, out_channels=channels, window=window, groups=groups)
        name = self._name("conv")
        output = random_spec(rng, name, shape.ofmap, random_scale(rng), self._bits)
        if like is not None:
            output = replace(like, name=name, shape=shape.ofmap)
        most = 1 << self._limits.weight_bits - 1
        dtype = element_type(self._limits.weight_bits, True)
        size = (channels, *window.kernel, shape.group_inputs)
        weights = rng.integers(-most, most - 1, size, dtype)
        layer = Conv(
            name=name,
            input=source,
            output=output,
            shape=shape,
            weights=weights,
            bias=rng.integers(-1000, 1000, channels).astype(np.int32),
            multiplier=np.ones(channels, np.float32),
            clamp=random_clamp(rng, output),
        )
        sums = accumulate(layer, self._maps[source.name]).astype(np.float64)
        spread = np.sqrt(np.square(sums).mean(axis=(0, 1))) + 1
        wanted = rng.uniform(10.0, 80.0, channels) * self._limits.steps / spread
        scales = (wanted * float(output.scale) / float(source.scale)).astype(np.float32)
        multiplier = conv_multiplier(source.scale, scales, output.scale)
        return self._add(replace(layer, multiplier=multiplier))

    def _max_pool(self, source: TensorSpec) -> TensorSpec:
        rng = self._rng
        window = self._window(source)
        while not has_input_in_every_window(source.shape, window):
            window = self._window(source)
        shape = PoolShape(ifmap=source.shape, window=window)
        output = replace(source, name=self._name("pool"), shape=shape.ofmap)
        if rng.random() < 0.3:
            # Another zero point, or another scale, which cannot be fused.
            scale = np.float32(source.scale * rng.choice([1.0, 1.0, 1.5]))
            output = random_spec(rng, output.name, shape.ofmap, scale, self._bits)
        return self._add(
            MaxPool(
                name=output.name,
                input=source,
                output=output,
                shape=shape,
                multiplier=pool_multiplier(source.scale, output.scale),
                clamp=random_clamp(rng, output),
            )
        )

    def _average(self, source: TensorSpec, *, whole: bool) -> TensorSpec:
        rng = self._rng
        window = Window(kernel=(source.shape.height, source.shape.width))
        if not whole:
            window = self._window(source)
            while not has_input_in_every_window(source.shape, window):
                window = self._window(source)
        shape = PoolShape(ifmap=source.shape, window=window)
        output = random_spec(rng, self._name("average"), shape.ofmap, source.scale, self._bits)
        return self._add(
            AveragePool(
                name=output.name,
                input=source,
                output=output,
                shape=shape,
                include_padding=False,
                clamp=random_clamp(rng, output),
            )
        )

    def _table(self, source: TensorSpec) -> TensorSpec:
        rng = self._rng
        output = random_spec(rng, self._name("table"), source.shape, random_scale(rng), self._bits)
        bits, size = self._bits, (256,) if self._bits == 8 else (256, 2)
        entries = rng.integers(0, (1 << bits) - 1, size=size, endpoint=True)
        table = entries.astype(element_type(bits, False))
        return self._add(Table(name=output.name, input=source, output=output, table=table))

    def _slice(self, source: TensorSpec) -> TensorSpec:
        channels = up_to(self._rng, source.shape.channels)
        first = int(self._rng.integers(source.shape.channels - channels, endpoint=True))
        shape = replace(source.shape, channels=channels)
        output = replace(source, name=self._name("slice"), shape=shape)
        start = (0, 0, first)
        return self._add(Slice(name=output.name, input=source, output=output, start=start))

    def _join(self, first: TensorSpec, second: TensorSpec) -> TensorSpec:
        """The sum or, half as often, the product of two maps."""
        rng = self._rng
        products = rng.random() < 1 / 3
        reals = self._reals(first), self._reals(second)
        real = reals[0] * reals[1] if products else max(reals)
        scale = np.float32(real / (rng.uniform(20.0, 60.0) * self._limits.steps))
        output = random_spec(rng, self._name("join"), first.shape, scale, self._bits)
        clamp = random_clamp(rng, output)
        if products:
            multiplier, shift = product_multiplier(first.scale, second.scale, scale)
            return self._add(
                Multiply(
                    name=output.name,
                    input=first,
                    other=second,
                    output=output,
                    multiplier=multiplier,
                    shift=shift,
                    clamp=clamp,
                )
            )
        multiplier, other_multiplier, shift = add_multipliers(first.scale, second.scale, scale)
        return self._add(
            Add(
                name=output.name,
                input=first,
                other=second,
                output=output,
                multiplier=multiplier,
                other_multiplier=other_multiplier,
                shift=shift,
                clamp=clamp,
            )
        )
