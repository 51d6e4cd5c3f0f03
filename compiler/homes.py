"""Where maps are while a layer runs: in memory, or in the activation buffer, whole or a tile."""

from dataclasses import dataclass, field

from arch.config import AcceleratorConfig
from arch.layers import FeatureMap
from arch.mapping import Slots
from compiler.geometry import Span2D
from compiler.memory_map import MapPlace
from compiler.slots import SlotRing
from compiler.waits import Region

_SLOT_ALIGNMENT = 64


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where one map is while a layer runs; a map may be in both places.

    A map that is read comes from the chip if it is there. One that is written goes to both.
    """

    memory: MapPlace | None
    chip: MapPlace | None


# Not frozen, as there are many: freezing makes each take four times as long.
@dataclass(kw_only=True, slots=True)
class OnChip:
    """Some channels of a rectangle of a map in the activation buffer.

    ``place`` is where pixel (``area.y``, ``area.x``), channel ``channel`` lies.
    """

    area: Span2D
    channel: int
    channels: int
    place: MapPlace
    row_bytes: int = field(init=False)
    """Bytes from the first channel of a row's first pixel to the last of its last."""
    _regions: dict[tuple[Span2D, int, int], Region] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        place = self.place
        self.row_bytes = (self.area.width - 1) * place.pixel_pitch + self.channels * place.element

    def address(self, y: int, x: int, channel: int) -> int:
        """The first byte of channel ``channel`` of pixel (``y``, ``x``) of the map."""
        area, place = self.area, self.place
        offset = (y - area.y) * place.row_pitch + (x - area.x) * place.pixel_pitch
        return place.address + offset + (channel - self.channel) * place.element

    def at(self, y: int, x: int, channel: int) -> MapPlace:
        """The place of pixel (``y``, ``x``) of the map, channel ``channel``."""
        return self.place._replace(address=self.address(y, x, channel))

    def region(self, part: Span2D, channel: int, channels: int) -> Region:
        """The bytes from the first to the last element of some channels of ``part``."""
        # The commands of a tile's groups of columns ask for the same.
        key = part, channel, channels
        found = self._regions.get(key)
        if found is None:
            found = self._regions[key] = self._region(part, channel, channels)
        return found

    def _region(self, part: Span2D, channel: int, channels: int) -> Region:
        place = self.place
        first = self.address(part.y, part.x, channel)
        last = first + (part.height - 1) * place.row_pitch + (part.width - 1) * place.pixel_pitch
        return Region("activation", first, last + channels * place.element)


def slot_bytes(slots: Slots, config: AcceleratorConfig) -> int:
    """Bytes of each slot."""
    region = slots.banks * config.activation_bank_bytes
    return region // slots.count // _SLOT_ALIGNMENT * _SLOT_ALIGNMENT


def slot_banks(size: int, count: int, config: AcceleratorConfig) -> int:
    """Fewest banks that hold ``count`` slots of ``size`` bytes."""
    aligned = -(-size // _SLOT_ALIGNMENT) * _SLOT_ALIGNMENT
    return -(-aligned * count // config.activation_bank_bytes)


class Tiles:
    """Hands out where tiles of one map lie on chip: in slots, or in the whole map, if ``slots`` is
    None and ``home`` says where it is."""

    def __init__(
        self, shape: FeatureMap, home: Home, slots: Slots | None, config: AcceleratorConfig
    ) -> None:
        self._element = config.activation_bytes
        self._whole: OnChip | None = None
        self._ring: SlotRing | None = None
        self._tiles: dict[int, OnChip] = {}
        if slots is not None:
            base = slots.first * config.activation_bank_bytes
            self._ring = SlotRing(base=base, size=slot_bytes(slots, config), count=slots.count)
        elif home.chip is not None:
            area = Span2D(y=0, x=0, height=shape.height, width=shape.width)
            self._whole = OnChip(area=area, channel=0, channels=shape.channels, place=home.chip)

    def take(self, area: Span2D, channel: int, channels: int) -> tuple[OnChip, bool]:
        """(where these channels of ``area`` lie, whether they have to be brought there first)."""
        if self._whole is not None:
            return self._whole, False
        assert self._ring is not None
        address, missing = self._ring.take((area, channel))
        if missing:
            pixel = channels * self._element
            place = MapPlace(address, pixel, area.width * pixel, self._element)
            tile = OnChip(area=area, channel=channel, channels=channels, place=place)
            self._tiles[address] = tile
        return self._tiles[address], missing
