"""What a search makes small."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from sim.analytical.tiles import Whole


class Objective(StrEnum):
    """A cost of a mapping."""

    ENERGY = "energy"
    LATENCY = "latency"
    EDP = "edp"
    """Energy times cycles."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Least ``objective`` among mappings of at most ``most_cycles``."""

    objective: Objective = Objective.ENERGY
    most_cycles: float = np.inf

    @property
    def energy_alone(self) -> bool:
        """Whether cycles do not matter."""
        return self.objective is Objective.ENERGY and self.most_cycles == np.inf

    def value(self, energy: Whole, cycles: Whole) -> Whole:
        """The objective; infinite above ``most_cycles``. Of lower bounds it is a lower bound."""
        values = {
            Objective.ENERGY: energy,
            Objective.LATENCY: cycles,
            Objective.EDP: energy * cycles,
        }
        return np.where(cycles <= self.most_cycles, values[self.objective], np.inf)
