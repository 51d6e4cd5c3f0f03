"""All counters of a layer on a generated machine: accesses in closed form, and its time."""

from collections.abc import Mapping

from arch.counters import COUNTER_NAMES
from sim.analytical.machine.counts import count, post_cycles_in_all
from sim.analytical.machine.place import Addresses
from sim.analytical.machine.steady import time_counters
from sim.analytical.machine.tiling import Tiling


def counters(tiling: Tiling, addresses: Addresses) -> dict[str, int]:
    """All of the machine's counters for a layer by itself, whose data lie in memory at
    ``addresses``.

    Accesses are closed forms. For cycles and stalls, the tiling's own commands (``stream``) go
    through the timing laws of the command-level simulator.
    """
    found = count(tiling)
    found.update(time_counters(tiling, addresses, found["commands"], found["array_busy"]))
    return {name: found[name] for name in COUNTER_NAMES}


def busy_cycles(tiling: Tiling, found: Mapping[str, int]) -> dict[str, int]:
    """For how long the array, the busier direction of memory and the post-processor are at work, in
    a run with the counters ``found``."""
    beats = max(found["memory_read_beats"], found["memory_write_beats"])
    return {
        "compute": found["array_busy"] + found["stall_weights"],
        "memory": beats * tiling.config.beat_interval,
        "drain": post_cycles_in_all(tiling),
    }
