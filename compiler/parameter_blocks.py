"""Blocks of parameters that a layer's post commands take in turn, and their loads."""

from collections.abc import Iterator

from arch.commands import LoadTarget
from arch.config import AcceleratorConfig
from compiler.emit_common import Emission
from compiler.slots import SlotRing
from compiler.waits import Region, Step


class ParameterBlocks:
    """Blocks of ``words`` words from ``memory`` on, a ring of which is in the parameter buffer.

    With ``shared``, the ring has the lower half of the buffer (0) or the upper one (1), else all
    of it.
    """

    def __init__(
        self,
        emission: Emission,
        config: AcceleratorConfig,
        *,
        memory: int,
        words: int,
        shared: int | None = None,
    ) -> None:
        self._emission = emission
        self._memory = memory
        self._words = words
        self._bus_bytes = config.bus_bytes
        room = config.parameter_words if shared is None else config.parameter_words // 2
        self._ring = SlotRing(base=room * (shared or 0), size=words, count=room // words)

    def take(self, block: int) -> tuple[Region, Iterator[Step]]:
        """Where block number ``block`` lies, and the load that brings it there, if needed."""
        word, missing = self._ring.take(block)
        region = Region("parameter", word, word + self._words)
        return region, self._load(block, word) if missing else iter(())

    def _load(self, block: int, word: int) -> Iterator[Step]:
        size = self._words * self._bus_bytes
        yield self._emission.load_constants(
            LoadTarget.PARAMETER,
            dram=self._memory + block * size,
            size=size,
            address=word * self._bus_bytes,
        )
