"""What a search chooses from if cycles matter: splits together with the PEs that share them."""

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture
from sim.analytical.bounds import Choices
from sim.analytical.choices import Dataflow, pareto_columns, spads_hold
from sim.analytical.mapspace import Mapspace, has_no_lag
from sim.analytical.objective import Goal
from sim.analytical.problem import Dim, Problem
from sim.analytical.tiles import Whole, ceil_div, steps

States = NDArray[np.int64]


class TimedSpace(Mapspace):
    """A mapspace whose choices include the number of PEs.

    ``least_steps`` are bounds that know that all groups share one array: they follow the states of
    ``Packing`` from group to group.
    """

    def __init__(
        self, architecture: Architecture, problem: Problem, dataflow: Dataflow, goal: Goal
    ) -> None:
        super().__init__(architecture, problem, dataflow, goal)
        self.trips = [self.bounds.least_steps(group).prod(axis=0) for group in self.choices]
        """Steps along each group [choice]."""
        self.moves = self._moves()
        """For each group, the packing's state after each choice [state, choice]; -1 if full."""
        self._rest = self._steps_of_rest()
        self.least_cycles = float(self._rest[0][0])

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

    def _moves(self) -> list[States]:
        """Empty steps if the array is too large to follow: then any number of PEs goes."""
        found, reached = [], {0}
        for group in self.choices:
            assert group.lanes is not None
            unique, places = np.unique(group.lanes, axis=1, return_inverse=True)
            after = {
                state: np.array(
                    [self.packing.after(group.dims, state, lanes) for lanes in unique.T.tolist()]
                )
                for state in sorted(reached)
            }
            table = np.full((1 + max(reached), len(group)), -1)
            for state, states in after.items():
                table[state] = states[places.ravel()]
            found.append(table)
            reached = set(np.unique(table).tolist()) - {-1}
        return found

    def _steps_of_rest(self) -> list[Whole]:
        """For each group, the fewest steps along it and all later ones [state]; the last state
        stands for a full array."""
        rest = [np.append(np.ones(1 + int(self.moves[-1].max())), np.inf)]
        for trips, moves in zip(reversed(self.trips), reversed(self.moves), strict=True):
            least = (trips * rest[-1][moves]).min(axis=1)
            rest.append(np.append(least, np.inf))
        return rest[::-1]

    @cached_property
    def steps_after(self) -> list[Whole]:
        """For each group, the fewest steps along it and all later ones with each choice
        [state, choice]; infinite if it does not fit."""
        return [
            trips * self._rest[place + 1][moves]
            for place, (trips, moves) in enumerate(zip(self.trips, self.moves, strict=True))
        ]

    @cached_property
    def steps_with(self) -> list[Whole]:
        """For each group, the fewest steps in all with each choice."""
        found = []
        before = np.ones(1)
        for trips, moves, after in zip(self.trips, self.moves, self.steps_after, strict=True):
            found.append((before[:, None] * after).min(axis=0))
            reached = np.full(2 + int(moves.max()), np.inf)
            np.minimum.at(reached, moves, before[:, None] * trips)
            before = reached[:-1]
        return found


@lru_cache(maxsize=256)
def _all_shared(bound: int, most: int, largest: int, undominated: bool) -> Whole:
    """(Buffer tiles, array tiles, PEs) [3, choice] of a dimension, shared by the fewest PEs that
    make a PE's part as small as it is.

    With ``undominated``, without those that another one equals or betters in all three, in both
    sizes and in steps.
    """
    found = []
    for outer in range(1, bound + 1):
        for inner in range(1, bound // outer + 1):
            extent = -(-bound // (outer * inner))
            parts = np.unique(-(-extent // np.arange(1, min(extent, most) + 1)))
            parts = parts[parts <= largest]
            lanes = -(-extent // parts)
            tiles = np.full_like(parts, outer * inner)
            found.append(np.stack([np.full_like(parts, outer), tiles, lanes, parts]))
    outers, tiles, lanes, parts = np.concatenate(found, axis=1)
    if undominated:
        trips = steps(bound, tiles.astype(np.float64), lanes.astype(np.float64)).astype(np.int64)
        sizes = -(-bound // outers)
        keep = pareto_columns(np.stack([outers, tiles, lanes, parts, sizes, trips]))
        outers, tiles, lanes = outers[keep], tiles[keep], lanes[keep]
    return np.stack([outers, tiles, lanes]).astype(np.float64)
