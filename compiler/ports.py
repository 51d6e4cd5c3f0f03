"""What the host does at either end: quantise images, dequantise results."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError
from arch.layers import FeatureMap
from sim.network import Bytes, TensorSpec


@dataclass(frozen=True, kw_only=True)
class InputPort:
    """The model's float32 input ``name`` of ``shape`` [1, C, H, W] or [1, F]."""

    name: str
    shape: tuple[int, ...]
    tensor: TensorSpec

    def quantise(self, images: NDArray[np.float32]) -> Bytes:
        """Images float32 [N, C, H, W] or [N, F] as 8-bit maps [N, height, width, channels].

        q = clamp(rne(float32(x / scale)) + zero point), as ONNX QuantizeLinear. Raises
        ``InputError`` for another shape or type, and for numbers that are not finite.
        """
        self._check(images)
        low, high = self.tensor.limits
        with np.errstate(over="ignore"):  # beyond float32 saturates as well
            quotient = np.rint(images / self.tensor.scale)
        quantised = np.clip(quotient.astype(np.float64) + self.tensor.zero_point, low, high)
        maps = quantised.astype(self.tensor.dtype).reshape(-1, *_chw(self.tensor.shape))
        return np.ascontiguousarray(maps.transpose(0, 2, 3, 1))

    def _check(self, images: NDArray[np.float32]) -> None:
        if images.dtype != np.float32 or images.shape[1:] != self.shape[1:]:
            wanted = ", ".join(("N", *map(str, self.shape[1:])))
            raise InputError(
                f"images must be float32 [{wanted}], got {images.dtype} {list(images.shape)}; "
                "convert and reshape them"
            )
        wrong = images[~np.isfinite(images)]
        if wrong.size:
            raise InputError(f"images must be finite, got {wrong[0]}; remove such values")


@dataclass(frozen=True, kw_only=True)
class OutputPort:
    """The model's output ``name`` of ``shape``, held by the network's ``tensor``.

    The bytes are in the order of a map ``order``, channels last, also where the ONNX output is a
    vector flattened from that map, channels first.
    """

    name: str
    shape: tuple[int, ...]
    tensor: TensorSpec
    order: FeatureMap

    def quantised(self, maps: Bytes) -> Bytes:
        """8-bit maps [N, height, width, channels] in the ONNX order and shape [N, ...]."""
        ordered = maps.reshape(-1, self.order.height, self.order.width, self.order.channels)
        return ordered.transpose(0, 3, 1, 2).reshape(-1, *self.shape[1:])

    def dequantise(self, maps: Bytes) -> NDArray[np.float32]:
        """Real values [N, ...]: scale * (q - zero point) in float32."""
        difference = self.quantised(maps).astype(np.int32) - self.tensor.zero_point
        return np.asarray(difference.astype(np.float32) * self.tensor.scale, np.float32)


def _chw(shape: FeatureMap) -> tuple[int, int, int]:
    return shape.channels, shape.height, shape.width
