"""An input that the host lays out so that a window's rows lie side by side in each pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap, Window
from sim.network import TensorSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedInput:
    """The map ``source`` in the form of ``packed``, for the rows of ``window``.

    Row y of ``packed`` holds what the windows of output row y see: its pixel x, channel
    ``ky * channels + c``, is ``source`` at row ``y * stride - top padding + ky * dilation``, pixel
    x, channel c, or the zero point where there is no such row.
    """

    source: TensorSpec
    packed: TensorSpec
    window: Window

    def as_dict(self) -> dict[str, object]:
        """What a driver must know, for JSON; the place of ``map`` is among the maps."""
        window = self.window
        return {
            "input": self.source.name,
            "map": self.packed.name,
            "kernel_rows": window.kernel[0],
            "stride": window.stride[0],
            "dilation": window.dilation[0],
            "top_padding": window.padding[0],
            "zero_point": self.source.zero_point,
        }

    def pack(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """[height, width, channels] of ``source`` as [height, width, channels] of ``packed``."""
        window, shape = self.window, self.packed.shape
        top, _, bottom, _ = window.padding
        padded = np.pad(
            values.astype(self.source.dtype),
            ((top, bottom), (0, 0), (0, 0)),
            constant_values=self.source.zero_point,
        )
        first = np.arange(shape.height) * window.stride[0]
        taps = np.arange(window.kernel[0]) * window.dilation[0]
        # Output row, kernel row, pixel, channel.
        rows: NDArray[np.generic] = padded[first[:, None] + taps]
        return rows.swapaxes(1, 2).reshape(shape.height, shape.width, shape.channels)


def packed_shape(source: FeatureMap, window: Window) -> FeatureMap:
    """The shape of a map ``source`` packed for ``window``."""
    height, _ = window.output_size(source.height, source.width)
    return FeatureMap(
        height=height, width=source.width, channels=source.channels * window.kernel[0]
    )
