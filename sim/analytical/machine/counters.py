"""All counters of a layer on a generated machine: accesses in closed form, and its time."""

from collections.abc import Mapping as MapSizes

from arch.counters import COUNTER_NAMES
from arch.post_timing import post_cycles, post_interval
from sim.analytical.machine.counts import count, windows
from sim.analytical.machine.place import addresses_alone
from sim.analytical.machine.stream import Stream
from sim.analytical.machine.tiling import Tiling
from sim.command.timeline import TimelineSimulator

_TIMES = ("cycles", *(name for name in COUNTER_NAMES if name.startswith("stall_")))


def counters(tiling: Tiling, maps: MapSizes[str, int]) -> dict[str, int]:
    """All of the machine's counters for a layer by itself, whose ``maps`` lie in memory as
    ``addresses_alone`` says.

    Accesses are closed forms. For cycles and stalls, the tiling's own commands (``stream``) go
    through the timing laws of the command-level simulator.
    """
    found = count(tiling)
    commands = list(Stream(tiling, addresses_alone(tiling, maps)).commands())
    timed = TimelineSimulator(tiling.config).run(commands).counters
    return {name: timed[name] if name in _TIMES else found[name] for name in COUNTER_NAMES}


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
