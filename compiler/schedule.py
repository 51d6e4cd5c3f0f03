"""A whole network as its driver runs it: the machine's programs and the host's steps, in turn."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from compiler.memory_map import MapPlace
from compiler.packed_input import PackedInput
from compiler.parts import split_parts
from compiler.place import place_parts
from compiler.program import Program
from sim.network import Bytes, HostResult, HostStep, Network, TensorSpec

if TYPE_CHECKING:
    # Imported where mappings are searched: it takes longer than starting up.
    from compiler.search import MappingSearch


@dataclass(frozen=True, kw_only=True)
class HostTraffic:
    """What the host runs, after ``layers_before`` layers of the machine, and the bytes it moves.

    Nothing is claimed of its time. ``read_bytes`` come from the machine's memory,
    ``written_bytes`` go there; ``output`` shows the shape.
    """

    name: str
    kind: str
    output: str
    layers_before: int
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """``stages`` in order, over one memory that begins as ``image``; then ``network.results``.

    ``network`` has the copies of maps that the compiler adds. All programs know where every map
    lies.
    """

    network: Network
    config: AcceleratorConfig
    stages: tuple[Program | HostStep, ...]

    @property
    def programs(self) -> tuple[Program, ...]:
        """The machine's part of it, at least one program."""
        return tuple(stage for stage in self.stages if isinstance(stage, Program))

    @property
    def program(self) -> Program:
        """The only program. Raises ``LookupError`` if the host runs steps in between."""
        if len(self.programs) > 1:
            raise LookupError(f"{self.network.name} has {len(self.programs)} programs")
        return self.programs[0]

    @property
    def image(self) -> NDArray[np.uint8]:
        """Memory at the start."""
        return self.programs[0].image

    @property
    def maps(self) -> dict[str, MapPlace]:
        """Where every feature map lies, by its name."""
        return self.programs[0].maps

    @property
    def packing(self) -> PackedInput | None:
        """How the input lies in memory, if not as it is."""
        return self.programs[0].packing

    def write_map(
        self, memory: NDArray[np.uint8], spec: TensorSpec, values: NDArray[np.generic]
    ) -> None:
        """Put a feature map [height, width, channels] into ``memory``."""
        self.programs[0].write_map(memory, spec, values)

    def read_map(self, memory: NDArray[np.uint8], spec: TensorSpec) -> Bytes:
        """A copy of a feature map [height, width, channels] from ``memory``."""
        elements: np.dtype[Any] = spec.dtype
        return self.programs[0].read_map(memory, spec).astype(elements, copy=False)

    def run_host_step(self, memory: NDArray[np.uint8], step: HostStep) -> None:
        """What the host does between two programs."""
        # ONNX Runtime is imported where it runs: it takes longer than timing a network.
        from sim.host import run_host_step

        y = run_host_step(step, self.read_map(memory, step.input))
        self.write_map(memory, step.output, y)

    def results(self, memory: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
        """What the host makes of the maps at the end, by name."""
        from sim.host import run_host_result

        return {
            each.name: run_host_result(each, self.read_map(memory, each.input))
            for each in self.network.results
        }

    def host_traffic(self) -> list[HostTraffic]:
        """Everything that the host runs, in order."""
        found, layers = [], 0
        for stage in (*self.stages, *self.network.results):
            if isinstance(stage, Program):
                layers += len(stage.layers)
            else:
                found.append(_traffic(stage, layers))
        return found


def schedule_network(
    network: Network,
    config: AcceleratorConfig,
    *,
    timing_only: bool = False,
    without: Collection[str] = (),
    search: "MappingSearch | None" = None,
) -> Schedule:
    """Compile ``network`` for ``config`` and the host; see ``place_network``.

    Raises ``CompileError`` also for a network without a layer for the machine.
    """
    parts = split_parts(network)
    programs = place_parts(parts, config, timing_only=timing_only, without=without, search=search)
    stages = [
        part if isinstance(part, HostStep) else programs[number]
        for number, part in enumerate(parts)
    ]
    # Parts of views only are places in memory, and no commands.
    kept = tuple(stage for stage in stages if isinstance(stage, HostStep) or stage.commands)
    if not any(isinstance(stage, Program) for stage in kept):
        raise CompileError(
            f"{network.name}: the machine must run at least one layer, got none; "
            "nothing is computed before the outputs"
        )
    layers = ((stage,) if isinstance(stage, HostStep) else stage.network.layers for stage in stages)
    whole = replace(network, layers=tuple(chain.from_iterable(layers)))
    return Schedule(network=whole, config=config, stages=kept)


def _traffic(stage: HostStep | HostResult, layers: int) -> HostTraffic:
    read = stage.input.shape.elements * stage.input.dtype.itemsize
    if isinstance(stage, HostResult):
        sizes, written = stage.shape, 0
    else:
        shape = stage.output.shape
        sizes = (shape.height, shape.width, shape.channels)
        written = shape.elements * stage.output.dtype.itemsize
    return HostTraffic(
        name=stage.name,
        kind=stage.operator,
        output="x".join(map(str, sizes)),
        layers_before=layers,
        read_bytes=read,
        written_bytes=written,
    )
