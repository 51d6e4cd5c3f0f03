"""Prices a network's layers on a machine that can be generated: to the cycle, each layer by itself
under the mapping that the compiler gives it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from arch.architectures import from_config
from arch.config import AcceleratorConfig
from arch.energy import load_table
from arch.errors import InputError
from arch.sparsity import DENSE
from compiler.machine_layer import machine_layer, map_sizes
from compiler.passes import run_passes
from compiler.place import choose_mapping
from compiler.plan import Plan
from compiler.search import MappingSearch
from sim.analytical.choices import Dataflow
from sim.analytical.machine.counters import busy_cycles, counters
from sim.analytical.machine.energy import energy_parts, words_moved
from sim.analytical.machine.nest import machine_nest
from sim.analytical.machine.place import addresses_alone
from sim.analytical.machine.search import Best
from sim.analytical.machine.tiling import Tiling
from sim.analytical.objective import Goal
from sim.analytical.problem import Dim, Problem
from sim.network import Conv, Network
from tilewright.layer_estimate import Estimate, Target
from tilewright.networks.nodes import Role
from tilewright.networks.registry import NETWORKS, build
from tilewright.networks.shapes_only import shape_network

MACHINE = Dataflow(name="machine")
"""The mapping rules of the machines that can be generated: those of the compiler."""


@dataclass(frozen=True, kw_only=True)
class MachineTarget(Target):
    """A machine that can be generated, as an architecture."""

    config: AcceleratorConfig

    @classmethod
    def of(cls, config: AcceleratorConfig, energy: str | None) -> "MachineTarget":
        """``config`` with the energy table ``energy``, or that of its architecture."""
        architecture = from_config(config)
        if energy is not None:
            architecture = architecture.model_copy(update={"energy": load_table(energy)})
        return cls(dataflow=MACHINE, architecture=architecture, config=config)


@dataclass(frozen=True, kw_only=True)
class MachineEstimate(Estimate):
    """One layer that runs by itself on a generated machine."""

    config: AcceleratorConfig
    tiling: Tiling
    counters: dict[str, int]
    """What the machine counts."""
    best: Best | None
    """What a search found; None if the mapping is the compiler's choice."""

    @cached_property
    def energy(self) -> dict[tuple[str, str], float]:
        """Energy by (level, data type); multiply-accumulates under ("mac", "")."""
        table, products = self.target.architecture.energy, self.tiling.layer.products
        return energy_parts(self.counters, self.config, table, products=products)

    @cached_property
    def accesses(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Words (read, written) by (level, data type)."""
        return words_moved(self.counters, self.config)

    @property
    def memory_bytes(self) -> float:
        """Bytes that pass between memory and chip."""
        beats = self.counters["memory_read_beats"] + self.counters["memory_write_beats"]
        return beats * self.config.bus_bytes

    @property
    def cycles(self) -> int:
        """Cycles from start to end."""
        return self.counters["cycles"]

    @property
    def bound_by(self) -> str:
        """What is at work longest."""
        busy = busy_cycles(self.tiling, self.counters)
        return max(busy, key=lambda name: busy[name])

    @property
    def proof(self) -> str:
        """Whether the mapping is the best, or how far it may be from it; of the compiler's mapping
        only the cost is known."""
        return "exact" if self.best is None else self.best.proof

    @property
    def loop_nest(self) -> str:
        """The mapping as text."""
        return machine_nest(self.tiling)

    def details(self) -> dict[str, Any]:
        """All of the machine's counters, and the certificate of a search."""
        best = self.best
        if best is None:
            return {"counters": self.counters}
        search = {"mappings": best.mappings, "priced": best.priced}
        return {
            "counters": self.counters,
            "optimal": best.optimal,
            "gap": best.gap,
            "search": search,
        }


def machine_estimates(
    network: str,
    layers: Sequence[tuple[str, Role, Problem]],
    target: MachineTarget,
    goal: Goal | None = None,
    seconds: float | None = None,
) -> Iterator[MachineEstimate]:
    """Each of ``network``'s ``layers``, under the mapping that the compiler chooses, or, with a
    ``goal``, the best of those that it may choose; ``seconds`` limits each search. Equal layers are
    priced once.

    Raises ``InputError`` for a network that is not built in, more than one image, and densities,
    ``CompileError`` for a layer that does not fit the machine, ``MappingError`` for one that the
    model does not cover.
    """
    if network not in NETWORKS:
        raise InputError(
            f"NETWORK must be a built-in one for {MACHINE.name}, got {network!r}; "
            "give --dataflow free, or see tilewright compile for the cycles of a model's layers"
        )
    config = target.config
    shapes = shape_network(
        build(network), activation_bits=config.activation_bits, weight_bits=config.weight_bits
    )
    convs = {layer.name: layer for layer in shapes.layers if isinstance(layer, Conv)}
    known: dict[object, _Priced] = {}
    search = None
    if goal is not None:
        search = MappingSearch(goal, energy=target.architecture.energy, seconds=seconds)
    for name, role, problem in layers:
        if problem.bounds[Dim.N] > 1:
            raise InputError(
                f"a batch must be 1 for {MACHINE.name}, got {problem.bounds[Dim.N]}: a generated "
                "machine runs one image at a time"
            )
        if problem.densities != DENSE:
            raise InputError(
                f"--densities needs another dataflow than {MACHINE.name}, got densities of {name}: "
                "a generated machine works the same whatever is zero"
            )
        conv = convs[name]
        first = conv.input == shapes.input
        if (conv.shape, first) not in known:
            plan = plan_alone(conv, config, packs=first)
            known[conv.shape, first] = _price(plan) if search is None else _search(plan, search)
        tiling, found, best = known[conv.shape, first]
        yield MachineEstimate(
            layer=name,
            role=role,
            target=target,
            problem=problem,
            config=config,
            tiling=tiling,
            counters=found,
            best=best,
        )


def plan_alone(conv: Conv, config: AcceleratorConfig, *, packs: bool) -> Plan:
    """The plan of ``conv`` alone; ``packs``: the host may pack its input."""
    alone = Network(name=conv.name, input=conv.input, layers=(conv,), outputs=(conv.output,))
    return run_passes(alone, config, () if packs else ("pack-rows",))


_Priced = tuple[Tiling, dict[str, int], Best | None]


def _price(plan: Plan) -> _Priced:
    tiling = Tiling(machine_layer(plan), choose_mapping(plan, 0), plan.config)
    return tiling, counters(tiling, addresses_alone(tiling, map_sizes(plan))), None


def _search(plan: Plan, search: MappingSearch) -> _Priced:
    best = search.best(plan, 0, choose_mapping(plan, 0))
    return best.tiling, best.counters, best
