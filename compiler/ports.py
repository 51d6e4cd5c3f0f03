"""What the host does at either end: quantise images, dequantise results."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError
from compiler.layout import Layout
from sim.network import Bytes, HostResult, TensorSpec


@dataclass(frozen=True, kw_only=True)
class InputPort:
    """The model's float32 input ``name``, whose ``layout`` has its shape [1, ...]."""

    name: str
    layout: Layout
    tensor: TensorSpec

    @property
    def shape(self) -> tuple[int, ...]:
        """The input's shape: [1, C, H, W], [1, C, L] or [1, F]."""
        return self.layout.shape

    def quantise(self, images: NDArray[np.float32]) -> Bytes:
        """Images float32 [N, ...] as quantised maps [N, height, width, channels].

        q = clamp(rne(float32(x / scale)) + zero point), as ONNX QuantizeLinear. Raises
        ``InputError`` for another shape or type, and for numbers that are not finite.
        """
        check_images(images, self.shape)
        low, high = self.tensor.limits
        with np.errstate(over="ignore"):  # beyond float32 saturates as well
            quotient = np.rint(images / self.tensor.scale)
        quantised = np.clip(quotient.astype(np.float64) + self.tensor.zero_point, low, high)
        rows = self.layout.to_memory(quantised.astype(self.tensor.dtype))
        return _as_maps(rows, self.tensor)


@dataclass(frozen=True, kw_only=True)
class OutputPort:
    """The model's output ``name``, held by the network's ``tensor`` in the order of ``layout``."""

    name: str
    layout: Layout
    tensor: TensorSpec

    @property
    def shape(self) -> tuple[int, ...]:
        """The output's shape in ONNX."""
        return self.layout.shape

    @property
    def classes(self) -> int:
        """How many scores there are."""
        return prod(self.shape)

    def predicted(self, values: NDArray[np.generic]) -> int:
        """The class that the values of one image tell: that of the largest score."""
        return int(values.argmax())

    def quantised(self, maps: Bytes) -> Bytes:
        """Quantised maps [N, height, width, channels] in the ONNX order and shape [N, ...]."""
        rows = self.layout.from_memory(maps)
        return rows.reshape(-1, *self.shape[1:]).astype(self.tensor.dtype)

    def dequantise(self, maps: Bytes) -> NDArray[np.float32]:
        """Real values [N, ...]: scale * (q - zero point) in float32."""
        difference = self.quantised(maps).astype(np.int32) - self.tensor.zero_point
        return np.asarray(difference.astype(np.float32) * self.tensor.scale, np.float32)


@dataclass(frozen=True, kw_only=True)
class ResultPort:
    """The model's output ``name``, which the host makes of a map of the network."""

    name: str
    result: HostResult

    @property
    def tensor(self) -> TensorSpec:
        """The map that it is made of."""
        return self.result.input

    @property
    def shape(self) -> tuple[int, ...]:
        """The output's shape in ONNX."""
        return self.result.shape

    @property
    def classes(self) -> int | None:
        """How many classes there are; None where the output is more than one index."""
        single = self.result.dtype == np.float32 or prod(self.shape) == 1
        return self.result.classes if single else None

    def predicted(self, values: NDArray[np.generic]) -> int:
        """The class that the values of one image tell: an index itself, or the largest score."""
        if self.result.dtype == np.int64:
            return int(values.reshape(-1)[0])
        return int(values.argmax())

    def dequantise(self, maps: Bytes) -> NDArray[np.float32] | NDArray[np.int64]:
        """The values [N, ...] for maps [N, height, width, channels] of ``tensor``."""
        # ONNX Runtime is imported where it runs.
        from sim.host import run_host_result

        made = np.concatenate([run_host_result(self.result, each) for each in maps])
        if self.result.dtype == np.int64:
            return made.astype(np.int64, copy=False)
        return made.astype(np.float32, copy=False)


def check_images(images: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Raise ``InputError`` unless images are finite float32 [N, ...] for an input ``shape``."""
    if images.dtype != np.float32 or images.shape[1:] != shape[1:]:
        wanted = ", ".join(("N", *map(str, shape[1:])))
        raise InputError(
            f"images must be float32 [{wanted}], got {images.dtype} {list(images.shape)}; "
            "convert and reshape them"
        )
    wrong = images[~np.isfinite(images)]
    if wrong.size:
        raise InputError(f"images must be finite, got {wrong[0]}; remove such values")


def _as_maps(rows: NDArray[np.generic], tensor: TensorSpec) -> Bytes:
    """[N, elements] as [N, height, width, channels]."""
    shape = tensor.shape
    return rows.reshape(-1, shape.height, shape.width, shape.channels).astype(tensor.dtype)
