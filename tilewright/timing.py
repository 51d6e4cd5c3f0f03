"""The timing of a whole network on a machine, layer by layer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import accumulate

from arch.commands import COMMAND_BYTES, Engine
from arch.config import AcceleratorConfig
from compiler.program import Program
from compiler.schedule import HostTraffic, Schedule
from sim.command.accesses import Accesses, sum_accesses
from sim.command.timeline import Timeline, TimelineSimulator
from tilewright.bounds import Bounds, layer_bounds
from tilewright.shortfall import Work, account, layer_works
from tilewright.storage import storage_bytes


@dataclass(frozen=True, kw_only=True)
class LayerTiming:
    """One layer's share of a run.

    ``cycles`` go from the end of the layers before it to its own: layers overlap, and these add up
    to the run.
    """

    name: str
    kind: str
    output: str
    mapping: str
    """How it was chosen, see ``compiler.report``."""
    macs: int
    cycles: int
    utilization: float
    """MACs / (PEs x cycles)."""
    read_bytes: int
    written_bytes: int
    bounds: Bounds
    """The least cycles that it could take, and the bytes that it must move."""
    ratio: float | None
    """Cycles / the higher bound; None if both are 0."""
    array_parts: dict[str, int]
    """What the array did in ``cycles``, see ``tilewright.shortfall``."""
    memory_parts: dict[str, int]
    """What the memory did in them."""
    why: str
    """The largest causes of more cycles than the higher bound, as parts of the cycles."""
    busy: dict[str, int]
    """By engine, the cycles in which it had a command of the layer, from taking it to its end."""
    bound: str
    """What was busy longest: compute (the execute engine), memory (load or store), or drain (the
    post-processor)."""
    accesses: dict[str, int]
    """Of every storage, by the counters' names."""
    storage_bytes: dict[str, int]
    """Bytes read and written, by storage."""


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
    bound: int
    """Sum of the layers' higher bounds."""
    ratio: float | None
    """Cycles / ``bound``."""
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
    bound = sum(layer.bounds.cycles for layer in layers)
    return NetworkTiming(
        network=schedule.network.name,
        config=config.name,
        version=version("tilewright"),
        commands=counters["commands"],
        macs=macs,
        cycles=cycles,
        utilization=_utilization(config, macs, cycles),
        bound=bound,
        ratio=_ratio(cycles, bound),
        memory_bytes=beats * config.bus_bytes,
        counters=dict(counters),
        layers=tuple(layers),
        host=tuple(schedule.host_traffic()),
    )


def _layers(program: Program, timeline: Timeline) -> list[LayerTiming]:
    shares = [_Share() for _ in program.layers]
    times = zip(timeline.accesses, timeline.starts, timeline.dones, strict=True)
    for step, (counts, start, done) in zip(program.steps, times, strict=True):
        shares[step.layer].add(step.pattern.engine, counts, start, done + 1)
    # A later layer may end before an earlier one; it then takes no time of its own.
    ends = list(accumulate((share.end for share in shares), max))
    works = layer_works(program, timeline, ends)
    return [
        _layer(program, index, share, range(before + 1, end + 1), works[index])
        for index, (share, before, end) in enumerate(zip(shares, [0, *ends], ends, strict=False))
    ]


class _Share:
    """What one layer's commands do and when."""

    def __init__(self) -> None:
        self.accesses: list[Accesses] = []
        self.busy = [0] * (max(Engine) + 1)
        """Cycles by engine."""
        self._stops = [0] * (max(Engine) + 1)

    def add(self, engine: Engine, counts: Accesses, start: int, stop: int) -> None:
        """One more command, the latest of its engine, in the cycles ``start`` to ``stop`` - 1."""
        self.accesses.append(counts)
        # Engines are pipelines: a command may be taken before the one before it is done.
        before = self._stops[engine]
        if stop > before:
            self.busy[engine] += stop - (start if start > before else before)
            self._stops[engine] = stop

    @property
    def end(self) -> int:
        """Cycle in which the last command is done."""
        return max(*self._stops, 1) - 1


def _layer(
    program: Program, index: int, share: _Share, time: range, works: dict[Engine, Work]
) -> LayerTiming:
    """The layer that takes the cycles ``time``."""
    config, layer = program.config, program.layers[index].layer
    counts = sum_accesses(share.accesses)
    counts["memory_read_beats"] += len(share.accesses) * COMMAND_BYTES // config.bus_bytes
    macs, cycles = layer.macs, len(time)
    bounds = layer_bounds(program, index)
    spent = account(layer, config, time=time, bounds=bounds, counts=counts, works=works)
    fmap = layer.output.shape
    return LayerTiming(
        name=layer.name,
        kind=layer.kind,
        output=f"{fmap.height}x{fmap.width}x{fmap.channels}",
        mapping=program.layers[index].chosen_by,
        macs=macs,
        cycles=cycles,
        utilization=_utilization(config, macs, cycles),
        read_bytes=counts["memory_read_beats"] * config.bus_bytes,
        written_bytes=counts["memory_write_beats"] * config.bus_bytes,
        bounds=bounds,
        ratio=_ratio(cycles, bounds.cycles),
        array_parts=spent.array,
        memory_parts=spent.memory,
        why=spent.why,
        busy={engine.name.lower(): share.busy[engine] for engine in Engine},
        bound=_bound(share.busy),
        accesses=dict(sorted(counts.items())),
        storage_bytes=storage_bytes(counts, config),
    )


def _bound(busy: Sequence[int]) -> str:
    causes = {
        "compute": busy[Engine.EXECUTE],
        "memory": max(busy[Engine.LOAD], busy[Engine.STORE]),
        "drain": busy[Engine.POST],
    }
    return max(causes, key=lambda cause: causes[cause])


def _ratio(cycles: int, bound: int) -> float | None:
    return cycles / bound if bound else None


def _utilization(config: AcceleratorConfig, macs: int, cycles: int) -> float:
    pes = config.rows * config.cols
    return macs / (pes * cycles) if cycles else 0.0
