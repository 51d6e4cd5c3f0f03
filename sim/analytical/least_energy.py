"""The search for least energy: splits first, then ways to share their array tiles among PEs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arch.architecture import DataType
from sim.analytical.bounds import DELIVERED, Choices
from sim.analytical.descent import Descent, Progress, State, words_under
from sim.analytical.problem import Dim
from sim.analytical.tiles import Whole, ceil_div

_PRICED = 512
"""Mappings that are priced at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Share:
    """What the choices of a group mean for PE tiles; arrays [choice, PE tile]."""

    lanes: Whole
    """PEs that share the group's dimensions."""
    delivered: Whole
    """Factors [type, choice, PE tile] of what the PEs get."""


class EnergyDescent(Descent):
    """Under one pattern, if cycles do not matter."""

    def _set_choices(self, choices: list[Choices]) -> None:
        super()._set_choices(choices)
        self.__dict__.pop("_shares", None)

    def _tile_words(self, group: Choices) -> Whole:
        """Factors [type, choice] of the words of an array tile, and of its products."""
        return words_under(self._space.problem, group, group.tiles, macs=True)

    def _hold(self, array: Whole) -> NDArray[np.bool_]:
        """Which array tiles, of so many words of each type and products, all PEs may hold."""
        return np.asarray((array <= self._space.array_room[:, None]).all(axis=0))

    def _price_block(self, state: State, progress: Progress) -> None:
        """Price the ways of sharing the array tiles that may be better, the best ones first."""
        bound = self._share_bounds(state)
        progress.bounded += bound.size
        order = np.argsort(bound, axis=None, kind="stable")
        for first in range(0, len(order), _PRICED):
            rows, shares = np.unravel_index(order[first : first + _PRICED], bound.shape)
            better = bound[rows, shares] < progress.limit
            if not better.any():
                return
            self._price_shares(state, rows[better], shares[better], progress)

    def _share_bounds(self, state: State) -> Whole:
        """Lower bounds [split, PE tile]: those of the splits, with what is delivered to PEs that
        take just this tile; infinite if they are too many."""
        space, fixed = self._space, self._space.bounds.fixed
        delivered = np.ones((len(DataType), len(state), space.pe_tiles.shape[1]))
        lanes = np.ones(delivered.shape[1:])
        for picks, share in zip(state.picks, self._shares, strict=True):
            lanes *= share.lanes[picks]
            delivered *= share.delivered[:, picks]
        others = state.products.copy()
        others[DELIVERED] = 0
        energy = fixed[0] + (self._weights[0] @ others)[:, None]
        energy = energy + np.tensordot(self._weights[0, DELIVERED], delivered, 1)
        return np.where(lanes <= space.architecture.array.pes, energy, np.inf)

    @cached_property
    def _shares(self) -> list["_Share"]:
        """For each group: what its choices mean for each PE tile."""
        bounds, pe_tiles = self._space.bounds, self._space.pe_tiles
        found = []
        for group in self._choices:
            lanes = bounds.lanes(group, pe_tiles)
            found.append(
                _Share(
                    lanes=lanes.prod(axis=0),
                    delivered=bounds.delivered(self._pattern, group, lanes),
                )
            )
        return found

    def _price_shares(
        self,
        state: State,
        rows: NDArray[np.int64],
        shares: NDArray[np.int64],
        progress: Progress,
    ) -> None:
        """Price the splits ``rows`` with the PE tiles ``shares``, pair by pair."""
        space = self._space
        outer, tiles, lanes = (np.empty((len(Dim), len(rows))) for _ in range(3))
        for group, picks in zip(self._choices, state.picks[:, rows], strict=True):
            for place, dim in enumerate(group.dims):
                outer[dim], tiles[dim] = group.outer[place, picks], group.tiles[place, picks]
                extent = ceil_div(space.problem.bounds[dim], tiles[dim])
                lanes[dim] = ceil_div(extent, space.pe_tiles[dim, shares])
        self._price_batch(outer, tiles, lanes, progress)
