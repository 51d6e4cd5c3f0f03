"""The best of many mappings of a layer on a generated machine, priced exactly."""

import time
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Counts
from dataclasses import dataclass, replace

import numpy as np

from arch.config import AcceleratorConfig
from arch.errors import MappingError
from arch.mapping import Mapping
from sim.analytical.machine.bound import least_cycles
from sim.analytical.machine.counters import counters
from sim.analytical.machine.counts import count
from sim.analytical.machine.layer import MachineLayer
from sim.analytical.machine.place import MapSizes, addresses_alone
from sim.analytical.machine.tiling import Tiling
from sim.analytical.objective import Goal

Energy = Callable[[Counts[str, int]], float]
"""Energy of a run by its counters."""


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best mapping, and how good it is known to be."""

    tiling: Tiling
    counters: dict[str, int]
    value: float
    bound: float
    """No mapping is better than this."""
    mappings: int
    """Mappings that fit."""
    priced: int
    """Those of them whose cycles were worked out: the bounds of the others are not below
    ``value``."""

    @property
    def optimal(self) -> bool:
        """Whether no mapping is better."""
        return self.bound >= self.value

    @property
    def gap(self) -> float:
        """How far the value may lie above the optimum, as a part of the bound."""
        return self.value / self.bound - 1

    @property
    def proof(self) -> str:
        """Both in words."""
        return "optimal" if self.optimal else f"within {self.gap:.2%}"


def best_mapping(
    layer: MachineLayer,
    mappings: Iterable[Mapping],
    config: AcceleratorConfig,
    maps: MapSizes,
    goal: Goal,
    energy: Energy,
    *,
    likely: Mapping | None = None,
    seconds: float | None = None,
) -> Best:
    """The one of ``mappings`` of least ``goal``; ``likely`` is priced first. For ``maps`` see
    ``addresses_alone``.

    Stops after ``seconds``, but not before one mapping is priced. Raises ``MappingError`` if there
    is none.
    """
    stop = None if seconds is None else time.monotonic() + seconds
    bounded = []
    for number, mapping in enumerate(mappings):
        tiling = Tiling(layer, mapping, config)
        accesses = count(tiling)
        bound = _value(goal, energy(accesses), least_cycles(tiling, accesses))
        # The likely one first, to have something that others must beat.
        bounded.append((0.0 if mapping == likely else bound, bound, number, tiling))
    bounded.sort(key=lambda each: each[:3])
    best: Best | None = None
    for priced, (_, bound, _, tiling) in enumerate(bounded):
        late = stop is not None and time.monotonic() > stop
        if best is not None and (bound >= best.value or late):
            return replace(best, bound=min(bound, best.value), priced=priced)
        found = counters(tiling, addresses_alone(tiling, maps))
        value = _value(goal, energy(found), found["cycles"])
        if best is None or value < best.value:
            number = len(bounded)
            best = Best(
                tiling=tiling,
                counters=found,
                value=value,
                bound=value,
                mappings=number,
                priced=number,
            )
    if best is None:
        raise MappingError(f"a layer must fit {config.name}, got no mapping that does")
    return replace(best, bound=best.value)


def _value(goal: Goal, energy: float, cycles: int) -> float:
    return float(goal.value(np.array(energy, np.float64), np.array(cycles, np.float64)))
