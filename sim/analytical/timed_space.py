"""What a search chooses from if cycles matter: splits together with the PEs that share them."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture
from sim.analytical.bounds import Choices
from sim.analytical.choices import Dataflow, spads_hold, splits, undominated_columns
from sim.analytical.mapspace import Mapspace, has_no_lag
from sim.analytical.objective import Goal
from sim.analytical.problem import Dim, Problem
from sim.analytical.shared_steps import SharedSteps
from sim.analytical.tiles import Whole, ceil_div, steps


class TimedSpace(Mapspace):
    """A mapspace whose choices include the number of PEs.

    All groups share one array: bounds on steps follow the states of ``Packing`` from group to
    group.
    """

    def __init__(
        self, architecture: Architecture, problem: Problem, dataflow: Dataflow, goal: Goal
    ) -> None:
        super().__init__(architecture, problem, dataflow, goal)
        self.steps = SharedSteps(self.packing, self.bounds, self.choices)
        self.steps_with = self.steps.with_each()
        """For each group, steps of any mapping at least with each choice."""
        busy = -(-problem.macs // architecture.array.pes)
        self.least_cycles = max(self.steps.least, float(busy))

    def group(self, dims: tuple[Dim, ...]) -> Choices:
        """Splits and PEs for ``dims`` together that fit a PE if all else is 1."""
        parts = [self._shared(dim) for dim in dims]
        places = np.meshgrid(*(np.arange(part.shape[1]) for part in parts), indexing="ij")
        outer, tiles, lanes = (
            np.stack([part[row, each.ravel()] for part, each in zip(parts, places, strict=True)])
            for row in range(3)
        )
        alone = np.ones((len(Dim), outer.shape[1]))
        for dim, split, shared in zip(dims, tiles, lanes, strict=True):
            alone[dim] = ceil_div(self.problem.bounds[dim], split * shared)
        fits = spads_hold(self.architecture, self.problem, alone)
        return Choices(dims=dims, outer=outer[:, fits], tiles=tiles[:, fits], lanes=lanes[:, fits])

    def _shared(self, dim: Dim) -> Whole:
        """(Buffer tiles, array tiles, PEs) [3, choice] of ``dim``."""
        found = _all_shared(
            self.problem.bounds[dim],
            self.most_lanes[dim],
            self.largest[dim],
            has_no_lag(self.problem, dim),
        )
        if dim is Dim.G:
            # Nothing is shared between groups, so that only how many lie side by side matters.
            found = found[:, found[0] == found[1]]
        if self.dataflow.rule(dim).whole:
            found = found[:, found[1] == 1]
        return found


@lru_cache(maxsize=64)
def _all_shared(bound: int, most: int, largest: int, undominated: bool) -> Whole:
    """(Buffer tiles, array tiles, PEs) [3, choice] of a dimension, shared by the fewest PEs that
    make a PE's part as small as it is.

    With ``undominated``, without those that another one equals or betters in all three, in both
    sizes and in steps.
    """
    outers, tiles = splits(bound, False)
    extents = -(-bound // tiles)
    found = []
    for part in range(1, min(largest, bound) + 1):
        lanes = -(-extents // part)
        fewest = (lanes <= most) & (-(-extents // lanes) == part)
        parts = np.full(np.count_nonzero(fewest), part)
        found.append(np.stack([outers[fewest], tiles[fewest], lanes[fewest], parts]))
    shared = np.concatenate(found, axis=1)
    if undominated:
        shared = _undominated(bound, shared)
    return shared[:3].astype(np.float64)


def _undominated(bound: int, shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """The columns (buffer tiles, array tiles, PEs, part of a PE) that none betters."""
    shared = shared[:, np.lexsort(shared[[1, 0, 3, 2]])]
    tiles, lanes = shared[1:3].astype(np.float64)
    trips = steps(bound, tiles, lanes).astype(np.int64)
    # Of those that differ in array tiles alone, more tiles must take fewer steps.
    other = (np.diff(shared[[0, 2, 3]]) != 0).any(axis=0)
    falling = trips - np.append(0, np.cumsum(other)) * (trips.max() + 1)
    keep = np.append(True, falling[1:] < np.minimum.accumulate(falling)[:-1])
    shared, trips = shared[:, keep], trips[keep]
    sizes = -(-bound // shared[0])
    return shared[:, undominated_columns(np.concatenate([shared, [sizes, trips]]))]
