"""The integer network: what the golden model executes and the compiler places on the machine.

Feature maps are of 8 or 16 bits, signed or not, channels-last (HWC), one image at a time. See
``sim.golden`` for the arithmetic.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.formats import IntegerFormat
from arch.layers import ConvShape, FeatureMap, PoolShape
from sim.multipliers import average_multiplier

Bytes = NDArray[np.int8] | NDArray[np.uint8] | NDArray[np.int16] | NDArray[np.uint16]
"""The elements of a feature map."""


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A quantised feature map: real value = ``scale`` * (q - ``zero_point``)."""

    name: str
    shape: FeatureMap
    signed: bool
    scale: np.float32
    zero_point: int
    bits: int = 8

    @property
    def bytes(self) -> int:
        """Bytes of an element."""
        return self.bits // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """int8, uint8, int16 or uint16."""
        return element_type(self.bits, self.signed)

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest representable q."""
        return IntegerFormat(bits=self.bits, signed=self.signed).limits

    def quantised_as(self, other: "TensorSpec") -> bool:
        """Whether the same bits mean the same real values in both."""
        return (self.bits, self.signed, self.scale, self.zero_point) == (
            other.bits,
            other.signed,
            other.scale,
            other.zero_point,
        )


def element_type(bits: int, signed: bool) -> np.dtype[Any]:
    """NumPy's type of a feature map's elements."""
    return np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")


@dataclass(frozen=True, kw_only=True, eq=False)
class _OneInput:
    """What layers of one operand share."""

    name: str
    input: TensorSpec
    output: TensorSpec

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """All operands, in the order of ``run_layer``."""
        return (self.input,)


@dataclass(frozen=True, kw_only=True, eq=False)
class _TwoInputs:
    """What layers of two operands share; ``other`` may be 1x1xC, the same for every pixel."""

    name: str
    input: TensorSpec
    other: TensorSpec
    output: TensorSpec

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Both operands."""
        return self.input, self.other

    @property
    def broadcasts(self) -> bool:
        """Whether ``other`` is one pixel for all pixels of ``input``."""
        return self.other.shape != self.input.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(_OneInput):
    """Convolution or fully connected layer.

    ``weights`` is int8 or int16 [out_channels, kernel_y, kernel_x, in_channels of a group],
    ``bias`` int32 or int64 [out_channels] in the format of the accumulator, ``multiplier`` float32
    [out_channels] and positive; ``clamp`` holds the inclusive output limits, ReLU folded in. A
    fully connected layer is a 1x1 convolution of a 1x1 map.
    """

    shape: ConvShape
    weights: NDArray[Any]
    bias: NDArray[Any]
    multiplier: NDArray[np.float32]
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(_OneInput):
    """Maximum over each window, padding left out, then requantised by ``multiplier``.

    With a 1x1 window it is a plain requantisation, which carries a ReLU between two scales.
    """

    shape: PoolShape
    multiplier: np.float32
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(_OneInput):
    """Mean over each window. Padding adds 0, and counts as taps where ``include_padding``.

    ``overhang`` is the part of the window's (bottom, right) padding that never counts: what ONNX
    ceil_mode lets the last windows reach beyond the declared padding. Global pooling is a window as
    large as the map.
    """

    shape: PoolShape
    include_padding: bool
    overhang: tuple[int, int] = (0, 0)
    clamp: tuple[int, int]

    @property
    def taps(self) -> NDArray[np.int64]:
        """How many taps count for each output pixel: [height, width]."""
        return np.asarray(np.multiply.outer(self.taps_along(0), self.taps_along(1)), np.int64)

    @property
    def tap_counts(self) -> tuple[int, ...]:
        """The different numbers in ``taps``, in order; without a map of them all."""
        along = [np.unique(self.taps_along(axis)) for axis in (0, 1)]
        return tuple(np.unique(np.multiply.outer(*along)).tolist())

    def multiplier(self, taps: int) -> np.float32:
        """What the sum of a window with so many taps is multiplied by."""
        return average_multiplier(self.input.scale, self.output.scale, taps)

    def taps_along(self, axis: int) -> NDArray[np.int64]:
        """How many rows (columns for ``axis`` 1) of taps count for each row (column) of outputs."""
        window, ofmap = self.shape.window, self.shape.ofmap
        size = (self.input.shape.height, self.input.shape.width)[axis]
        count = (ofmap.height, ofmap.width)[axis]
        starts = np.arange(count) * window.stride[axis] - window.padding[axis]

        def taps_before(end: int) -> NDArray[np.int64]:
            count = -((starts - end) // window.dilation[axis])
            return np.asarray(np.clip(count, 0, window.kernel[axis]), np.int64)

        if self.include_padding:
            return taps_before(size + window.padding[2 + axis] - self.overhang[axis])
        return taps_before(size) - taps_before(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(_TwoInputs):
    """Sum of two maps: rne((a * ``multiplier`` + b * ``other_multiplier``) / 2^``shift``).

    a and b are less their zero points; multipliers are 0 to 2^24 - 1, shifts 0 to 40.
    """

    multiplier: int
    other_multiplier: int
    shift: int
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Multiply(_TwoInputs):
    """Product of two maps, element by element: rne(a * b * ``multiplier`` / 2^``shift``).

    a and b are less their zero points; the multiplier is 1 to 2^24 - 1, the shift 0 to 40.
    """

    multiplier: int
    shift: int
    clamp: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table(_OneInput):
    """A function of one number: ``table`` gives the output's bits by the input's.

    It is uint8 [256], or, for 16 bits, uint16 [256, 2]: of each segment of 256 inputs the output at
    its start, and by what it changes up to the next one (the bits of an int16).
    """

    table: NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat:
    """``inputs`` side by side along the channels, all quantised as the output: costs no copy."""

    name: str
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec

    @property
    def input(self) -> TensorSpec:
        """The first operand."""
        return self.inputs[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice(_OneInput):
    """A box of the input as large as the output, from ``start`` (y, x, channel).

    Channels alone cost no copy.
    """

    start: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Alias(_OneInput):
    """The same bytes under another shape (flatten, reshape): costs nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HostStep(_OneInput):
    """An ONNX ``operator`` that ONNX Runtime runs on the host, between two maps.

    ``model`` is an ONNX file: it takes the input's map [height, width, channels] as ``x`` and
    gives the output's. Quantisation is part of it.
    """

    operator: str
    model: bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class HostResult:
    """What ONNX Runtime makes of a map on the host, and no layer reads: an output of the model.

    ``model`` is an ONNX file from the map, as ``x``, to an array of ``shape`` and ``dtype``
    (float32 or int64). ``classes`` is how many scores there are, or the range of an index.
    """

    name: str
    operator: str
    input: TensorSpec
    model: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[np.float32] | np.dtype[np.int64]
    classes: int


Layer = Conv | MaxPool | AveragePool | Add | Multiply | Table | Concat | Slice | Alias | HostStep


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Layers in topological order, from one input map to its output maps.

    A part of a larger network may also read maps that other parts make; ``input`` is one of them.
    ``results`` are made of maps among ``outputs``, after all layers.
    """

    name: str
    input: TensorSpec
    layers: tuple[Layer, ...]
    outputs: tuple[TensorSpec, ...]
    results: tuple[HostResult, ...] = ()

    @property
    def sources(self) -> tuple[TensorSpec, ...]:
        """Every map that is there before the first layer runs: the input, and what parts read."""
        made = {layer.output.name for layer in self.layers}
        read = (spec for layer in self.layers for spec in layer.inputs)
        found = {spec.name: spec for spec in (self.input, *read) if spec.name not in made}
        return tuple(found.values())
