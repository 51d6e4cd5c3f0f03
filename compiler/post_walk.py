"""How a post command's windows slide over its source, and which of them make an output."""

from dataclasses import replace
from typing import NamedTuple

from arch.commands import PostMode
from arch.layers import Window
from compiler.fusion import FusedLayer
from compiler.geometry import Span2D
from sim.network import AveragePool


def kernel_columns(window: Window, width: int) -> int:
    """Columns of the input, padding among them, that ``width`` outputs in a row are made of."""
    return (width - 1) * window.stride[1] + window.kernel[1]


class PostWalk(NamedTuple):
    """The windows of one layer's post commands: each makes an output, or, of a depthwise
    convolution, is one column of the kernel at one column of the input."""

    window: Window
    """As the commands have it."""
    mode: PostMode
    kernel: Window | None = None
    """Of a depthwise convolution."""

    @classmethod
    def of(cls, layer: FusedLayer) -> "PostWalk":
        """The walk for what ``layer`` leaves to the post-processor."""
        if layer.conv is None and layer.depthwise is not None:
            kernel = layer.depthwise.shape.window
            size, stride = (kernel.kernel[0], 1), (kernel.stride[0], 1)
            window = replace(kernel, kernel=size, stride=stride)
            return cls(window, PostMode.PRODUCTS, kernel)
        averages = isinstance(layer.pool, AveragePool)
        return cls(layer.shape.window.window, PostMode.SUM if averages else PostMode.MAX)

    def over(self, outputs: Span2D) -> Span2D:
        """The windows that the outputs are made of."""
        kernel = self.kernel
        if kernel is None:
            return outputs
        width = kernel_columns(kernel, outputs.width)
        return outputs._replace(x=outputs.x * kernel.stride[1], width=width)

    @property
    def products(self) -> dict[str, int]:
        """The fields of a command that make outputs of several windows."""
        if self.kernel is None:
            return {"kernel_rows": 0, "lead": 0, "skip": 0}
        return {
            "kernel_rows": self.kernel.kernel[0] - 1,
            "lead": self.kernel.kernel[1] - 1,
            "skip": self.kernel.stride[1] - 1,
        }
