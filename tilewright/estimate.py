"""Prices a network on described architectures: layer by layer, each with its best mapping."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from arch.architecture import Architecture
from arch.architectures import ARCHITECTURES, load_architecture
from arch.energy import load_table
from arch.sparsity import Tensor
from sim.analytical.choices import Dataflow
from sim.analytical.cost import Cost, evaluate
from sim.analytical.counts import Accesses, Counts, count
from sim.analytical.dataflows import dataflow
from sim.analytical.loopnest import loop_nest
from sim.analytical.mapping import Batch
from sim.analytical.objective import Goal
from sim.analytical.problem import Problem
from sim.analytical.search import LEAST_ENERGY, Found, search
from tilewright.networks.nodes import Role
from tilewright.workload import Layer, built_in


@dataclass(frozen=True, kw_only=True)
class Target:
    """A dataflow on an architecture."""

    dataflow: Dataflow
    architecture: Architecture


@dataclass(frozen=True, kw_only=True)
class LayerEstimate:
    """One layer's best mapping and its cost for the batch; energy in the table's unit."""

    layer: str
    role: Role
    target: Target
    problem: Problem
    found: Found

    @cached_property
    def _batch(self) -> Batch:
        return Batch.of(self.problem, self.found.mapping)

    @cached_property
    def _cost(self) -> Cost:
        return evaluate(self.target.architecture, self._batch)

    @cached_property
    def _counts(self) -> Counts:
        return count(self.target.architecture, self._batch)

    @cached_property
    def energy(self) -> dict[tuple[str, str], float]:
        """Energy by (level, data type); multiply-accumulates under ("mac", "")."""
        return {
            (level, "" if data is None else data.value): _number(value)
            for (level, data), value in self._cost.parts.items()
        }

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

    @cached_property
    def accesses(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Words (read, written) by (level, data type); with zero gating, as many as expected."""
        return {
            (level.value, data.value): _pair(each)
            for (level, data), each in self._counts.accesses.items()
        }

    @property
    def memory_bytes(self) -> float:
        """Bytes that pass between memory and chip."""
        return (
            _number(self._cost.bounds["memory"]) * self.target.architecture.memory_bytes_per_cycle
        )

    @property
    def cycles(self) -> int:
        """Cycles of the layer: the longest of what bounds it."""
        return int(np.ceil(_number(self._cost.cycles)))

    @property
    def bound_by(self) -> str:
        """What takes longest."""
        return max(self._cost.bounds, key=lambda name: _number(self._cost.bounds[name]))

    @property
    def utilization(self) -> float:
        """Multiply-accumulates as a part of what the array could do in ``cycles``."""
        return self.problem.macs / (self.cycles * self.target.architecture.array.pes)

    @property
    def coding(self) -> dict[Tensor, float]:
        """What the run-length code would make of what it may code: coded size over its own.

        What it would enlarge is sent as it is.
        """
        architecture, densities = self.target.architecture, self.problem.densities
        ratios = {tensor: architecture.code_ratio(tensor, densities) for tensor in Tensor}
        return {tensor: ratio for tensor, ratio in ratios.items() if ratio is not None}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        effort = self.found.effort
        return {
            "layer": self.layer,
            "kind": self.role.value,
            "dataflow": self.target.dataflow.name,
            "architecture": self.target.architecture.name,
            "macs": self.problem.macs,
            "densities": self.problem.densities.model_dump(),
            "coding": [
                {"tensor": tensor.value, "ratio": ratio, "coded": ratio < 1}
                for tensor, ratio in self.coding.items()
            ],
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
            "mapping": loop_nest(self.problem, self.found.mapping).splitlines(),
            "optimal": self.found.optimal,
            "gap": self.found.gap,
            "search": {
                "orders": effort.orders,
                "orders_searched": effort.searched,
                "bounded": effort.bounded,
                "priced": effort.priced,
            },
        }


def _number(value: object) -> float:
    return float(np.ravel(np.asarray(value, np.float64))[0])


def _pair(accesses: Accesses) -> tuple[int, int]:
    return round(_number(accesses.reads)), round(_number(accesses.writes))


def targets(architecture: str, dataflows: Sequence[str], energy: str | None) -> list[Target]:
    """What to price on: each of ``dataflows`` on ``architecture``.

    ``isca16_256`` and its like stand for the architecture of equal area that each dataflow has.
    Raises ``ConfigError`` and ``InputError``.
    """
    found = []
    for name in dict.fromkeys(dataflows):
        chosen = dataflow(name)
        equal_area = architecture.replace("isca16_", f"isca16_{name}_", 1)
        described = load_architecture(equal_area if equal_area in ARCHITECTURES else architecture)
        if energy is not None:
            described = described.model_copy(update={"energy": load_table(energy)})
        found.append(Target(dataflow=chosen, architecture=described))
    return found


def problems(network: str, batch: int, layers: Sequence[str] = ()) -> tuple[Layer, ...]:
    """The layers of a built-in network, or only ``layers``; raises as ``built_in`` and ``only``."""
    return built_in(network, batch).only(layers).layers


def estimates(
    layers: Sequence[Layer],
    on: Sequence[Target],
    seconds: float | None = None,
    goal: Goal = LEAST_ENERGY,
) -> Iterator[LayerEstimate]:
    """Each layer on each target, one by one; equal layers are searched once.

    ``seconds`` limits each search. Raises ``MappingError`` for a layer that no mapping fits.
    """
    for target in on:
        known: dict[Problem, Found] = {}
        for name, role, problem in layers:
            unnamed = replace(problem, name="")
            if unnamed not in known:
                known[unnamed] = search(
                    target.architecture, problem, target.dataflow, goal, seconds=seconds
                )
            yield LayerEstimate(
                layer=name, role=role, target=target, problem=problem, found=known[unnamed]
            )
