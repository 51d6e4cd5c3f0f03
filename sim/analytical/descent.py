"""Splits chosen group by group, depth first, under one pair of loop orders.

A partial choice is dropped when it cannot fit, or when its lower bound is not below the best
mapping found. Complete splits are priced exactly with every way of sharing their array tile among
the PEs that can matter.
"""

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arch.architecture import DataType
from sim.analytical.bounds import DELIVERED, Choices, Pattern
from sim.analytical.cost import evaluate, tile_words
from sim.analytical.mapping import Batch, Mapping
from sim.analytical.mapspace import Mapspace
from sim.analytical.problem import RELEVANT, Dim, Problem
from sim.analytical.tiles import Whole, ceil_div

CLOSE = 1e-9
"""A mapping must be better by this part to count as better."""
_BLOCK = 2048
"""Partial choices that are extended at once."""
_PRICED = 512
"""Complete splits, and of these mappings, that are priced at once."""


class OutOfTimeError(Exception):
    """The time limit was reached."""


@dataclass(kw_only=True)
class Progress:
    """The best mapping so far, what was done to find it, and when to stop."""

    value: float = np.inf
    mapping: Mapping | None = None
    bounded: int = 0
    """Partial choices whose lower bound was computed."""
    priced: int = 0
    """Mappings priced exactly."""
    deadline: float = np.inf

    @property
    def limit(self) -> float:
        """What a mapping must cost less than."""
        return self.value * (1 - CLOSE)

    def check_time(self) -> None:
        """Raise ``OutOfTimeError`` past the deadline."""
        if time.monotonic() > self.deadline:
            raise OutOfTimeError


@dataclass(eq=False)
class _State:
    """Partial choices, a column each."""

    products: Whole
    """Of factors, [term, choice]."""
    buffer: Whole
    """Words of each type's buffer tile."""
    array: Whole
    """Words of each type's array tile, and its multiply-accumulates."""
    picks: NDArray[np.int64]
    """Index of the choice in each group so far."""
    bound: Whole

    def __len__(self) -> int:
        return len(self.bound)

    def only(self, keep: NDArray[np.generic] | slice) -> "_State":
        return _State(
            self.products[:, keep],
            self.buffer[:, keep],
            self.array[:, keep],
            self.picks[:, keep],
            self.bound[keep],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Share:
    """What the choices of a group mean for PE tiles; arrays [choice, PE tile]."""

    lanes: Whole
    """PEs that share the group's dimensions."""
    steps: Whole
    delivered: Whole
    """Factors [type, choice, PE tile] of what the PEs get."""


class Descent:
    """The search under one pattern."""

    def __init__(self, space: Mapspace, pattern: Pattern) -> None:
        self._space, self._pattern = space, pattern
        self._weights = space.bounds.weights * space.bounds.scale
        self._set_choices([self._still(group) for group in space.choices])

    def _still(self, group: Choices) -> Choices:
        """The choices under which loops that may not move do not."""
        if not self._pattern.through:
            return group
        owner = self._pattern.inner.owner
        places = [place for place, dim in enumerate(group.dims) if dim in RELEVANT[owner]]
        return group.only((group.tiles[places] == group.outer[places]).all(axis=0))

    def _set_choices(self, choices: list[Choices]) -> None:
        bounds, problem = self._space.bounds, self._space.problem
        self._choices = choices
        self.__dict__.pop("_shares", None)
        self._factors = [bounds.factors(self._pattern, group) for group in choices]
        self._buffer = [_words(problem, group, group.outer) for group in choices]
        self._array = [_words(problem, group, group.tiles, macs=True) for group in choices]
        self._rest = _least_rest(self._factors)
        self._buffer_rest = _least_rest(self._buffer)
        self._array_rest = _least_rest(self._array)
        least = self._bound(np.ones((len(self._rest[0]), 1)), self._rest[0][:, None])
        self.least = float(least[0, 0])
        """Lower bound of all mappings under the pattern."""

    def _bound(self, left: Whole, right: Whole) -> Whole:
        """Lower bounds [column of left, column of right] of what the products of both leave."""
        fixed, goal = self._space.bounds.fixed, self._space.goal
        energy: Whole = fixed[0] + (left * self._weights[0][:, None]).T @ right
        if goal.energy_alone:
            return energy
        cycles = np.full_like(energy, self._space.least_cycles)
        for least, weights in zip(fixed[1:], self._weights[1:], strict=True):
            np.maximum(cycles, least + (left * weights[:, None]).T @ right, out=cycles)
        return goal.value(energy, cycles)

    def _narrow(self, limit: float) -> None:
        """Drop choices that are above ``limit`` with the best of all other groups, again and again:
        without them, the others' best are dearer."""
        size = -1
        while size != (size := sum(map(len, self._choices))):
            least = np.stack([each.min(axis=1) for each in self._factors])
            kept = []
            for place, (group, factors) in enumerate(
                zip(self._choices, self._factors, strict=True)
            ):
                others = np.delete(least, place, axis=0).prod(axis=0)
                kept.append(group.only(self._bound(others[:, None], factors)[0] < limit))
            if not all(map(len, kept)):
                self.least = np.inf
                return
            self._set_choices(kept)

    def run(self, progress: Progress, width: int | None = None) -> None:
        """Improve on ``progress``; with ``width``, by so many partial choices at most per group."""
        self._narrow(progress.limit)
        if self.least >= progress.limit:
            return
        start = _State(
            np.ones((len(self._rest[0]), 1)),
            np.ones((len(DataType), 1)),
            np.ones((len(DataType) + 1, 1)),
            np.zeros((0, 1), np.int64),
            np.array([self.least]),
        )
        self._descend(start, progress, width)

    def _descend(self, state: _State, progress: Progress, width: int | None) -> None:
        level = len(state.picks)
        if level == len(self._choices):
            self._price(state, progress)
            return
        progress.check_time()
        grown = self._extend(state, level, progress)
        if width is not None:
            grown = grown.only(slice(width))
        for first in range(0, len(grown), _BLOCK):
            block = grown.only(slice(first, first + _BLOCK))
            block = block.only(block.bound < progress.limit)
            if not len(block):
                break
            self._descend(block, progress, width)

    def _extend(self, state: _State, level: int, progress: Progress) -> _State:
        """``state`` with every choice of the next group that may be part of a better mapping."""
        factors = self._factors[level]
        bound = self._bound(state.products * self._rest[level + 1][:, None], factors)
        progress.bounded += bound.size
        rows, cols = np.nonzero(bound < progress.limit)
        buffer = state.buffer[:, rows] * self._buffer[level][:, cols]
        array = state.array[:, rows] * self._array[level][:, cols]
        fits = self._fits(buffer * self._buffer_rest[level + 1][:, None])
        room = self._space.array_room[:, None]
        fits &= (array * self._array_rest[level + 1][:, None] <= room).all(axis=0)
        rows, cols = rows[fits], cols[fits]
        found = _State(
            state.products[:, rows] * factors[:, cols],
            buffer[:, fits],
            array[:, fits],
            np.concatenate([state.picks[:, rows], cols[None]]),
            bound[rows, cols],
        )
        return found.only(np.argsort(found.bound, kind="stable"))

    def _fits(self, words: Whole) -> NDArray[np.bool_]:
        architecture = self._space.architecture
        fits = np.ones(words.shape[1], bool)
        for storage in architecture.buffers:
            bits = sum(
                architecture.word_bits.of(data) * words[row]
                for row, data in enumerate(DataType)
                if data in storage.holds
            )
            fits &= bits <= 8 * storage.bytes
        return fits

    def _price(self, state: _State, progress: Progress) -> None:
        """Price complete splits, the most promising first."""
        for first in range(0, len(state), _PRICED):
            block = state.only(slice(first, first + _PRICED))
            block = block.only(block.bound < progress.limit)
            if not len(block):
                return
            progress.check_time()
            self._price_block(block, progress)

    def _price_block(self, state: _State, progress: Progress) -> None:
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

    def _share_bounds(self, state: _State) -> Whole:
        """Lower bounds [split, PE tile]: those of the splits, with what is delivered to PEs that
        take just this tile, and their steps; infinite if they are too many."""
        space, fixed = self._space, self._space.bounds.fixed
        delivered = np.ones((len(DataType), len(state), space.pe_tiles.shape[1]))
        lanes, steps = (np.ones(delivered.shape[1:]) for _ in range(2))
        for picks, share in zip(state.picks, self._shares, strict=True):
            lanes *= share.lanes[picks]
            steps *= share.steps[picks]
            delivered *= share.delivered[:, picks]
        others = state.products.copy()
        others[DELIVERED] = 0
        energy = fixed[0] + (self._weights[0] @ others)[:, None]
        energy = energy + np.tensordot(self._weights[0, DELIVERED], delivered, 1)
        for least, weights in zip(fixed[2:], self._weights[2:], strict=True):
            np.maximum(steps, (least + weights @ others)[:, None], out=steps)
        bound = space.goal.value(energy, steps)
        return np.where(lanes <= space.architecture.array.pes, bound, np.inf)

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
                    steps=bounds.steps(group, lanes),
                    delivered=bounds.delivered(self._pattern, group, pe_tiles),
                )
            )
        return found

    def _price_shares(
        self,
        state: _State,
        rows: NDArray[np.int64],
        shares: NDArray[np.int64],
        progress: Progress,
    ) -> None:
        """Price the splits ``rows`` with the PE tiles ``shares``, pair by pair."""
        space, problem = self._space, self._space.problem
        outer, tiles, lanes = (np.empty((len(Dim), len(rows))) for _ in range(3))
        for group, picks in zip(self._choices, state.picks[:, rows], strict=True):
            for place, dim in enumerate(group.dims):
                outer[dim], tiles[dim] = group.outer[place, picks], group.tiles[place, picks]
                extent = ceil_div(problem.bounds[dim], tiles[dim])
                lanes[dim] = ceil_div(extent, space.pe_tiles[dim, shares])
        fits = space.packing.fits(lanes)
        if not fits.any():
            return
        batch = Batch(
            problem=problem,
            outer=outer[:, fits],
            inner=tiles[:, fits] / outer[:, fits],
            lanes=lanes[:, fits],
            outer_order=self._pattern.outer.order,
            inner_order=self._pattern.inner.order,
        )
        cost = evaluate(space.architecture, batch)
        value = space.goal.value(cost.energy, cost.cycles)
        progress.priced += len(value)
        best = int(np.lexsort((cost.energy, value))[0])
        if value[best] < progress.limit:
            progress.value = float(value[best])
            progress.mapping = self._mapping(batch, best)

    def _mapping(self, batch: Batch, index: int) -> Mapping:
        outer, inner, lanes = (
            tuple(int(each) for each in factors[:, index])
            for factors in (batch.outer, batch.inner, batch.lanes)
        )
        rows, cols = self._space.packing.place(lanes)
        return Mapping(
            outer=outer,
            inner=inner,
            lanes=lanes,
            rows=rows,
            cols=cols,
            outer_order=batch.outer_order,
            inner_order=batch.inner_order,
        )


def _words(problem: Problem, group: Choices, parts: Whole, *, macs: bool = False) -> Whole:
    """Factors [type, choice] of the words under tiles; with ``macs``, of their products too."""
    tile = [np.ones(len(group)) for _ in Dim]
    for place, dim in enumerate(group.dims):
        tile[dim] = ceil_div(problem.bounds[dim], parts[place])
    found = [tile_words(problem, data, tile) * np.ones(len(group)) for data in DataType]
    return np.stack([*found, np.stack(tile).prod(axis=0)] if macs else found)


def _least_rest(factors: list[Whole]) -> list[Whole]:
    """For each group, the least product of the factors of it and all later ones."""
    rest = [np.ones(len(factors[0]))]
    for each in reversed(factors):
        rest.append(rest[-1] * (each.min(axis=1) if each.shape[1] else np.inf))
    return rest[::-1]
