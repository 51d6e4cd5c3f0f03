"""What one layer costs on an architecture, however that was found."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from arch.architecture import Architecture
from arch.sparsity import Tensor
from sim.analytical.choices import Dataflow
from sim.analytical.problem import Problem
from tilewright.networks.nodes import Role


@dataclass(frozen=True, kw_only=True)
class Target:
    """A dataflow on an architecture."""

    dataflow: Dataflow
    architecture: Architecture


@dataclass(frozen=True, kw_only=True)
class Estimate(ABC):
    """One layer's mapping and its cost for the batch; energy in the table's unit."""

    layer: str
    role: Role
    target: Target
    problem: Problem

    @property
    @abstractmethod
    def energy(self) -> dict[tuple[str, str], float]:
        """Energy by (level, data type); multiply-accumulates under ("mac", "")."""

    @property
    @abstractmethod
    def accesses(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Words (read, written) by (level, data type)."""

    @property
    @abstractmethod
    def memory_bytes(self) -> float:
        """Bytes that pass between memory and chip."""

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Cycles of the layer."""

    @property
    @abstractmethod
    def bound_by(self) -> str:
        """What takes longest."""

    @property
    @abstractmethod
    def proof(self) -> str:
        """How good the mapping, or how exact the cost, is known to be."""

    @property
    def coding(self) -> dict[Tensor, float]:
        """Of what external memory may be coded: coded size over its own."""
        return {}

    @property
    @abstractmethod
    def loop_nest(self) -> str:
        """The mapping as text."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """What only this kind of estimate has, for JSON."""

    @property
    def total(self) -> float:
        """Energy of the layer: the sum of its parts."""
        return sum(self.energy.values())

    def energy_at(self, level: str) -> float:
        """Energy of all data types at ``level``."""
        return sum(value for (place, _), value in self.energy.items() if place == level)

    def energy_of(self, data: str) -> float:
        """Energy of ``data`` at all levels."""
        return sum(value for (_, each), value in self.energy.items() if each == data)

    @property
    def utilization(self) -> float:
        """Multiply-accumulates as a part of what the array could do in ``cycles``."""
        return self.problem.macs / (self.cycles * self.target.architecture.array.pes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "layer": self.layer,
            "kind": self.role.value,
            "dataflow": self.target.dataflow.name,
            "architecture": self.target.architecture.name,
            "macs": self.problem.macs,
            "energy": self.total,
            "energy_parts": [
                {"level": level, "data": data or None, "energy": value}
                for (level, data), value in self.energy.items()
            ],
            "accesses": [
                {"level": level, "data": data, "reads": reads, "writes": writes}
                for (level, data), (reads, writes) in self.accesses.items()
            ],
            "memory_bytes": self.memory_bytes,
            "cycles": self.cycles,
            "bound_by": self.bound_by,
            "utilization": self.utilization,
            "mapping": self.loop_nest.splitlines(),
            **self.details(),
        }
