"""The compiler's result: a program, the memory that it runs in, and what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arch.commands import Command, pack
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.fusion import FusedLayer
from compiler.memory_map import MapPlace
from compiler.packed_input import PackedInput
from compiler.plan import Resident
from compiler.waits import Step, add_waits
from sim.network import Network, TensorSpec

if TYPE_CHECKING:
    from sim.analytical.machine.search import Best

FORMULA = "formula"
"""Mappings that were not searched."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedLayer:
    """One layer on the machine."""

    layer: FusedLayer
    mapping: Mapping
    search: "Best | None"
    """What found the mapping; None if the formula did."""

    @property
    def chosen_by(self) -> str:
        """How the mapping was chosen: ``FORMULA``, or how good the search's is known to be."""
        return FORMULA if self.search is None else self.search.proof


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Commands and memory image of one network on one machine."""

    network: Network
    config: AcceleratorConfig
    steps: tuple[Step, ...]
    commands: tuple[Command, ...]
    layers: tuple[PlacedLayer, ...]
    program_address: int
    maps: dict[str, MapPlace]
    """Where every feature map that exists in memory lies, by its name."""
    residents: tuple[Resident, ...]
    """Maps that stay on chip between layers."""
    packing: PackedInput | None
    """How the input lies in memory, if not as it is."""
    image: NDArray[np.uint8]
    """Memory at the start: program, weights and parameters in place, feature maps zero."""

    def isolated(self, index: int) -> list[Command]:
        """The commands of layer ``index`` as a program of their own."""
        return add_waits((step for step in self.steps if step.layer == index), self.config)

    def write_map(
        self, memory: NDArray[np.uint8], spec: TensorSpec, values: NDArray[np.generic]
    ) -> None:
        """Put a feature map [height, width, channels] into ``memory``, packed if it is."""
        packing = self.packing
        if packing is not None and spec.name == packing.source.name:
            spec, values = packing.packed, packing.pack(values)
        self._window(memory, spec)[:] = values.astype(spec.dtype)

    def read_map(self, memory: NDArray[np.uint8], spec: TensorSpec) -> NDArray[np.generic]:
        """A copy of a feature map [height, width, channels] from ``memory``."""
        return self._window(memory, spec).copy()

    def _window(self, memory: NDArray[np.uint8], spec: TensorSpec) -> NDArray[np.generic]:
        """The elements of a map in ``memory``, as a view [height, width, channels]."""
        place, shape = self.maps[spec.name], spec.shape
        end = place.address + memory[place.address :].size // spec.bytes * spec.bytes
        return np.lib.stride_tricks.as_strided(
            memory[place.address : end].view(spec.dtype),
            (shape.height, shape.width, shape.channels),
            (place.row_pitch, place.pixel_pitch, spec.bytes),
        )


def pack_all(commands: Sequence[Command], config: AcceleratorConfig) -> bytes:
    """The bytes of a command stream."""
    return b"".join(pack(command, config) for command in commands)
