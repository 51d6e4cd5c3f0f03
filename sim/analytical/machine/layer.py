"""What a generated machine must know of a layer to price it."""

from dataclasses import dataclass

from arch.layers import ConvShape, FeatureMap, PoolShape


@dataclass(frozen=True, kw_only=True)
class MachineLayer:
    """A layer that runs by itself: its inputs come from memory, its output goes there.

    ``window`` slides over what the convolution gives, or, without one, over the layer's input.
    """

    conv: ConvShape | None
    """The convolution that the array computes, if there is one."""
    window: PoolShape
    """What the post-processor combines: of 1x1 if it only requantises."""
    products: bool = False
    """``window`` is that of a depthwise convolution, which the post-processor computes."""
    operand: FeatureMap | None = None
    """The second operand of a sum or product: as large as the output, or one pixel."""
    table: bool = False
    """Outputs are looked up in a table."""
    blocks: tuple[tuple[int, ...], ...] | None = None
    """Of an average whose windows do not all count the same taps: which block of constants each
    output pixel takes, row by row."""
    input_pitches: tuple[int, int] | None = None
    """Bytes in memory from pixel to pixel, and from row to row, of an input that is a part of a
    larger map; None if it lies there without gaps."""

    @property
    def ifmap(self) -> FeatureMap:
        """The input."""
        return self.window.ifmap if self.conv is None else self.conv.ifmap

    @property
    def ofmap(self) -> FeatureMap:
        """The output."""
        return self.window.ofmap

    @property
    def broadcasts(self) -> bool:
        """Whether the second operand is one pixel for all pixels."""
        operand = self.operand
        return operand is not None and (operand.height, operand.width) == (1, 1)
