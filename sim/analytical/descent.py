"""Splits chosen group by group, depth first, under one pair of loop orders.

A partial choice is dropped when it cannot fit, or when its lower bound is not below the best
mapping found. Complete ones are priced exactly.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture, DataType, Storage
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
_BOUNDED = 1 << 20
"""Lower bounds that are computed at once, about."""
_PRICED = 512
"""Complete splits that are priced at once."""


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
class State:
    """Partial choices, a column each."""

    products: Whole
    """Of factors, [term, choice]."""
    buffer: Whole
    """Words of each type's buffer tile."""
    array: Whole
    """Words of each type that PEs must hold, and products."""
    picks: NDArray[np.int64]
    """Index of the choice in each group so far."""
    bound: Whole

    def __len__(self) -> int:
        return len(self.bound)

    def only(self, keep: NDArray[np.generic] | slice) -> "State":
        """The partial choices ``keep``."""
        return State(
            self.products[:, keep],
            self.buffer[:, keep],
            self.array[:, keep],
            self.picks[:, keep],
            self.bound[keep],
        )


class Descent(ABC):
    """The search under one pattern."""

    def __init__(self, space: Mapspace, pattern: Pattern) -> None:
        self._space, self._pattern = space, pattern
        self._weights = space.bounds.weights * space.bounds.scale
        self._others = self._weights[0].copy()
        self._others[DELIVERED] = 0
        self._delivered = space.bounds.least_delivered(pattern, space.pe_tiles)
        self._set_choices([self._still(group) for group in space.choices])

    def _still(self, group: Choices) -> Choices:
        """The choices under which loops that may not move do not."""
        if not self._pattern.through:
            return group
        owner = self._pattern.inner.owner
        places = [
            place
            for place, dim in enumerate(group.dims)
            if self._pattern.still or dim in RELEVANT[owner]
        ]
        return group.only((group.tiles[places] == group.outer[places]).all(axis=0))

    def _set_choices(self, choices: list[Choices]) -> None:
        bounds, problem = self._space.bounds, self._space.problem
        self._choices = choices
        self._factors = [bounds.factors(self._pattern, group) for group in choices]
        self._buffer = [words_under(problem, group, group.outer) for group in choices]
        self._array = [self._tile_words(group) for group in choices]
        self._rest = _least_rest(self._factors)
        self._buffer_rest = _least_rest(self._buffer)
        self._array_rest = _least_rest(self._array)
        least, _ = self._bound(np.ones((len(self._rest[0]), 1)), self._rest[0][:, None])
        self.least = float(least[0, 0])
        """Lower bound of all mappings under the pattern."""

    def _bound(self, left: Whole, right: Whole, steps: Whole | float = 0.0) -> tuple[Whole, Whole]:
        """Lower bounds [column of left, column of right] of the value, and of energy, that the
        products of both leave; the array takes ``steps`` at least."""
        fixed, goal = self._space.bounds.fixed, self._space.goal
        energy: Whole = (left * self._weights[0][:, None]).T @ right
        # What is delivered: the least of each type by itself, or of all types by one PE tile.
        together = (left * self._others[:, None]).T @ right + self._delivered
        np.maximum(energy, together, out=energy)
        energy += fixed[0]
        if goal.energy_alone:
            return energy, energy
        cycles = np.maximum(np.full_like(energy, self._space.least_cycles), steps)
        for least, weights in zip(fixed[1:], self._weights[1:], strict=True):
            np.maximum(cycles, least + (left * weights[:, None]).T @ right, out=cycles)
        return goal.value(energy, cycles), energy

    def _narrow(self, limit: float) -> None:
        """Drop choices that are above ``limit`` with the best of all other groups, again and again:
        without them, the others' best are dearer."""
        size = -1
        while size != (size := sum(map(len, self._choices))):
            least = np.stack([each.min(axis=1) for each in self._factors])
            kept = []
            for place, group in enumerate(self._choices):
                others = np.delete(least, place, axis=0).prod(axis=0)
                kept.append(group.only(self._bounds_with(place, others) < limit))
            if not all(map(len, kept)):
                self.least = np.inf
                return
            self._set_choices(kept)

    def run(self, progress: Progress, width: int | None = None) -> None:
        """Improve on ``progress``; with ``width``, by so many partial choices at most per group."""
        self._narrow(progress.limit)
        if self.least >= progress.limit:
            return
        start = State(
            np.ones((len(self._rest[0]), 1)),
            np.ones((len(DataType), 1)),
            np.ones((len(DataType) + 1, 1)),
            np.zeros((0, 1), np.int64),
            np.array([self.least]),
        )
        self._descend(start, progress, width)

    def _descend(self, state: State, progress: Progress, width: int | None) -> None:
        level = len(state.picks)
        if level == len(self._choices):
            self._price(state, progress)
            return
        progress.check_time()
        grown = self._extend(state, level, progress)
        if width is not None:
            grown = grown.only(slice(width))
        # As many at once as make matrices of a moderate size with the next group's choices.
        following = len(self._choices[level + 1]) if level + 1 < len(self._choices) else 1
        size = min(_BLOCK, max(_BOUNDED // following, 1))
        for first in range(0, len(grown), size):
            block = grown.only(slice(first, first + size))
            block = block.only(block.bound < progress.limit)
            if not len(block):
                break
            self._descend(block, progress, width)

    def _extend(self, state: State, level: int, progress: Progress) -> State:
        """``state`` with every choice of the next group that may be part of a better mapping."""
        factors = self._factors[level]
        bound, energy = self._bounds_after(state, level)
        progress.bounded += bound.size
        rows, cols = np.nonzero(bound < progress.limit)
        buffer = state.buffer[:, rows] * self._buffer[level][:, cols]
        array = state.array[:, rows] * self._array[level][:, cols]
        fits = self._fits(buffer * self._buffer_rest[level + 1][:, None])
        fits &= self._hold(array * self._array_rest[level + 1][:, None])
        rows, cols = rows[fits], cols[fits]
        found = State(
            state.products[:, rows] * factors[:, cols],
            buffer[:, fits],
            array[:, fits],
            np.concatenate([state.picks[:, rows], cols[None]]),
            bound[rows, cols],
        )
        # Of many that may be as fast, first those that move least.
        return found.only(np.lexsort((energy[rows, cols], found.bound)))

    def _fits(self, words: Whole) -> NDArray[np.bool_]:
        return hold(self._space.architecture, self._space.architecture.buffers, words)

    def _price(self, state: State, progress: Progress) -> None:
        """Price complete splits, the most promising first."""
        for first in range(0, len(state), _PRICED):
            block = state.only(slice(first, first + _PRICED))
            block = block.only(block.bound < progress.limit)
            if not len(block):
                return
            progress.check_time()
            self._price_block(block, progress)

    @abstractmethod
    def _tile_words(self, group: Choices) -> Whole:
        """Factors [type, choice] of words that PEs must hold, and of products."""

    @abstractmethod
    def _hold(self, array: Whole) -> NDArray[np.bool_]:
        """Which products of ``_tile_words`` PEs may hold."""

    @abstractmethod
    def _price_block(self, state: State, progress: Progress) -> None:
        """Price complete splits that are not many."""

    def _bounds_with(self, place: int, others: Whole) -> Whole:
        """Lower bounds of each choice of a group, with the least factors of all ``others``."""
        value, _ = self._bound(others[:, None], self._factors[place])
        return np.asarray(value[0])

    def _bounds_after(self, state: State, level: int) -> tuple[Whole, Whole]:
        """Lower bounds of the value, and of energy: [partial choice, choice of the next group]."""
        left = state.products * self._rest[level + 1][:, None]
        return self._bound(left, self._factors[level])

    def _price_batch(self, outer: Whole, tiles: Whole, lanes: Whole, progress: Progress) -> None:
        """Price mappings, arrays [dimension, mapping], that fit buffers and scratchpads."""
        space = self._space
        fits = space.packing.fits(lanes)
        if not fits.any():
            return
        batch = Batch(
            problem=space.problem,
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


def hold(
    architecture: Architecture, storages: Sequence[Storage], words: Whole
) -> NDArray[np.bool_]:
    """Which columns of ``words`` [type, choice] fit all of ``storages``."""
    fits = np.ones(words.shape[1], bool)
    for storage in storages:
        bits = sum(
            architecture.word_bits.of(data) * words[row]
            for row, data in enumerate(DataType)
            if data in storage.holds
        )
        fits &= bits <= 8 * storage.bytes
    return fits


def words_under(problem: Problem, group: Choices, parts: Whole, *, macs: bool = False) -> Whole:
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
