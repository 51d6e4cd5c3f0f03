"""A network on the RTL, compared layer by layer: in one run, and each layer's program by itself.

In the one run, what layers leave in memory is compared, all counters, and the cycle of the last
write response of each layer that writes to memory. By itself each layer runs on what the layers
before it left, in memory and on chip; all counters of each such run are compared, and every output,
since a map that lies on chip alone is stored by one more command of the machine. Maps between
layers that run as one exist nowhere.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES, FORMATS, Command, Engine
from arch.counters import COUNTER_NAMES
from arch.errors import RunError
from arch.registers import Status
from compiler.memory_map import MapPlace
from compiler.plan import Resident
from compiler.program import Program, pack_all
from compiler.views import find_views
from sim.command.bursts import burst_beats
from sim.command.timeline import TimelineSimulator
from sim.network import Bytes, TensorSpec
from sim.rtl.machine import RtlMachine, RunResult

_PAGE = 1 << 12
_PATIENCE = 2
"""A run that takes so many times the expected cycles hangs."""

Golden = dict[str, Bytes]
"""Every layer's output by name."""
Follow = Callable[[int], None]
"""Is called now and then with the cycles simulated so far."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Elements of one or more maps: bytes, and how many of them were not golden."""

    bytes: int = 0
    mismatches: int = 0

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(
            bytes=self.bytes + other.bytes, mismatches=self.mismatches + other.mismatches
        )


@dataclass(frozen=True, kw_only=True)
class WholeRun:
    """One run of a whole network.

    ``ends`` and ``expected_ends`` hold by layer the cycle of its last write response, for those
    that write to memory; ``wrong_counters`` names the counters that differ.
    """

    cycles: int
    seconds: float
    """Wall-clock time in which the RTL ran."""
    cpu_seconds: float
    """CPU time of it, which other processes hardly change."""
    compared: Compared
    wrong_counters: tuple[str, ...]
    ends: dict[int, int]
    expected_ends: dict[int, int]

    @property
    def agrees(self) -> bool:
        """Whether everything is as expected."""
        return (
            not self.compared.mismatches
            and not self.wrong_counters
            and self.ends == self.expected_ends
        )


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """One layer's program by itself; ``place`` is memory, chip, or both."""

    name: str
    kind: str
    place: str
    compared: Compared
    cycles: int
    expected_cycles: int
    wrong_counters: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything is as expected."""
        return not self.compared.mismatches and not self.wrong_counters


def memory_bytes(program: Program) -> int:
    """Memory that the runs need: behind the image any layer's program, then any map on chip."""
    largest = max(Counter(step.layer for step in program.steps).values())
    stored = max((each.size for each in program.residents), default=0)
    return _scratch(program) + largest * COMMAND_BYTES + _PAGE + stored


def run_whole(
    machine: RtlMachine, program: Program, image: Bytes, golden: Golden, follow: Follow
) -> WholeRun:
    """Run ``program`` once. Raises ``RunError`` if it ends in an error status."""
    timeline = TimelineSimulator(program.config).run(program.commands)
    fill(machine, program, image)
    writes, expected = _last_writes(program, [done - 1 for done in timeline.dones])
    began = time.thread_time()
    result = machine.run(
        program.program_address,
        len(program.commands),
        _PATIENCE * timeline.cycles,
        list(writes.values()),
        follow,
    )
    cpu_seconds = time.thread_time() - began
    _check(result, "the whole network")
    specs = [placed.layer.output for placed in program.layers]
    stored = [spec for spec in specs if spec.name in program.maps]
    maps = [(golden[spec.name], program.read_map(machine.memory, spec)) for spec in stored]
    return WholeRun(
        cycles=result.counters["cycles"],
        seconds=result.seconds,
        cpu_seconds=cpu_seconds,
        compared=sum((_compare(*pair) for pair in maps), Compared()),
        wrong_counters=_differing(result.counters, timeline.counters),
        ends={layer: result.snapshots.get(count, -1) for layer, count in writes.items()},
        expected_ends=expected,
    )


def run_layers(
    machine: RtlMachine,
    program: Program,
    image: Bytes,
    golden: Golden,
    follow: Follow,
) -> list[LayerRun]:
    """Run each layer's program by itself, in order. Raises ``RunError`` as ``run_whole`` does."""
    fill(machine, program, image)
    found, done = [], 0
    for index in range(len(program.layers)):

        def follow_layer(cycles: int, before: int = done) -> None:
            follow(before + cycles)

        found.append(run_layer(machine, program, index, golden, follow_layer))
        done += found[-1].cycles
    return found


def run_layer(
    machine: RtlMachine, program: Program, index: int, golden: Golden, follow: Follow
) -> LayerRun:
    """Run layer ``index`` by itself, on what is in memory and on chip.

    Raises ``RunError`` as ``run_whole`` does.
    """
    layer, commands = program.layers[index].layer, program.isolated(index)
    expected = TimelineSimulator(program.config).run(commands).counters
    result = _run_commands(machine, program, commands, expected["cycles"], layer.name, follow)
    output, places, compared = layer.output, [], Compared()
    if output.name in program.maps:
        places.append("memory")
        compared += _compare(golden[output.name], program.read_map(machine.memory, output))
    resident, place = _on_chip(program, index)
    if resident is not None:
        places.append("chip")
        stored = _stored(machine, program, resident, layer.name)
        data = stored[element_bytes(place, output)].view(output.dtype)[..., 0]
        compared += _compare(golden[output.name], data)
    return LayerRun(
        name=layer.name,
        kind=layer.kind,
        place=" and ".join(places),
        compared=compared,
        cycles=result.counters["cycles"],
        expected_cycles=expected["cycles"],
        wrong_counters=_differing(result.counters, expected),
    )


def _on_chip(program: Program, index: int) -> tuple[Resident | None, MapPlace]:
    """The map on chip that has the output of layer ``index``, and where in it the output lies."""
    view = find_views(program.network).maps[program.layers[index].layer.output.name]
    alive = (each for each in program.residents if each.root == view.root and each.lives(index))
    return next(alive, None), view.place


def _stored(
    machine: RtlMachine, program: Program, resident: Resident, what: str
) -> NDArray[np.uint8]:
    """The bytes of a map on chip, as the machine stores them to memory."""
    _move(machine, program, Engine.STORE, resident, f"storing {what}")
    return machine.memory[-resident.size :]


def load_map(
    machine: RtlMachine, program: Program, resident: Resident, data: NDArray[np.uint8]
) -> None:
    """Let the machine load ``data`` to where ``resident`` lies on chip."""
    machine.memory[-resident.size :] = data
    _move(machine, program, Engine.LOAD, resident, f"loading {resident.root}")


def _move(
    machine: RtlMachine, program: Program, engine: Engine, resident: Resident, what: str
) -> None:
    """One command that moves a map between the chip and the end of memory."""
    fields = dict.fromkeys((field.name for field in FORMATS[engine].fields[1:]), 0)
    values = {
        "dram_address": machine.memory.size - resident.size,
        "row_bytes": resident.size,
        "buffer_address": resident.address,
    }
    command = Command.of(engine, fields | values)
    cycles = TimelineSimulator(program.config).run([command]).cycles
    _run_commands(machine, program, [command], cycles, what, lambda _: None)


def element_bytes(place: MapPlace, spec: TensorSpec) -> NDArray[np.int64]:
    """Addresses [height, width, channels, bytes] of the elements of a map at ``place``."""
    shape = spec.shape
    return np.asarray(
        place.address
        + np.arange(shape.height)[:, None, None, None] * place.row_pitch
        + np.arange(shape.width)[:, None, None] * place.pixel_pitch
        + np.arange(shape.channels)[:, None] * spec.bytes
        + np.arange(spec.bytes)
    )


def _run_commands(
    machine: RtlMachine,
    program: Program,
    commands: Sequence[Command],
    cycles: int,
    what: str,
    follow: Follow,
) -> RunResult:
    """Run ``commands``, which are expected to take ``cycles``, from behind the image."""
    data = pack_all(commands, program.config)
    start = _scratch(program)
    machine.memory[start : start + len(data)] = np.frombuffer(data, np.uint8)
    result = machine.run(start, len(commands), _PATIENCE * cycles, follow=follow)
    _check(result, what)
    return result


def _scratch(program: Program) -> int:
    """First address behind the image."""
    return -(-program.image.size // _PAGE) * _PAGE


def fill(machine: RtlMachine, program: Program, image: Bytes) -> None:
    """Memory as it is before a run: the program's image, and the network's input."""
    machine.memory[:] = 0
    machine.memory[: program.image.size] = program.image
    program.write_map(machine.memory, program.network.input, image)


def _last_writes(
    program: Program, answered: Sequence[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """By layer, the number of its last write response among all, and the cycle that is expected.

    ``answered`` has for each store command the cycle of its last response.
    """
    counts, cycles, count = dict[int, int](), dict[int, int](), 0
    config = program.config
    rows = zip(program.steps, program.commands, answered, strict=True)
    for step, command, cycle in rows:
        if command.engine is Engine.STORE:
            count += len(burst_beats(command, config.bus_bytes, config.burst_beats))
            counts[step.layer], cycles[step.layer] = count, cycle
    return counts, cycles


def _compare(golden: NDArray[np.generic], found: NDArray[np.generic]) -> Compared:
    theirs, mine = (np.ascontiguousarray(each).view(np.uint8) for each in (golden, found))
    return Compared(bytes=mine.size, mismatches=int(np.count_nonzero(mine != theirs)))


def _differing(found: dict[str, int], expected: dict[str, int]) -> tuple[str, ...]:
    return tuple(name for name in COUNTER_NAMES if found[name] != expected.get(name, 0))


def _check(result: RunResult, what: str) -> None:
    if result.status is not Status.OK:
        raise RunError(
            f"{what}: a run must end with status OK, got {result.status.name} at command "
            f"{result.error_command}; run make test"
        )
