"""How a layer is laid out on the machine: plain integers that the compiler chooses and the models
price."""

from dataclasses import dataclass
from enum import StrEnum


class Order(StrEnum):
    """Which tiles the outer loop walks."""

    PIXELS_OUTER = "pixels_outer"
    """Each tile of pixels meets all output channels before the next: inputs are loaded once."""
    CHANNELS_OUTER = "channels_outer"
    """Each group of output channels meets all pixels before the next: weights are loaded once."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """A region of the activation buffer, ``banks`` banks from bank ``first`` on, which ``count``
    tiles take in turn."""

    first: int
    banks: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Tiles of one layer.

    A tile covers ``tile_height`` x ``tile_width`` output pixels of ``tile_groups`` groups of output
    channels, each of which fills the array's columns (tiles at the edges are smaller). Its input
    channels are on chip ``channel_block`` at a time: those of some whole groups or a part of one's;
    if that is more than there are, the others between them belong to another map. ``split`` cuts
    the reduction's loops over kernel rows, kernel columns and chunks into execute commands of at
    most so many iterations each.
    """

    tile_height: int
    tile_width: int
    tile_groups: int
    channel_block: int
    order: Order
    split: tuple[int, int, int]
    window: tuple[int, int]
    """Rows and columns of the post-processor's window that it takes at a time: the whole kernel, or
    a part of it, where a tile is one pixel of one group."""
    inputs: Slots | None
    """None if the whole input is on chip."""
    operands: Slots | None
    """Of second operands; None if there are none, or the whole map is on chip."""
    outputs: Slots | None
    """None if the whole output is on chip."""
    depthwise: Slots | None = None
    """Of the inputs of a depthwise convolution in front, a group of channels at a time; its outputs
    are ``inputs``. None if there is none, or its whole input is on chip."""
