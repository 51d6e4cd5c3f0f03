"""Where everything lies in the accelerator's memory."""

from typing import NamedTuple

from arch.config import ceil_div
from arch.layers import FeatureMap

ALIGNMENT = 64
"""Every object starts at a multiple of this: a command's size, and of any bus width."""


class MapPlace(NamedTuple):
    """Where a feature map lies: pixel (y, x) at ``address + y * row_pitch + x * pixel_pitch``.

    Pitches count bytes; channels lie side by side, ``element`` bytes each. A map that is part of a
    larger one has gaps between its pixels or rows; ``skipped`` bytes between pixels are others that
    are left out.
    """

    address: int
    pixel_pitch: int
    row_pitch: int
    element: int = 1
    skipped: int = 0

    @classmethod
    def packed(cls, address: int, fmap: FeatureMap, element: int = 1) -> "MapPlace":
        """A map without gaps."""
        return cls(
            address=address,
            pixel_pitch=fmap.channels * element,
            row_pitch=fmap.row_elements * element,
            element=element,
        )

    def at(self, y: int, x: int, channel: int) -> "MapPlace":
        """The same map from (y, x, channel) on."""
        address, pixel_pitch, row_pitch, element, skipped = self
        address += y * row_pitch + x * pixel_pitch + channel * element
        return MapPlace(address, pixel_pitch, row_pitch, element, skipped)

    def moved(self, distance: int) -> "MapPlace":
        """The same map ``distance`` bytes further on."""
        return self._replace(address=self.address + distance)

    def is_packed(self, fmap: FeatureMap) -> bool:
        """Whether ``fmap`` lies here without gaps."""
        return self == MapPlace.packed(self.address, fmap, self.element)


class MemoryMap:
    """Hands out addresses one after another, from 0."""

    def __init__(self) -> None:
        self._end = 0
        self._addresses: dict[str, int] = {}

    def place(self, name: str, size: int) -> int:
        """Reserve ``size`` bytes for ``name``; returns the address."""
        address = self._end
        self._addresses[name] = address
        self._end += ceil_div(size, ALIGNMENT) * ALIGNMENT
        return address

    def address(self, name: str) -> int:
        """First byte of ``name``."""
        return self._addresses[name]

    @property
    def size(self) -> int:
        """Bytes handed out."""
        return self._end
