"""Layers by themselves on a generated machine, compiled under any mapping."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from unittest.mock import patch

from arch.commands import Engine, LoadTarget
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.fusion import FusedLayer
from compiler.machine_layer import machine_layer, map_sizes
from compiler.place import choose_mapping, place_network
from compiler.plan import Plan
from compiler.program import Program
from sim.analytical.machine.counters import counters
from sim.analytical.machine.layer import MachineLayer
from sim.analytical.machine.place import Addresses, addresses_alone
from sim.analytical.machine.tiling import Tiling
from sim.command.timeline import TimelineSimulator
from sim.network import Layer, Network

Choose = Callable[[FusedLayer], Mapping]
ChooseInNetwork = Callable[[Plan, int], Mapping]

_CONSTANTS = {
    "weights": LoadTarget.WEIGHT,
    "parameters": LoadTarget.PARAMETER,
    "table": LoadTarget.TABLE,
}


@dataclass(frozen=True, kw_only=True)
class Alone:
    """One layer's program, and what it was made of."""

    plan: Plan
    mapping: Mapping
    program: Program

    @property
    def layer(self) -> MachineLayer:
        """As the analytical model takes it."""
        return machine_layer(self.plan)

    @property
    def tiling(self) -> Tiling:
        """The same under the mapping."""
        return Tiling(self.layer, self.mapping, self.program.config)

    @property
    def addresses(self) -> Addresses:
        """Where its data lie."""
        return addresses_alone(self.tiling, map_sizes(self.plan))

    @property
    def priced(self) -> dict[str, int]:
        """What the analytical model says."""
        return counters(self.tiling, self.addresses)

    @property
    def counters(self) -> dict[str, int]:
        """What the command-level simulator counts."""
        return TimelineSimulator(self.program.config).run(self.program.commands).counters


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Layer ``index`` of a network's program, by itself, with its data where the network has
    them."""

    plan: Plan
    program: Program
    index: int

    @property
    def on_chip(self) -> bool:
        """Whether it finds a map on chip or leaves one there."""
        layer = self.plan.layers[self.index]
        homes = (self.plan.home(spec, self.index) for spec in (*layer.inputs, layer.output))
        return any(home.chip is not None for home in homes)

    @property
    def tiling(self) -> Tiling:
        """As the analytical model takes it, under the program's mapping.

        Raises ``MappingError`` for a layer that the model does not cover.
        """
        mapping = self.program.layers[self.index].mapping
        return Tiling(machine_layer(self.plan, self.index), mapping, self.program.config)

    @property
    def addresses(self) -> Addresses:
        """Where the network's program has the layer's data."""
        maps, layer = self.program.maps, self.plan.layers[self.index]
        specs = {"input": layer.input, "operand": layer.other, "output": layer.output}
        found = {
            role: maps[spec.name].address
            for role, spec in specs.items()
            if spec is not None and spec.name in maps
        }
        for kind, target in _CONSTANTS.items():
            loads = [
                step.addresses[0]
                for step in self.program.steps
                if step.layer == self.index
                and step.engine is Engine.LOAD
                and step.pattern.fields["target"] == target
            ]
            # The first is loaded whatever the mapping.
            found[kind] = min(loads, default=0)
        return Addresses(**found)

    @property
    def priced(self) -> dict[str, int]:
        """What the analytical model says."""
        return counters(self.tiling, self.addresses)

    @property
    def counters(self) -> dict[str, int]:
        """What the command-level simulator counts."""
        commands = self.program.isolated(self.index)
        return TimelineSimulator(self.program.config).run(commands).counters


def network_of(*layers: Layer) -> Network:
    """A network of ``layers``; what they read and do not make is there before."""
    return Network(
        name=layers[0].name, input=layers[0].inputs[0], layers=layers, outputs=(layers[-1].output,)
    )


def compile_alone(
    network: Network,
    config: AcceleratorConfig,
    choose: Choose | None = None,
    without: Collection[str] = (),
    *,
    timing_only: bool = True,
) -> Alone:
    """A network that becomes one layer; ``choose`` takes its mapping, else the compiler does.

    Raises ``CompileError`` if it does not fit.
    """

    def chosen(plan: Plan, index: int) -> Mapping:
        if len(plan.layers) > 1:
            raise LookupError(f"{network.name} must become one layer, got {len(plan.layers)}")
        return choose_mapping(plan, index) if choose is None else choose(plan.layers[index])

    plan, program = _compile(network, config, chosen, without, timing_only=timing_only)
    (placed,) = program.layers
    return Alone(plan=plan, mapping=placed.mapping, program=program)


def compile_inside(
    network: Network, config: AcceleratorConfig, choose: ChooseInNetwork = choose_mapping
) -> list[Inside]:
    """Every layer of ``network``, under the mapping that ``choose`` takes.

    Raises ``CompileError`` if one does not fit.
    """
    plan, program = _compile(network, config, choose, (), timing_only=True)
    return [Inside(plan=plan, program=program, index=index) for index in range(len(plan.layers))]


def _compile(
    network: Network,
    config: AcceleratorConfig,
    choose: ChooseInNetwork,
    without: Collection[str],
    *,
    timing_only: bool,
) -> tuple[Plan, Program]:
    plans: list[Plan] = []

    def chosen(plan: Plan, index: int) -> Mapping:
        plans.append(plan)
        return choose(plan, index)

    with patch("compiler.place.choose_mapping", chosen):
        program = place_network(network, config, timing_only=timing_only, without=without)
    return plans[-1], program
