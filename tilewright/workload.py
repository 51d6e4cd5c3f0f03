"""What a network asks of an architecture: its convolutions and products, as loops to price."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from arch.errors import InputError
from arch.sparsity import DENSE, DensityFile
from sim.analytical.problem import Problem
from tilewright.networks import nodes
from tilewright.networks.nodes import Role, Weighted
from tilewright.networks.registry import build

Layer = tuple[str, Role, Problem]
"""Name, kind and loops."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The layers of a network that are priced, and how many of what other operators are not."""

    network: str
    layers: tuple[Layer, ...]
    unpriced: dict[str, int]

    def with_densities(self, given: DensityFile) -> "Workload":
        """The same with the densities that are given; layers without any are dense.

        Raises ``InputError`` for densities of a layer that there is not.
        """
        for name in given.layers:
            self._check(name, "a layer with densities")
        layers = tuple(
            (name, role, replace(problem, densities=given.layers.get(name, DENSE)))
            for name, role, problem in self.layers
        )
        return replace(self, layers=layers)

    def only(self, names: Sequence[str]) -> "Workload":
        """The same with only these layers, or with all if none is named; raises ``InputError``."""
        for name in names:
            self._check(name, "--layer")
        layers = tuple(layer for layer in self.layers if not names or layer[0] in names)
        return replace(self, layers=layers)

    def _check(self, name: str, what: str) -> None:
        known = [layer for layer, _, _ in self.layers]
        if name not in known:
            raise InputError(
                f"{what} must be one of {', '.join(known)} for {self.network}, got {name!r}"
            )


def built_in(network: str, batch: int) -> Workload:
    """A built-in network; raises ``ModelError`` for an unknown one, ``ShapeError`` for a batch
    below 1."""
    layers: list[Layer] = []
    unpriced: Counter[str] = Counter()
    for node in build(network).nodes:
        if isinstance(node, Weighted) and node.role is not Role.SCALE:
            layers.append((node.name, node.role, Problem.conv(node.name, node.shape, batch)))
        else:
            unpriced[_operator(node)] += 1
    return Workload(network=network, layers=tuple(layers), unpriced=dict(unpriced))


def _operator(node: nodes.Node) -> str:
    match node:
        case Weighted():
            return "batchnorm"
        case nodes.Pool():
            return node.kind.value
        case nodes.Activation():
            return node.function.value
        case nodes.Elementwise():
            return node.operation.value
    return type(node).__name__.lower()
