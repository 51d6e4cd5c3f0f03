"""The integer network: what the golden model executes and the compiler places on the machine.

Feature maps are int8 or uint8, channels-last (HWC), one image at a time. See ``sim.golden`` for
the arithmetic.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.layers import ConvShape, FeatureMap, PoolShape

Bytes = NDArray[np.int8] | NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A quantised feature map: real value = ``scale`` * (q - ``zero_point``)."""

    name: str
    shape: FeatureMap
    signed: bool
    scale: np.float32
    zero_point: int

    @property
    def dtype(self) -> np.dtype[np.int8] | np.dtype[np.uint8]:
        """int8 where signed, else uint8."""
        return np.dtype(np.int8) if self.signed else np.dtype(np.uint8)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest representable q."""
        return (-128, 127) if self.signed else (0, 255)


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv:
    """Convolution or fully connected layer.

    ``weights`` is int8 [out_channels, kernel_y, kernel_x, in_channels], ``bias`` int32
    [out_channels], ``multiplier`` float32 [out_channels] and positive; ``clamp`` holds the
    inclusive output limits, ReLU folded in. A fully connected layer is a 1x1 convolution of a
    1x1 map.
    """

    name: str
    input: TensorSpec
    output: TensorSpec
    shape: ConvShape
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.float32]
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool:
    """Maximum over each window, padding left out, then requantised by ``multiplier``.

    With a 1x1 window it is a plain requantisation, which carries a ReLU between two scales.
    """

    name: str
    input: TensorSpec
    output: TensorSpec
    shape: PoolShape
    multiplier: np.float32
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class GlobalAveragePool:
    """Mean of each channel: ``multiplier`` = float32(scale_in / (scale_out * pixels))."""

    name: str
    input: TensorSpec
    output: TensorSpec
    multiplier: np.float32
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Alias:
    """The same bytes under another shape (flatten, reshape): costs nothing."""

    name: str
    input: TensorSpec
    output: TensorSpec


Layer = Conv | MaxPool | GlobalAveragePool | Alias


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Layers in topological order, from one input map to its output maps."""

    name: str
    input: TensorSpec
    layers: tuple[Layer, ...]
    outputs: tuple[TensorSpec, ...]
