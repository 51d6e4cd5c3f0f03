"""What all random layers are drawn from: sizes, maps, windows, quantisations and clamps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.formats import IntegerFormat
from arch.layers import FeatureMap, Window
from sim.golden.run import run_layer
from sim.network import Add, AveragePool, Bytes, Conv, MaxPool, Multiply, TensorSpec

Drawn = TypeVar("Drawn", Conv, MaxPool, AveragePool, Add, Multiply)
Maps = tuple[Bytes, ...]
"""One map for each operand of a layer."""


@dataclass(frozen=True, kw_only=True)
class SizeLimits:
    """Upper bounds of what is drawn; ``max_macs`` counts convolutions and fully connected.

    Maps and weights have just so many bits.
    """

    max_height: int = 12
    max_width: int = 12
    max_channels: int = 20
    max_kernel: int = 5
    max_stride: int = 3
    max_dilation: int = 3
    max_macs: int = 200_000
    activation_bits: int = 8
    weight_bits: int = 8

    @property
    def steps(self) -> float:
        """Steps of an output, in those of 8 bits."""
        return 2.0 ** (self.activation_bits - 8)


DEFAULT_LIMITS = SizeLimits()


def of_words(limits: SizeLimits, config: AcceleratorConfig) -> SizeLimits:
    """``limits`` with the machine's words."""
    bits = config.activation_bits, config.weight_bits
    return replace(limits, activation_bits=bits[0], weight_bits=bits[1])


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
    return values.astype(spec.dtype)


def lively(draw: Callable[[], tuple[Drawn, Maps]]) -> tuple[Drawn, Maps]:
    """The first of up to ten draws whose outputs do not mostly sit on the clamp's two ends."""
    for _ in range(9):
        layer, maps = draw()
        if np.isin(run_layer(layer, *maps), layer.clamp).mean() <= 0.6:
            return layer, maps
    return draw()


def random_map(rng: np.random.Generator, limits: SizeLimits) -> FeatureMap:
    """A map of any size within the limits."""
    return FeatureMap(
        height=up_to(rng, limits.max_height),
        width=up_to(rng, limits.max_width),
        channels=up_to(rng, limits.max_channels),
    )


def random_window(rng: np.random.Generator, ifmap: FeatureMap, limits: SizeLimits) -> Window:
    """A window that fits the padded map, padded by less than its kernel on each side."""
    while True:
        kernel = up_to(rng, limits.max_kernel), up_to(rng, limits.max_kernel)
        dilation = up_to(rng, limits.max_dilation), up_to(rng, limits.max_dilation)
        top, left, bottom, right = (int(rng.integers(kernel[side % 2])) for side in range(4))
        window = Window(
            kernel=kernel,
            stride=(up_to(rng, limits.max_stride), up_to(rng, limits.max_stride)),
            dilation=dilation,
            padding=(top, left, bottom, right),
        )
        height, width = ifmap.height + top + bottom, ifmap.width + left + right
        if window.extent[0] <= height and window.extent[1] <= width:
            return window


def has_input_in_every_window(ifmap: FeatureMap, window: Window) -> bool:
    sizes = window.output_size(ifmap.height, ifmap.width)
    for axis, (size, length) in enumerate(zip(sizes, (ifmap.height, ifmap.width), strict=True)):
        starts = np.arange(size) * window.stride[axis] - window.padding[axis]
        taps = starts[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
        if not ((taps >= 0) & (taps < length)).any(axis=1).all():
            return False
    return True


def random_spec(
    rng: np.random.Generator, name: str, shape: FeatureMap, scale: np.float32, bits: int
) -> TensorSpec:
    """Either sign; the zero point is an end of the range or its middle as often as any value."""
    signed = bool(rng.random() < 0.5)
    low, high = IntegerFormat(bits=bits, signed=signed).limits
    usual = (low, high, (low + high + 1) // 2)
    if rng.random() < 0.5:
        zero_point = int(rng.choice(usual))
    else:
        zero_point = int(rng.integers(low, high, endpoint=True))
    return TensorSpec(
        name=name, shape=shape, signed=signed, scale=scale, zero_point=zero_point, bits=bits
    )


def random_clamp(rng: np.random.Generator, output: TensorSpec) -> tuple[int, int]:
    """The whole range, ReLU (from the zero point), or ReLU6 (from the zero point to above it)."""
    low, high = output.limits
    kind = rng.choice(["none", "relu", "relu6"])
    if kind == "none":
        return low, high
    if kind == "relu":
        return output.zero_point, high
    return output.zero_point, int(rng.integers(output.zero_point, high, endpoint=True))


def up_to(rng: np.random.Generator, largest: int) -> int:
    return int(rng.integers(1, largest, endpoint=True))


def rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))
