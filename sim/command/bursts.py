"""How a load or store command's rows become AXI4 bursts."""

from functools import lru_cache

from arch.commands import Command
from arch.config import AcceleratorConfig
from arch.timing import BURST_BOUNDARY_BYTES


def burst_beats(command: Command, config: AcceleratorConfig) -> list[int]:
    """Beats of each burst of a load or store command, in order."""
    beats: list[int] = []
    for row in range(command["rows"] + 1):
        address = (command["dram_address"] + row * command["dram_pitch"]) % BURST_BOUNDARY_BYTES
        beats.extend(
            _row_bursts(address, command["row_bytes"], config.bus_bytes, config.burst_beats)
        )
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
