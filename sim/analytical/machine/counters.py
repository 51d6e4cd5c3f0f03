"""All counters of a layer on a generated machine: accesses in closed form, and its time."""

from collections.abc import Mapping as MapSizes

from arch.counters import COUNTER_NAMES
from arch.post_timing import post_cycles, post_interval
from sim.analytical.machine.counts import count, windows
from sim.analytical.machine.place import addresses_alone
from sim.analytical.machine.steady import time_counters
from sim.analytical.machine.tiling import Tiling


def counters(tiling: Tiling, maps: MapSizes[str, int]) -> dict[str, int]:
    """All of the machine's counters for a layer by itself, whose ``maps`` lie in memory as
    ``addresses_alone`` says.

    Accesses are closed forms. For cycles and stalls, the tiling's own commands (``stream``) go
    through the timing laws of the command-level simulator.
    """
    found = count(tiling)
    addresses = addresses_alone(tiling, maps)
    found.update(time_counters(tiling, addresses, found["commands"], found["array_busy"]))
    return {name: found[name] for name in COUNTER_NAMES}


def busy_cycles(tiling: Tiling, found: MapSizes[str, int]) -> dict[str, int]:
    """For how long the array, the busier direction of memory and the post-processor are at work, in
    a run with the counters ``found``."""
    config, (taken, commands) = tiling.config, windows(tiling)
    beats = max(found["memory_read_beats"], found["memory_write_beats"])
    size, constants = tiling.window_size, tiling.constant_words
    interval = post_interval(config, size)
    fixed = post_cycles(config, 1, size, constants) - interval
    return {
        "compute": found["array_busy"] + found["stall_weights"],
        "memory": beats * config.beat_interval,
        "drain": commands * fixed + taken * interval,
    }
