"""Blocks of parameters that a layer's post commands take in turn, and their loads."""

from collections.abc import Iterator

from arch.commands import LoadTarget
from arch.config import AcceleratorConfig, ceil_div
from compiler.emit_common import Emission
from compiler.slots import SlotRing
from compiler.waits import Region, Step

_STRIPS = 4
"""A strip of blocks is loaded at once. With so many in the buffer, the next ones come while one is
in use; more would only be more loads."""


class ParameterBlocks:
    """``blocks`` blocks of ``words`` words from ``memory`` on, of which the parameter buffer holds
    a ring of strips.

    With ``shared``, the ring has the lower half of the buffer (0) or the upper one (1), else all
    of it.
    """

    def __init__(
        self,
        emission: Emission,
        config: AcceleratorConfig,
        *,
        memory: int,
        blocks: int,
        words: int,
        shared: int | None = None,
    ) -> None:
        self._emission = emission
        self._memory = memory
        self._blocks = blocks
        self._words = words
        self._bus_bytes = config.bus_bytes
        room = config.parameter_words if shared is None else config.parameter_words // 2
        self._strip = _blocks_in_strip(blocks, room // words)
        size = self._strip * words
        self._ring = SlotRing(base=room * (shared or 0), size=size, count=room // size)

    def take(self, block: int) -> tuple[Region, Iterator[Step]]:
        """Where block number ``block`` lies, and the load that brings it there, if needed."""
        strip, place = divmod(block, self._strip)
        start, missing = self._ring.take(strip)
        word = start + place * self._words
        region = Region("parameter", word, word + self._words)
        return region, self._load(strip, start) if missing else iter(())

    def _load(self, strip: int, word: int) -> Iterator[Step]:
        first = strip * self._strip
        blocks = min(self._strip, self._blocks - first)
        block_bytes = self._words * self._bus_bytes
        yield self._emission.load_constants(
            LoadTarget.PARAMETER,
            dram=self._memory + first * block_bytes,
            size=blocks * block_bytes,
            address=word * self._bus_bytes,
        )


def _blocks_in_strip(blocks: int, room: int) -> int:
    """Blocks in a strip, of ``blocks`` in a buffer that holds ``room``: if all fit, all strips
    do."""
    most = max(1, room // _STRIPS)
    if blocks > room:
        return most
    return next(size for size in range(most, 0, -1) if ceil_div(blocks, size) * size <= room)
