"""How a load or store command's rows become AXI4 bursts."""

from collections.abc import Sequence
from functools import lru_cache

from arch.commands import Command
from arch.timing import BURST_BOUNDARY_BYTES


def burst_beats(command: Command, bus: int, limit: int) -> Sequence[int]:
    """Beats of ``bus`` bytes, at most ``limit``, of each burst of a load or store command, in
    order."""
    fields, address = command.pattern.fields, command.addresses[0]
    rows, size = fields["rows"] + 1, fields["row_bytes"]
    if rows == 1:
        return _row_bursts(address % BURST_BOUNDARY_BYTES, size, bus, limit)
    pitch = fields["dram_pitch"]
    beats: list[int] = []
    for _ in range(rows):
        start = address % BURST_BOUNDARY_BYTES
        length = (start + size - 1) // bus - start // bus + 1
        if length <= limit and start + size <= BURST_BOUNDARY_BYTES:
            beats.append(length)
        else:
            beats += _row_bursts(start, size, bus, limit)
        address += pitch
    return beats


@lru_cache(maxsize=65536)
def _row_bursts(address: int, size: int, bus_bytes: int, limit: int) -> tuple[int, ...]:
    """Beats of the bursts of one row that starts at ``address``, counted within 4 KiB."""
    beats = []
    first, stop = address // bus_bytes, -(-(address + size) // bus_bytes)
    page = BURST_BOUNDARY_BYTES // bus_bytes
    while first < stop:
        length = min(stop - first, limit, page - first % page)
        beats.append(length)
        first += length
    return tuple(beats)


def burst_phase(address: int, size: int, pitch: int, bus: int) -> tuple[int, int]:
    """What the bursts of rows of ``size`` bytes, ``pitch`` apart from ``address`` on, depend on
    besides their number, size and pitch: a power of two, and the address modulo that.

    In a block that is so large that rows lie within one, no row comes near a multiple of 4 KiB.
    """
    block = bus
    while block < BURST_BOUNDARY_BYTES and address % block + size > block:
        block *= 2
    if pitch % block:
        block = BURST_BOUNDARY_BYTES
    return block, address % block
