"""The timing of a whole network on a machine, layer by layer."""

from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version

from arch.commands import COMMAND_BYTES
from compiler.program import Program
from sim.command.accesses import Accesses
from sim.command.timeline import Timeline, TimelineSimulator, sum_accesses
from sim.network import Conv


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

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def time_program(program: Program) -> NetworkTiming:
    """Time ``program`` on its machine."""
    config = program.config
    timeline = TimelineSimulator(config).run(program.commands)
    layers = tuple(_layers(program, timeline))
    macs = sum(layer.macs for layer in layers)
    beats = timeline.counters["memory_read_beats"] + timeline.counters["memory_write_beats"]
    return NetworkTiming(
        network=program.network.name,
        config=config.name,
        version=version("tilewright"),
        commands=len(program.commands),
        macs=macs,
        cycles=timeline.cycles,
        utilization=_utilization(program, macs, timeline.cycles),
        memory_bytes=beats * config.bus_bytes,
        counters=timeline.counters,
        layers=layers,
    )


def _layers(program: Program, timeline: Timeline) -> list[LayerTiming]:
    accesses: list[list[Accesses]] = [[] for _ in program.layers]
    ends = [0] * len(program.layers)
    for step, counts, span in zip(program.steps, timeline.accesses, timeline.spans, strict=True):
        accesses[step.layer].append(counts)
        ends[step.layer] = max(ends[step.layer], span.done)
    found, before = [], 0
    fetch_beats = COMMAND_BYTES // program.config.bus_bytes
    for index, each in enumerate(accesses):
        counts = sum_accesses(each)
        counts["memory_read_beats"] += len(each) * fetch_beats
        # A later layer may end before an earlier one; it then took no time of its own.
        end = max(before, ends[index])
        found.append(_layer(program, index, counts, end - before))
        before = end
    return found


def _layer(program: Program, index: int, counts: Counter[str], cycles: int) -> LayerTiming:
    config, layer = program.config, program.layers[index].layer
    macs = layer.shape.macs if isinstance(layer, Conv) else 0
    fmap = layer.output.shape
    busy = {
        "compute": counts["array_busy"],
        "memory": max(counts["memory_read_beats"], counts["memory_write_beats"])
        * config.beat_interval,
        "post-processing": counts["activation_write_post"],
    }
    return LayerTiming(
        name=layer.name,
        kind=type(layer).__name__,
        output=f"{fmap.height}x{fmap.width}x{fmap.channels}",
        macs=macs,
        cycles=cycles,
        utilization=_utilization(program, macs, cycles),
        read_bytes=counts["memory_read_beats"] * config.bus_bytes,
        written_bytes=counts["memory_write_beats"] * config.bus_bytes,
        bound=max(busy, key=lambda cause: busy[cause]),
        accesses=dict(sorted(counts.items())),
    )


def _utilization(program: Program, macs: int, cycles: int) -> float:
    pes = program.config.rows * program.config.cols
    return macs / (pes * cycles) if cycles else 0.0
