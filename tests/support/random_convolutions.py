"""Random convolutions: plain, grouped, depthwise, 1-D, and fully connected layers."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.formats import accumulator_format
from arch.layers import ConvShape, FeatureMap, Window
from sim.golden.convolution import accumulate
from sim.multipliers import conv_multiplier
from sim.network import Bytes, Conv, element_type
from tests.support.random_maps import (
    DEFAULT_LIMITS,
    Maps,
    SizeLimits,
    lively,
    random_clamp,
    random_map,
    random_map_values,
    random_spec,
    random_window,
    rms,
    up_to,
)
from tests.support.random_multipliers import random_adjustment, random_scale


def random_conv(rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS) -> tuple[Conv, Maps]:
    """A convolution of one group and its input map."""
    return lively(lambda: _draw_conv(rng, limits))


def random_grouped_conv(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Maps]:
    """A grouped convolution: two of three are depthwise, half of those with several outputs each.

    Needs ``limits.max_channels`` of at least 2.
    """
    return lively(lambda: _draw_grouped(rng, limits))


def random_conv_1d(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Maps]:
    """A 1-D convolution as a map of height 1; one of three is grouped."""
    return lively(lambda: _draw_1d(rng, limits))


def random_long_conv(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Maps]:
    """A convolution with a kernel of 7 or more in a direction, as often 1x7, 7x1 and 11x11."""
    return lively(lambda: _draw_long(rng, limits))


def random_fully_connected(
    rng: np.random.Generator, limits: SizeLimits = DEFAULT_LIMITS
) -> tuple[Conv, Maps]:
    """A fully connected layer of up to max_height * max_width * max_channels input features."""
    return lively(lambda: _draw_fully_connected(rng, limits))


def _draw_conv(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Maps]:
    while True:
        ifmap = random_map(rng, limits)
        window = random_window(rng, ifmap, limits)
        out_channels = up_to(rng, limits.max_channels)
        shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=window)
        if shape.macs <= limits.max_macs:
            return _conv_of_shape(rng, "conv", shape, limits)


def _draw_long(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Maps]:
    while True:
        any_size = (int(rng.integers(7, 11, endpoint=True)), up_to(rng, 11))
        kernel = ((1, 7), (7, 1), (11, 11), any_size)[rng.integers(4)]
        ifmap = random_map(rng, limits)
        top, left, bottom, right = (int(rng.integers(kernel[side % 2])) for side in range(4))
        window = Window(
            kernel=kernel,
            stride=(up_to(rng, limits.max_stride), up_to(rng, limits.max_stride)),
            padding=(top, left, bottom, right),
        )
        height, width = ifmap.height + top + bottom, ifmap.width + left + right
        if window.extent[0] > height or window.extent[1] > width:
            continue
        out_channels = up_to(rng, limits.max_channels)
        shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=window)
        if shape.macs <= limits.max_macs:
            return _conv_of_shape(rng, "long_conv", shape, limits)


def _draw_grouped(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Maps]:
    while True:
        ifmap, out_channels, groups = _grouped_channels(rng, random_map(rng, limits), limits)
        window = random_window(rng, ifmap, limits)
        shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=window, groups=groups)
        if shape.macs <= limits.max_macs:
            return _conv_of_shape(rng, "grouped_conv", shape, limits)


def _draw_1d(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Maps]:
    lines = replace(limits, max_height=1)
    while True:
        ifmap, out_channels, groups = random_map(rng, lines), up_to(rng, limits.max_channels), 1
        if rng.random() < 1 / 3:
            ifmap, out_channels, groups = _grouped_channels(rng, ifmap, limits)
        square = random_window(rng, ifmap, limits)
        window = Window(
            kernel=(1, square.kernel[1]),
            stride=(1, square.stride[1]),
            dilation=(1, square.dilation[1]),
            padding=(0, square.padding[1], 0, square.padding[3]),
        )
        shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=window, groups=groups)
        if shape.macs <= limits.max_macs:
            return _conv_of_shape(rng, "conv_1d", shape, limits)


def _grouped_channels(
    rng: np.random.Generator, ifmap: FeatureMap, limits: SizeLimits
) -> tuple[FeatureMap, int, int]:
    """(input map, output channels, groups), at least two groups."""
    most = limits.max_channels
    groups = int(rng.integers(2, most, endpoint=True))
    inputs = outputs = 1
    kind = rng.integers(3)
    if kind == 1:
        outputs = up_to(rng, max(1, min(4, most // groups)))
    if kind == 2:
        groups = int(rng.integers(2, max(2, most // 2), endpoint=True))
        inputs, outputs = up_to(rng, max(1, most // groups)), up_to(rng, max(1, most // groups))
    return replace(ifmap, channels=groups * inputs), groups * outputs, groups


def _draw_fully_connected(rng: np.random.Generator, limits: SizeLimits) -> tuple[Conv, Maps]:
    out_channels = up_to(rng, limits.max_channels)
    most = limits.max_height * limits.max_width * limits.max_channels
    features = up_to(rng, max(1, min(most, limits.max_macs // out_channels)))
    ifmap = FeatureMap(height=1, width=1, channels=features)
    shape = ConvShape(ifmap=ifmap, out_channels=out_channels, window=Window(kernel=(1, 1)))
    return _conv_of_shape(rng, "fully_connected", shape, limits)


def _conv_of_shape(
    rng: np.random.Generator, name: str, shape: ConvShape, limits: SizeLimits
) -> tuple[Conv, Maps]:
    bits = limits.activation_bits
    source = random_spec(rng, f"{name}_in", shape.ifmap, random_scale(rng), bits)
    x = random_map_values(rng, source)
    weights = _random_weights(rng, shape, limits.weight_bits)
    # Sums of products scatter by about sqrt(reduction) times their factors' root mean square.
    spread = rms(x.astype(np.float64) - source.zero_point) * rms(weights)
    spread = max(spread * float(np.sqrt(shape.reduction)), 1.0)
    wide = rng.random() < 0.125
    if wide:
        spread = 2.0 ** (accumulator_format(bits).bits - 2)
    bias = rng.uniform(-spread, spread, size=shape.out_channels)
    target = rng.uniform(10.0, 80.0, size=shape.out_channels) * limits.steps / spread
    scale_out = random_scale(rng)
    output = random_spec(rng, f"{name}_out", shape.ofmap, scale_out, bits)
    layer = Conv(
        name=name,
        input=source,
        output=output,
        shape=shape,
        weights=weights,
        bias=bias.astype(np.int32 if bits == 8 else np.int64),
        multiplier=np.ones(shape.out_channels, np.float32),
        clamp=random_clamp(rng, output),
    )
    scale_weights = _weight_scales(rng, layer, x, target)
    multiplier = conv_multiplier(source.scale, scale_weights, scale_out)
    return replace(layer, multiplier=multiplier), (x,)


def _weight_scales(
    rng: np.random.Generator, layer: Conv, x: Bytes, target: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Scales that give multipliers near ``target``, adjusted to sums that occur."""
    adjust = random_adjustment(rng)
    sums = rng.choice(accumulate(layer, x).reshape(-1, layer.shape.out_channels))
    ratio = float(layer.output.scale) / float(layer.input.scale)
    adjusted = [adjust(*wanted) for wanted in zip(target.tolist(), sums.tolist(), strict=True)]
    return np.asarray(np.array(adjusted) * ratio, np.float32)


def _random_weights(rng: np.random.Generator, shape: ConvShape, bits: int) -> NDArray[Any]:
    most = (1 << bits - 1) - 1
    largest = int(rng.choice([7, most, most]))
    size = (shape.out_channels, *shape.window.kernel, shape.group_inputs)
    return rng.integers(-largest - 1, largest, size=size, endpoint=True).astype(
        element_type(bits, True)
    )
