"""Trades energy for cycles, layer by layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arch.errors import InputError
from sim.analytical.pareto import Front, pareto
from sim.analytical.problem import Problem
from tilewright.estimate import LayerEstimate
from tilewright.estimate_machine import MACHINE
from tilewright.layer_estimate import Target
from tilewright.workload import Layer


@dataclass(frozen=True, kw_only=True)
class LayerFront:
    """One layer's mappings of falling cycles and rising energy.

    ``complete``: it is proven that no mapping is faster than the last one by the part ``step``.
    """

    layer: str
    target: Target
    points: tuple[LayerEstimate, ...]
    step: float
    complete: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "layer": self.layer,
            "dataflow": self.target.dataflow.name,
            "architecture": self.target.architecture.name,
            "step": self.step,
            "complete": self.complete,
            "points": [point.as_dict() for point in self.points],
        }


def fronts(
    layers: Sequence[Layer], on: Sequence[Target], step: float, seconds: float | None = None
) -> Iterator[LayerFront]:
    """The trade-off of each layer on each target, one by one; equal layers are searched once.

    Points differ by the part ``step`` of their cycles at least; with 0 there are all. ``seconds``
    limits the search for each point. Raises ``MappingError`` for a layer that no mapping fits,
    ``InputError`` for generated machines.
    """
    for target in on:
        if target.dataflow == MACHINE:
            raise InputError(
                f"--objective pareto needs another dataflow than {MACHINE.name}, got that; give "
                "--dataflow free, or --objective energy, latency or edp"
            )
        known: dict[Problem, Front] = {}
        for name, role, problem in layers:
            unnamed = replace(problem, name="")
            if unnamed not in known:
                known[unnamed] = pareto(
                    target.architecture, problem, target.dataflow, step=step, seconds=seconds
                )
            front = known[unnamed]
            points = tuple(
                LayerEstimate(
                    layer=name, role=role, target=target, problem=problem, found=point.found
                )
                for point in front.points
            )
            yield LayerFront(
                layer=name, target=target, points=points, step=step, complete=front.complete
            )
