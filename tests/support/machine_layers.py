"""Layers by themselves on a generated machine, compiled under any mapping."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from unittest.mock import patch

from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.fusion import FusedLayer
from compiler.machine_layer import machine_layer
from compiler.place import choose_mapping, place_network
from compiler.plan import Plan
from compiler.program import Program
from sim.analytical.machine.layer import MachineLayer
from sim.command.timeline import TimelineSimulator
from sim.network import Layer, Network

Choose = Callable[[FusedLayer], Mapping]


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
    def counters(self) -> dict[str, int]:
        """What the command-level simulator counts."""
        return TimelineSimulator(self.program.config).run(self.program.commands).counters


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
    plans: list[Plan] = []

    def chosen(plan: Plan, index: int) -> Mapping:
        if len(plan.layers) > 1:
            raise LookupError(f"{network.name} must become one layer, got {len(plan.layers)}")
        plans.append(plan)
        return choose_mapping(plan, index) if choose is None else choose(plan.layers[index])

    with patch("compiler.place.choose_mapping", chosen):
        program = place_network(network, config, timing_only=timing_only, without=without)
    (plan,), (placed,) = plans, program.layers
    return Alone(plan=plan, mapping=placed.mapping, program=program)
