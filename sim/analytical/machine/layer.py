"""What a generated machine must know of a layer to price it."""

from dataclasses import dataclass

from arch.layers import ConvShape, FeatureMap, PoolShape


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a map is while a layer runs: in memory, or whole in the activation buffer.

    One that is read comes from the chip if it is there. One that is written may go to both.
    """

    in_memory: bool = True
    on_chip: bool = False
    pitches: tuple[int, int] | None = None
    """Bytes from pixel to pixel, and from row to row, alike in both places, of a map that is a part
    of a larger one; None if it lies there without gaps."""
    offset: int = 0
    """Bytes in memory from where the larger one begins; a beat begins there."""

    def distances(self, fmap: FeatureMap, element: int) -> tuple[int, int]:
        """Bytes from pixel to pixel and from row to row of ``fmap``, whose elements have
        ``element`` bytes."""
        return self.pitches or (fmap.channels * element, fmap.row_elements * element)


_MEMORY = Home()


@dataclass(frozen=True, kw_only=True)
class MachineLayer:
    """A layer that runs by itself.

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
    input_home: Home = _MEMORY
    operand_home: Home = _MEMORY
    output_home: Home = _MEMORY
    free_banks: tuple[int, int] | None = None
    """The first and the number of the banks of the activation buffer that are left by maps on chip;
    None if all are."""

    @property
    def ifmap(self) -> FeatureMap:
        """The input."""
        return self.window.ifmap if self.conv is None else self.conv.ifmap

    @property
    def ofmap(self) -> FeatureMap:
        """The output."""
        return self.window.ofmap

    @property
    def loads_input(self) -> bool:
        """Whether the input is brought on chip tile by tile."""
        return not self.input_home.on_chip

    @property
    def loads_operand(self) -> bool:
        """Whether there is a second operand that is."""
        return self.operand is not None and not self.operand_home.on_chip

    @property
    def stores(self) -> bool:
        """Whether the output goes to memory."""
        return self.output_home.in_memory

    @property
    def broadcasts(self) -> bool:
        """Whether the second operand is one pixel for all pixels."""
        operand = self.operand
        return operand is not None and (operand.height, operand.width) == (1, 1)
