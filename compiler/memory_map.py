"""Where everything lies in the accelerator's memory."""

from arch.config import ceil_div

ALIGNMENT = 64
"""Every object starts at a multiple of this: a command's size, and of any bus width."""


class MemoryMap:
    """Hands out addresses one after another, from 0."""

    def __init__(self) -> None:
        self._end = 0
        self._objects: dict[str, tuple[int, int]] = {}

    def place(self, name: str, size: int) -> int:
        """Reserve ``size`` bytes for ``name``; returns the address."""
        address = self._end
        self._objects[name] = (address, size)
        self._end += ceil_div(size, ALIGNMENT) * ALIGNMENT
        return address

    def alias(self, name: str, target: str) -> None:
        """Let ``name`` be the same bytes as ``target``."""
        self._objects[name] = self._objects[target]

    def address(self, name: str) -> int:
        """First byte of ``name``."""
        return self._objects[name][0]

    @property
    def size(self) -> int:
        """Bytes handed out."""
        return self._end

    @property
    def objects(self) -> dict[str, tuple[int, int]]:
        """(address, size) of every object."""
        return dict(self._objects)
