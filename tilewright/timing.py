"""The timing of a whole network on a machine, layer by layer."""

from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from compiler.program import Program
from compiler.schedule import HostTraffic, Schedule
from sim.command.accesses import command_accesses
from sim.command.timeline import Timeline, TimelineSimulator


@dataclass(frozen=True, kw_only=True)
class LayerTiming:
    """One layer's share of a run.

    ``cycles`` go from the end of the layers before it to its own: layers overlap, and these add up
    to the run. ``bound`` names what it kept busiest: compute, memory, or post-processing.
    """

    name: str
    kind: str
    output: str
    macs: int
    cycles: int
    utilization: float
    """MACs / (PEs x cycles)."""
    read_bytes: int
    written_bytes: int
    bound: str
    accesses: dict[str, int]
    """Of every storage, by the counters' names."""


@dataclass(frozen=True, kw_only=True)
class NetworkTiming:
    """A run of a whole network, without data."""

    network: str
    config: str
    version: str
    commands: int
    macs: int
    cycles: int
    utilization: float
    memory_bytes: int
    counters: dict[str, int]
    layers: tuple[LayerTiming, ...]
    host: tuple[HostTraffic, ...]
    """What the host runs, which has no part in cycles and counters."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def time_schedule(schedule: Schedule) -> NetworkTiming:
    """Time the programs of ``schedule`` on their machine, one after the other."""
    config = schedule.config
    layers: list[LayerTiming] = []
    counters: Counter[str] = Counter()
    for program in schedule.programs:
        timeline = TimelineSimulator(config).run(program.commands)
        layers += _layers(program, timeline)
        counters.update(timeline.counters)
    macs, cycles = sum(layer.macs for layer in layers), counters["cycles"]
    beats = counters["memory_read_beats"] + counters["memory_write_beats"]
    return NetworkTiming(
        network=schedule.network.name,
        config=config.name,
        version=version("tilewright"),
        commands=counters["commands"],
        macs=macs,
        cycles=cycles,
        utilization=_utilization(config, macs, cycles),
        memory_bytes=beats * config.bus_bytes,
        counters=dict(counters),
        layers=tuple(layers),
        host=tuple(schedule.host_traffic()),
    )


def _layers(program: Program, timeline: Timeline) -> list[LayerTiming]:
    accesses: list[Counter[str]] = [Counter() for _ in program.layers]
    ends = [0] * len(program.layers)
    fetch_beats = COMMAND_BYTES // program.config.bus_bytes
    for step, command, span in zip(program.steps, program.commands, timeline.spans, strict=True):
        accesses[step.layer].update(command_accesses(command, program.config))
        accesses[step.layer]["memory_read_beats"] += fetch_beats
        ends[step.layer] = max(ends[step.layer], span.done)
    found, before = [], 0
    for index, counts in enumerate(accesses):
        # A later layer may end before an earlier one; it then took no time of its own.
        end = max(before, ends[index])
        found.append(_layer(program, index, counts, end - before))
        before = end
    return found


def _layer(program: Program, index: int, counts: Counter[str], cycles: int) -> LayerTiming:
    config, layer = program.config, program.layers[index].layer
    macs = layer.macs
    fmap = layer.output.shape
    busy = {
        "compute": counts["array_busy"],
        "memory": max(counts["memory_read_beats"], counts["memory_write_beats"])
        * config.beat_interval,
        "post-processing": counts["activation_write_post"],
    }
    return LayerTiming(
        name=layer.name,
        kind=layer.kind,
        output=f"{fmap.height}x{fmap.width}x{fmap.channels}",
        macs=macs,
        cycles=cycles,
        utilization=_utilization(config, macs, cycles),
        read_bytes=counts["memory_read_beats"] * config.bus_bytes,
        written_bytes=counts["memory_write_beats"] * config.bus_bytes,
        bound=max(busy, key=lambda cause: busy[cause]),
        accesses=dict(sorted(counts.items())),
    )


def _utilization(config: AcceleratorConfig, macs: int, cycles: int) -> float:
    pes = config.rows * config.cols
    return macs / (pes * cycles) if cycles else 0.0
