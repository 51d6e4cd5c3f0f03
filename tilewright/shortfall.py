"""Where each layer's cycles go, so that it shows why they are more than its bounds.

Two accounts of the same cycles, each exact to the cycle: what the array did, and what the memory
did. Both come from the times of commands that the command-level simulator works out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from arch.commands import COUNT_BITS, COUNTS, WAITS, Command, Engine
from arch.config import AcceleratorConfig
from arch.post_timing import drain_to_done, execute_done_latency
from arch.timing import step_cycles
from compiler.fusion import FusedLayer
from compiler.geometry import column_groups
from compiler.program import Program
from sim.command.accesses import Accesses
from sim.command.timeline import Timeline
from tilewright.bounds import Bounds

_COUNTS = 1 << COUNT_BITS
_LEAST = 0.005
"""Causes of a smaller part of a layer's cycles are not named."""
_CAUSES = 3
"""So many are named at most."""

_WAITS = {
    Engine.EXECUTE: ("load", "post", "drain", "store"),
    Engine.POST: ("load", "execute", "store"),
}
"""The counts that a layer's work waits for, in the order of the machine's counters."""
_WAIT_NAMES = {
    "load": "load",
    "execute": "array",
    "post": "post",
    "drain": "post",
    "store": "store",
}


@dataclass
class Work:
    """What a layer's commands on one engine do: its vectors, or its post commands, one by one.

    ``start`` and ``stop`` are of the stream of vectors, or of the commands; ``waits`` are the
    cycles in between in which there were none, by cause.
    """

    start: int = 0
    stop: int = 0
    busy: int = 0
    gaps: int = 0
    """Cycles between tiles, in which weights are loaded."""
    waits: Counter[str] = field(default_factory=Counter)

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return self.stop > 0


def layer_works(
    program: Program, timeline: Timeline, ends: Sequence[int]
) -> list[dict[Engine, Work]]:
    """For each layer, what it does on the array and on the post-processor.

    ``ends`` are the cycles in which layers end; a layer's first command waits from the end of the
    layer before it.
    """
    config = program.config
    works = [{engine: Work() for engine in _WAITS} for _ in program.layers]
    counted: dict[str, list[int]] = {name: [] for name in COUNTS}
    before = {"drain": drain_to_done(config)}
    first = [1, *(end + 1 for end in ends)]
    arrayless = [placed.layer.conv is None for placed in program.layers]
    times = zip(timeline.starts, timeline.dones, timeline.accesses, strict=True)
    rows = zip(program.steps, program.commands, times, strict=True)
    for step, command, (taken, done, counts) in rows:
        engine = command.pattern.engine
        if engine in _WAITS:
            work = works[step.layer][engine]
            if engine is Engine.EXECUTE:
                start, stop, busy = _stream(done, counts, config)
            else:
                # What overlaps with the command before counts once.
                start, stop = max(taken, work.stop), done + 1
                busy = stop - start
            idle_from = work.stop if work.any else first[step.layer]
            # What the post-processor waits for beside an array is the array's to tell.
            told = engine is Engine.EXECUTE or arrayless[step.layer]
            if told and start > idle_from:
                for cause, cycles in _causes(command, counted, idle_from, start):
                    work.waits[cause] += cycles
            if not work.any:
                work.start = start
            work.stop = stop
            work.busy += busy
            work.gaps += stop - start - busy
        for name, of in COUNTS.items():
            if of is engine:
                counted[name].append(done - before.get(name, 0))
    return works


def _stream(done: int, counts: Accesses, config: AcceleratorConfig) -> tuple[int, int, int]:
    """First cycle of an execute command's stream of vectors (``hw/execute.py``), the one after its
    last, and how many of them have one."""
    tiles = counts["weight_read"] // config.rows
    vectors = counts["array_busy"] // tiles
    step = step_cycles(config, vectors)
    last = done - execute_done_latency(config) - (vectors - 1)
    return last - (tiles - 1) * step, last + step, tiles * vectors


def _causes(
    command: Command, counted: dict[str, list[int]], start: int, stop: int
) -> Iterator[tuple[str, int]]:
    """What ``command`` waited for in the cycles ``start`` ... ``stop`` - 1 before its work."""
    engine = command.pattern.engine
    waits = dict(zip(WAITS[engine], command.waits, strict=True))
    for name in _WAITS[engine]:
        times = counted[name]
        count = len(times) - (len(times) - waits[f"wait_{name}"]) % _COUNTS
        met = min(times[count - 1] + 1, stop) if count > 0 else 0
        if met > start:
            yield _WAIT_NAMES[name], met - start
            start = met
    yield "idle", stop - start


@dataclass(frozen=True, kw_only=True)
class Account:
    """One layer's cycles, twice by cause; each adds up to ``cycles``.

    ``array``:

    - compute: the compute bound
    - shape: more vectors, for rows and columns of the array that the shape leaves idle
    - recomputed: vectors of sums that are computed more than once
    - weights: between vectors, while weights are loaded
    - load, post, store, array: waiting for those engines
    - idle: no command at hand, or one being taken up
    - drain: work of the post-processor, in layers that it runs alone
    - tail: from the last vector, or post command, to the end of the layer
    - overlap: what was done before the layers before had ended, negative

    ``memory``: the memory bound; traffic beyond it (tiles loaded again, halos, padding of weights,
    the program, parts of beats); cycles in which the busier direction moved nothing, negative where
    it moved before the layers before had ended.
    """

    cycles: int
    array: dict[str, int]
    memory: dict[str, int]
    memory_led: bool
    """Whether the memory moved data in more cycles than array or post-processor worked."""
    rows: tuple[int, int]
    """Rows of the array that one sum uses and takes, over all of its tiles; 0, 0 without any."""
    columns: tuple[int, int]
    """Columns likewise, over all groups of columns."""

    @property
    def why(self) -> str:
        """The largest causes of more cycles than the bounds, as parts of the cycles.

        They are the memory's if it moved data in more cycles than array or post-processor worked.
        """
        parts = dict(self.memory if self.memory_led else self.array)
        for name in ("bound", "compute"):
            parts.pop(name, None)
        largest = sorted(parts, key=lambda name: -parts[name])[:_CAUSES]
        return ", ".join(
            f"{parts[name] / self.cycles:.0%} {self._told(name)}"
            for name in largest
            if parts[name] >= _LEAST * self.cycles > 0
        )

    def _told(self, cause: str) -> str:
        if cause != "shape":
            return cause
        pairs = {"rows": self.rows, "columns": self.columns}
        return " ".join(
            f"{name} {used}/{taken}" for name, (used, taken) in pairs.items() if used < taken
        )


def account(
    layer: FusedLayer,
    config: AcceleratorConfig,
    *,
    time: range,
    bounds: Bounds,
    counts: Accesses,
    works: dict[Engine, Work],
) -> Account:
    """The account of a layer that takes the cycles ``time``."""
    on_array = works[Engine.EXECUTE].any
    work = works[Engine.EXECUTE if on_array else Engine.POST]
    array = Counter(compute=bounds.compute)
    rows = columns = (0, 0)
    if on_array:
        assert layer.conv is not None
        shape = layer.conv.shape
        groups = len(column_groups(shape, config.cols))
        sums = counts["accumulator_write"] - counts["accumulator_read"]
        needed = shape.ofmap.height * shape.ofmap.width * groups
        array["recomputed"] = work.busy * max(sums - needed, 0) // sums
        array["shape"] = work.busy - array["recomputed"] - bounds.compute
        rows = shape.reduction, work.busy * config.rows // sums
        columns = shape.out_channels, groups * config.cols
    else:
        array["drain"] = work.busy
    array["weights"] = work.gaps
    array.update(work.waits)
    if work.any:
        array["tail"] = time.stop - work.stop
        array["overlap"] = min(work.start - time.start, 0)
    else:
        array["idle"] = len(time)
    beats = max(counts["memory_read_beats"], counts["memory_write_beats"])
    moving = beats * config.beat_interval
    return Account(
        cycles=len(time),
        array=dict(array),
        memory={
            "bound": bounds.memory,
            "traffic": moving - bounds.memory,
            "gaps": len(time) - moving,
        },
        memory_led=moving > max(work.busy + work.gaps, works[Engine.POST].busy),
        rows=rows,
        columns=columns,
    )
