"""Which tile lies where on chip: rings of slots that tiles take in turn and keep for a while."""

from collections.abc import Hashable


class SlotRing:
    """``count`` slots of ``size`` units from ``base`` on.

    Asking for a tile that is still there costs nothing; a new one replaces the oldest.
    """

    def __init__(self, *, base: int, size: int, count: int) -> None:
        self._base = base
        self._size = size
        self._tags: list[Hashable] = [None] * count
        self._addresses: dict[Hashable, int] = {}
        self._next = 0

    def take(self, tag: Hashable) -> tuple[int, bool]:
        """(address of the slot that holds ``tag``, whether it has to be filled first)."""
        address = self._addresses.get(tag)
        if address is not None:
            return address, False
        slot = self._next
        self._addresses.pop(self._tags[slot], None)
        self._tags[slot] = tag
        self._next = (slot + 1) % len(self._tags)
        self._addresses[tag] = address = self._base + slot * self._size
        return address, True
