"""Shapes of layers and feature maps: plain integers, no data.

Feature maps are stored channels-last (HWC): element (y, x, c) of a map lies at
``(y * width + x) * channels + c``.
"""

from dataclasses import dataclass
from functools import cached_property

from arch.errors import ShapeError


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """One image's feature map: ``height`` x ``width`` pixels of ``channels`` elements."""

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        for field in ("height", "width", "channels"):
            if getattr(self, field) < 1:
                raise ShapeError(
                    f"a feature map's {field} must be at least 1, got {getattr(self, field)}"
                )

    @property
    def row_elements(self) -> int:
        """Elements in one row (all x, all channels)."""
        return self.width * self.channels

    @property
    def elements(self) -> int:
        """Elements in the whole map."""
        return self.height * self.row_elements


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window: kernel, stride, dilation (y, x) and padding (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        for field in ("kernel", "stride", "dilation"):
            if min(getattr(self, field)) < 1:
                raise ShapeError(
                    f"a window's {field} must be at least 1, got {getattr(self, field)}"
                )
        if min(self.padding) < 0:
            raise ShapeError(f"a window's padding must not be negative, got {self.padding}")

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Input pixels from a window's first to its last tap, (y, x)."""
        (ky, kx), (dy, dx) = self.kernel, self.dilation
        return (ky - 1) * dy + 1, (kx - 1) * dx + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output (height, width) of the window slid over an input of ``height`` x ``width``.

        Raises ``ShapeError`` if the window is larger than the padded input.
        """
        top, left, bottom, right = self.padding
        extent_y, extent_x = self.extent
        rows = (height + top + bottom - extent_y) // self.stride[0] + 1
        columns = (width + left + right - extent_x) // self.stride[1] + 1
        if rows < 1 or columns < 1:
            raise ShapeError(
                f"a window of extent {self.extent} is larger than the padded input "
                f"{(height + top + bottom, width + left + right)}"
            )
        return rows, columns


@dataclass(frozen=True, kw_only=True)
class ConvShape:
    """A convolution of one image: ``ifmap`` to ``out_channels`` channels under ``window``.

    With ``groups``, the g-th part of the output channels sees the g-th part of the input channels
    alone; as many groups as input channels make it depthwise.
    """

    ifmap: FeatureMap
    out_channels: int
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        if self.out_channels < 1:
            raise ShapeError(
                f"a convolution's out_channels must be at least 1, got {self.out_channels}"
            )
        if self.groups < 1 or self.ifmap.channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"a convolution's groups must divide its {self.ifmap.channels} input and "
                f"{self.out_channels} output channels, got {self.groups}"
            )
        self.window.output_size(self.ifmap.height, self.ifmap.width)

    @cached_property
    def ofmap(self) -> FeatureMap:
        """The output map."""
        height, width = self.window.output_size(self.ifmap.height, self.ifmap.width)
        return FeatureMap(height=height, width=width, channels=self.out_channels)

    @property
    def group_inputs(self) -> int:
        """Input channels that one output channel sees."""
        return self.ifmap.channels // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def reduction(self) -> int:
        """Products summed into one output: kernel taps x input channels of a group."""
        return self.window.kernel[0] * self.window.kernel[1] * self.group_inputs

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.reduction * self.out_channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates, taps that fall on padding included."""
        return self.ofmap.elements * self.reduction


@dataclass(frozen=True, kw_only=True)
class PoolShape:
    """A pooling of one image: ``ifmap`` under ``window``, channel by channel."""

    ifmap: FeatureMap
    window: Window

    def __post_init__(self) -> None:
        self.window.output_size(self.ifmap.height, self.ifmap.width)

    @cached_property
    def ofmap(self) -> FeatureMap:
        """The output map."""
        height, width = self.window.output_size(self.ifmap.height, self.ifmap.width)
        return FeatureMap(height=height, width=width, channels=self.ifmap.channels)
