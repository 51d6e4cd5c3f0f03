"""Constrained-random quantised layers, each with an input map, drawn from a NumPy generator.

``random_layer(np.random.default_rng(seed), limits)`` draws any kind; the same seed and limits give
the same layer. Scales are chosen so that outputs spread over the range rather than saturate. A
share of the layers has multipliers that put products on rounding ties or next to them, or
accumulators beyond 2**24 (whose conversion to float32 rounds).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from sim.golden.convolution import accumulate
from sim.golden.requantise import average_multiplier, conv_multiplier, pool_multiplier
from sim.golden.run import run_layer
from sim.network import Bytes, Conv, GlobalAveragePool, MaxPool, TensorSpec
from tests.support.random_multipliers import random_adjustment, random_scale

Drawn = TypeVar("Drawn", Conv, MaxPool, GlobalAveragePool)
RandomLayer = tuple[Conv | MaxPool | GlobalAveragePool, Bytes]


@dataclass(frozen=True, kw_only=True)
class SizeLimits:
    """Upper bounds of what is drawn; ``max_macs`` counts convolutions and fully connected."""

    max_height: int = 12
    max_width: int = 12
    max_channels: int = 20
    max_kernel: int = 5
    max_stride: int = 3
    max_dilation: int = 3
    max_macs: int = 200_000


DEFAULT_LIMITS = SizeLimits()


def random_layer(rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS) -> RandomLayer:
    """A layer of any kind: about half convolutions, the rest shared by the other three kinds."""
    kind = rng.choice(4, p=(0.5, 0.15, 0.2, 0.15))
    draws = (random_conv, random_fully_connected, random_pool, random_global_average)
    return draws[kind](rng, limits)


def random_conv(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Bytes]:
    """A convolution and its input map."""
    return _lively(lambda: _draw_conv(rng, limits))


def random_fully_connected(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Bytes]:
    """A fully connected layer of up to max_height * max_width * max_channels input features."""
    return _lively(lambda: _draw_fully_connected(rng, limits))


def random_pool(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[MaxPool, Bytes]:
    """A max pool and its input map; half of them keep scale and zero point, as exporters do."""
    return _lively(lambda: _draw_pool(rng, limits))


def random_global_average(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[GlobalAveragePool, Bytes]:
    """A global average pool and its input map."""
    return _lively(lambda: _draw_global_average(rng, limits))


def random_map_values(rng: np.random.Generator, spec: TensorSpec) -> Bytes:
    """A map for ``spec``: over its whole range, over a part of it, or only its two extremes."""
    low, high = spec.limits
    size = (spec.shape.height, spec.shape.width, spec.shape.channels)
    kind = rng.choice(["whole", "whole", "part", "extremes"])
    if kind == "extremes":
        return _as_map(rng.choice([low, high], size=size), spec)
    if kind == "part":
        low, high = sorted(int(end) for end in rng.integers(low, high, size=2, endpoint=True))
    return _as_map(rng.integers(low, high, size=size, endpoint=True), spec)


def _as_map(values: NDArray[np.int64], spec: TensorSpec) -> Bytes:
    return values.astype(np.int8) if spec.signed else values.astype(np.uint8)


def _lively(draw: Callable[[], tuple[Drawn, Bytes]]) -> tuple[Drawn, Bytes]:
    """The first of up to ten draws whose outputs do not mostly sit on the clamp's two ends."""
    for _ in range(9):
        layer, x = draw()
        if np.isin(run_layer(layer, x), layer.clamp).mean() <= 0.6:
            return layer, x
    return draw()


def _draw_conv(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Bytes]:
    while True:
        ifmap = _random_map(rng, limits)
        window = _random_window(rng, ifmap, limits)
        out_channels = _up_to(rng, limits.max_channels)
        shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=window)
        if shape.macs <= limits.max_macs:
            return _conv_of_shape(rng, "conv", shape)


def _draw_fully_connected(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Bytes]:
    out_channels = _up_to(rng, limits.max_channels)
    most = limits.max_height * limits.max_width * limits.max_channels
    features = _up_to(rng, max(1, min(most, limits.max_macs // out_channels)))
    ifmap = FeatureMap(height=1, width=1, channels=features)
    shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=Window(kernel=(1, 1)))
    return _conv_of_shape(rng, "fully_connected", shape)


def _draw_pool(rng: np.random.Generator, limits: SizeLimits) -> tuple[MaxPool, Bytes]:
    while True:
        ifmap = _random_map(rng, limits)
        window = _random_window(rng, ifmap, limits)
        if _has_input_in_every_window(ifmap, window):
            break
    shape = PoolShape(ifmap=ifmap, window=window)
    source = _random_spec(rng, "max_pool_in", ifmap, random_scale(rng))
    x = random_map_values(rng, source)
    if rng.random() < 0.5:
        output = TensorSpec(
            name="max_pool_out",
            shape=shape.ofmap,
            signed=source.signed,
            scale=source.scale,
            zero_point=source.zero_point,
        )
    else:
        largest = int(x.max()) - source.zero_point
        target = random_adjustment(rng)(rng.uniform(0.3, 3.0), largest)
        scale = np.float32(float(source.scale) / target)
        output = _random_spec(rng, "max_pool_out", shape.ofmap, scale)
    layer = MaxPool(
        name="max_pool",
        input=source,
        output=output,
        shape=shape,
        multiplier=pool_multiplier(source.scale, output.scale),
        clamp=_random_clamp(rng, output),
    )
    return layer, x


def _draw_global_average(
    rng: np.random.Generator, limits: SizeLimits
) -> tuple[GlobalAveragePool, Bytes]:
    ifmap = _random_map(rng, limits)
    source = _random_spec(rng, "average_in", ifmap, random_scale(rng))
    x = random_map_values(rng, source)
    pixels = ifmap.height * ifmap.width
    first_sum = int(x[:, :, 0].astype(np.int64).sum()) - pixels * source.zero_point
    # A sum of uniform values scatters by the square root of their number.
    target = random_adjustment(rng)(rng.uniform(0.5, 2.0) / np.sqrt(pixels), first_sum)
    scale = np.float32(float(source.scale) / (target * pixels))
    pooled = FeatureMap(height=1, width=1, channels=ifmap.channels)
    output = _random_spec(rng, "average_out", pooled, scale)
    layer = GlobalAveragePool(
        name="global_average",
        input=source,
        output=output,
        multiplier=average_multiplier(source.scale, output.scale, pixels),
        clamp=_random_clamp(rng, output),
    )
    return layer, x


def _conv_of_shape(rng: np.random.Generator, name: str, shape: ConvShape) -> tuple[Conv, Bytes]:
    source = _random_spec(rng, f"{name}_in", shape.ifmap, random_scale(rng))
    x = random_map_values(rng, source)
    weights = _random_weights(rng, shape)
    # Sums of products scatter by about sqrt(reduction) times their factors' root mean square.
    spread = _rms(x.astype(np.float64) - source.zero_point) * _rms(weights)
    spread = max(spread * float(np.sqrt(shape.reduction)), 1.0)
    wide = rng.random() < 0.125
    if wide:
        spread = float(1 << 30)
    bias = rng.uniform(-spread, spread, size=shape.out_channels).astype(np.int32)
    target = rng.uniform(10.0, 80.0, size=shape.out_channels) / spread
    scale_out = random_scale(rng)
    output = _random_spec(rng, f"{name}_out", shape.ofmap, scale_out)
    layer = Conv(
        name=name,
        input=source,
        output=output,
        shape=shape,
        weights=weights,
        bias=bias,
        multiplier=np.ones(shape.out_channels, np.float32),
        clamp=_random_clamp(rng, output),
    )
    adjust = random_adjustment(rng)
    sums = rng.choice(accumulate(layer, x).reshape(-1, shape.out_channels))
    ratio = float(scale_out) / float(source.scale)
    adjusted = [adjust(*wanted) for wanted in zip(target, sums.tolist(), strict=True)]
    scale_weights = np.asarray(np.array(adjusted) * ratio, np.float32)
    multiplier = conv_multiplier(source.scale, scale_weights, scale_out)
    return replace(layer, multiplier=multiplier), x


def _random_weights(rng: np.random.Generator, shape: ConvShape) -> NDArray[np.int8]:
    largest = int(rng.choice([7, 127, 127]))
    size = (shape.out_channels, *shape.window.kernel, shape.ifmap.channels)
    return rng.integers(-largest - 1, largest, size=size, endpoint=True).astype(np.int8)


def _random_map(rng: np.random.Generator, limits: SizeLimits) -> FeatureMap:
    return FeatureMap(
        height=_up_to(rng, limits.max_height),
        width=_up_to(rng, limits.max_width),
        channels=_up_to(rng, limits.max_channels),
    )


def _random_window(rng: np.random.Generator, ifmap: FeatureMap, limits: SizeLimits) -> Window:
    """A window that fits the padded map, padded by less than its kernel on each side."""
    while True:
        kernel = _up_to(rng, limits.max_kernel), _up_to(rng, limits.max_kernel)
        dilation = _up_to(rng, limits.max_dilation), _up_to(rng, limits.max_dilation)
        top, left, bottom, right = (int(rng.integers(kernel[side % 2])) for side in range(4))
        window = Window(
            kernel=kernel,
            stride=(_up_to(rng, limits.max_stride), _up_to(rng, limits.max_stride)),
            dilation=dilation,
            padding=(top, left, bottom, right),
        )
        height, width = ifmap.height + top + bottom, ifmap.width + left + right
        if window.extent[0] <= height and window.extent[1] <= width:
            return window


def _has_input_in_every_window(ifmap: FeatureMap, window: Window) -> bool:
    sizes = window.output_size(ifmap.height, ifmap.width)
    for axis, (size, length) in enumerate(zip(sizes, (ifmap.height, ifmap.width), strict=True)):
        starts = np.arange(size) * window.stride[axis] - window.padding[axis]
        taps = starts[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
        if not ((taps >= 0) & (taps < length)).any(axis=1).all():
            return False
    return True


def _random_spec(
    rng: np.random.Generator, name: str, shape: FeatureMap, scale: np.float32
) -> TensorSpec:
    """Either sign; the zero point is an end of the range or its middle as often as any value."""
    signed = bool(rng.random() < 0.5)
    low, high = (-128, 127) if signed else (0, 255)
    usual = (low, high, (low + high + 1) // 2)
    if rng.random() < 0.5:
        zero_point = int(rng.choice(usual))
    else:
        zero_point = int(rng.integers(low, high, endpoint=True))
    return TensorSpec(name=name, shape=shape, signed=signed, scale=scale, zero_point=zero_point)


def _random_clamp(rng: np.random.Generator, output: TensorSpec) -> tuple[int, int]:
    """The whole range, ReLU (from the zero point), or ReLU6 (from the zero point to above it)."""
    low, high = output.limits
    kind = rng.choice(["none", "relu", "relu6"])
    if kind == "none":
        return low, high
    if kind == "relu":
        return output.zero_point, high
    return output.zero_point, int(rng.integers(output.zero_point, high, endpoint=True))


def _up_to(rng: np.random.Generator, largest: int) -> int:
    return int(rng.integers(1, largest, endpoint=True))


def _rms(values: NDArray[np.float64] | NDArray[np.int8]) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))
