"""The fewest steps of an array that all groups of dimensions share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.analytical.bounds import Bounds, Choices
from sim.analytical.choices import Packing
from sim.analytical.tiles import Whole

States = NDArray[np.int64]


class SharedSteps:
    """Bounds on steps for choices that say how many PEs share them.

    Which numbers of PEs still fit is a state of ``packing``. Large arrays have too many states: in
    these, each group may take all PEs. Of choices that take the same PEs, only the fewest steps
    matter to the others.
    """

    def __init__(self, packing: Packing, bounds: Bounds, choices: Sequence[Choices]) -> None:
        self._trips = [bounds.least_steps(group).prod(axis=0) for group in choices]
        """Steps along each group [choice]."""
        self._kinds: list[NDArray[np.int64]] = []
        """Which different numbers of PEs each choice takes."""
        self._moves: list[States] = []
        """The state after each of these [state, kind]; -1 if they do not fit."""
        reached = {0}
        for group in choices:
            assert group.lanes is not None
            # With one PE for all, every state is the first.
            lanes = group.lanes if packing.has_few_states else np.ones_like(group.lanes)
            kinds, places = np.unique(lanes, axis=1, return_inverse=True)
            moves = np.full((1 + max(reached), kinds.shape[1]), -1)
            for state in reached:
                moves[state] = [packing.after(group.dims, state, kind) for kind in kinds.T.tolist()]
            self._kinds.append(places.ravel())
            self._moves.append(moves)
            reached = set(np.unique(moves[sorted(reached)]).tolist()) - {-1}
        self._fewest = [
            _least_by(kinds, trips, moves.shape[1])
            for kinds, trips, moves in zip(self._kinds, self._trips, self._moves, strict=True)
        ]
        """Steps along each group at least [kind]."""
        self._rest = self._of_rest()

    @property
    def least(self) -> float:
        """Steps of any mapping at least."""
        return float(self._rest[0][0])

    def _of_rest(self) -> list[Whole]:
        """For each group, steps along it and all later ones at least [state]; the last one, -1,
        stands for a full array."""
        rest = [np.append(np.ones(1 + int(self._moves[-1].max())), np.inf)]
        for fewest, moves in zip(reversed(self._fewest), reversed(self._moves), strict=True):
            rest.append(np.append((fewest * rest[-1][moves]).min(axis=1), np.inf))
        return rest[::-1]

    def with_each(self) -> list[Whole]:
        """For each group, steps of any mapping at least with each choice."""
        found, before = [], np.ones(1)
        for place, (kinds, moves) in enumerate(zip(self._kinds, self._moves, strict=True)):
            others = (before[:, None] * self._rest[place + 1][moves]).min(axis=0)
            found.append(self._trips[place] * others[kinds])
            after = np.full(2 + int(moves.max()), np.inf)
            np.minimum.at(after, moves, before[:, None] * self._fewest[place])
            before = after[:-1]
        return found

    def after(
        self, picks: Sequence[NDArray[np.int64]], level: int, numbers: NDArray[np.int64]
    ) -> Whole:
        """Steps along the group ``level`` and all later ones at least, for each of its choices
        ``numbers``, behind choices of the groups before: [partial choice, choice].

        Infinite where the PEs do not fit. ``picks`` are the choices of each group before.
        """
        packed = np.zeros(len(picks[0]) if level else 1, np.int64)
        for moves, kinds, each in zip(self._moves, self._kinds, picks, strict=False):
            packed = moves[packed, kinds[each]]
        rest = self._rest[level + 1][self._moves[level]]
        return np.asarray(
            rest[packed][:, self._kinds[level][numbers]] * self._trips[level][numbers]
        )


def _least_by(kinds: NDArray[np.int64], values: Whole, count: int) -> Whole:
    """The least of ``values`` of each of ``count`` kinds."""
    least = np.full(count, np.inf)
    np.minimum.at(least, kinds, values)
    return least
