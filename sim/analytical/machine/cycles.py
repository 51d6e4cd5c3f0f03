"""Cycles and stalls of a layer: its commands on the machine's timing laws."""

from collections.abc import Mapping as MapSizes

from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from sim.analytical.machine.counts import count
from sim.analytical.machine.layer import MachineLayer
from sim.analytical.machine.place import addresses_alone
from sim.analytical.machine.stream import Stream
from sim.analytical.machine.tiling import Tiling
from sim.command.timeline import TimelineSimulator

_TIMES = ("cycles", "stall_weights", "stall_load", "stall_post", "stall_store", "stall_idle")


def counters(
    layer: MachineLayer, mapping: Mapping, config: AcceleratorConfig, maps: MapSizes[str, int]
) -> dict[str, int]:
    """All counters of ``layer`` by itself."""
    tiling = Tiling(layer, mapping, config)
    found = count(layer, mapping, config)
    commands = list(Stream(tiling, addresses_alone(tiling, maps)).commands())
    timed = TimelineSimulator(config).run(commands).counters
    return {**found, **{name: timed[name] for name in _TIMES}}
