"""What a search chooses from: splits of each dimension, tiles of a PE, places in the array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture, Array, DataType
from sim.analytical.cost import bits_needed, tile_words
from sim.analytical.problem import RELEVANT, Dim, Problem
from sim.analytical.tiles import Whole


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a dataflow does with one dimension."""

    rows: bool = True
    """It may be spread over PE rows."""
    cols: bool = True
    """It may be spread over PE columns."""
    pe: bool = True
    """A PE may take several in turn before the array's next tile."""
    whole: bool = False
    """The array takes all of it at once."""


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """Constraints on mappings; a dimension without a rule is free."""

    name: str
    rules: dict[Dim, Rule] = field(default_factory=dict)

    def rule(self, dim: Dim) -> Rule:
        """The rule for ``dim``."""
        return self.rules.get(dim, Rule())


_COMPARED = 20_000
"""Choices up to which each is compared with all others."""

FREE = Dataflow(name="free")
"""Any tile sizes, any loop orders, any dimension on rows and columns."""


@lru_cache(maxsize=1024)
def splits(bound: int, undominated: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(Buffer tiles, array tiles) into which ``bound`` can be split, none of them empty.

    With ``undominated``, without splits that another one equals or betters in both numbers of tiles
    and in both sizes of tiles.
    """
    outer_choices, tile_choices = [], []
    for count in range(1, bound + 1):
        inner = np.arange(1, bound // count + 1)
        if undominated:
            _, first = np.unique(-(-bound // (count * inner)), return_index=True)
            inner = inner[first]
        outer_choices.append(np.full(inner.shape, count))
        tile_choices.append(count * inner)
    outer, tiles = np.concatenate(outer_choices), np.concatenate(tile_choices)
    if undominated:
        keep = undominated_columns(np.stack([outer, tiles, -(-bound // outer), -(-bound // tiles)]))
        outer, tiles = outer[keep], tiles[keep]
    return outer, tiles


def undominated_columns(values: NDArray[np.number[Any]]) -> NDArray[np.int64]:
    """Columns of ``values`` that no other equals or betters in all rows; of equal ones, one.

    All columns, where comparing them would take longer than they do.
    """
    if values.shape[1] > _COMPARED:
        return np.arange(values.shape[1])
    order = np.lexsort(values[::-1])
    kept = np.empty((values.shape[0], 0), values.dtype)
    chosen = []
    for index in order:
        column = values[:, index : index + 1]
        if kept.shape[1] and (kept <= column).all(axis=0).any():
            continue
        kept = np.concatenate([kept, column], axis=1)
        chosen.append(index)
    return np.array(chosen)


def pe_dims(architecture: Architecture, dataflow: Dataflow) -> frozenset[Dim]:
    """Dimensions of which a PE may take several in turn: those on which a type that it keeps
    depends, groups excepted."""
    kept = frozenset().union(
        *(RELEVANT[data] for storage in architecture.spads for data in storage.holds)
    )
    return frozenset(dim for dim in kept - {Dim.G} if dataflow.rule(dim).pe)


def pe_tiles(architecture: Architecture, problem: Problem, dims: frozenset[Dim]) -> Whole:
    """Tiles [dimension, tile] that fit a PE's scratchpads.

    If PEs keep all types, only those that cannot grow: a larger tile takes fewer PEs and loads less
    often. A type that they do not keep is sent again in every step, so that fewer steps of more PEs
    may be better.
    """
    tiles = np.ones((len(Dim), 1))
    for dim in sorted(dims, key=lambda dim: problem.bounds[dim]):
        alone = np.ones((len(Dim), problem.bounds[dim]))
        alone[dim] = np.arange(1, problem.bounds[dim] + 1)
        sizes = alone[dim, spads_hold(architecture, problem, alone)]
        grown = np.repeat(tiles, len(sizes), axis=1)
        grown[dim] = np.tile(sizes, tiles.shape[1])
        tiles = grown[:, spads_hold(architecture, problem, grown)]
    if not all(architecture.spad_of(data) for data in DataType):
        return tiles
    largest = np.ones(tiles.shape[1], bool)
    for dim in dims:
        more = tiles.copy()
        more[dim] += 1
        largest &= (tiles[dim] == problem.bounds[dim]) | ~spads_hold(architecture, problem, more)
    return tiles[:, largest]


def spads_hold(architecture: Architecture, problem: Problem, tiles: Whole) -> NDArray[np.bool_]:
    """Which of ``tiles`` [dimension, tile] fit a PE."""
    fits = np.ones(tiles.shape[1], bool)
    for storage in architecture.spads:
        words = {data: tile_words(problem, data, list(tiles)) for data in storage.holds}
        fits &= bits_needed(architecture, words) <= 8 * storage.bytes
    return fits


Pairs = frozenset[tuple[int, int]]

_FEW_PES = 1024
"""Arrays up to which all ways of sharing PEs are gone through."""


class Packing:
    """Which numbers of PEs per dimension fit the array's rows and columns together.

    A dimension takes rows x columns of PEs, and the products over all dimensions must fit. A state
    is the set of (rows, columns) products that can be reached and that no other state's are within.
    """

    def __init__(self, array: Array, dataflow: Dataflow) -> None:
        self._array = array
        self._sides = [(dataflow.rule(dim).rows, dataflow.rule(dim).cols) for dim in Dim]
        self._states: list[Pairs] = [frozenset({(1, 1)})]
        self._numbers: dict[Pairs, int] = {self._states[0]: 0}
        self._next: dict[tuple[tuple[bool, bool], int, int], int] = {}

    def fits(self, lanes: Whole) -> NDArray[np.bool_]:
        """Which columns of ``lanes`` [dimension, choice] fit."""
        state = np.zeros(lanes.shape[1], np.int64)
        for dim in Dim:
            codes = state * (self._array.pes + 1) + lanes[dim].astype(np.int64)
            unique, places = np.unique(codes, return_inverse=True)
            state = np.array([self._step(dim, int(code)) for code in unique], np.int64)[places]
        return np.asarray(state >= 0)

    @property
    def has_few_states(self) -> bool:
        """Whether going through all states takes little time."""
        return self._array.pes <= _FEW_PES

    def after(self, dims: tuple[Dim, ...], state: int, lanes: Sequence[float]) -> int:
        """The state once ``lanes`` PEs share each of ``dims``; -1 if they do not fit."""
        for dim, count in zip(dims, lanes, strict=True):
            state = (
                self._step(dim, state * (self._array.pes + 1) + int(count)) if state >= 0 else -1
            )
        return state

    def most(self, dim: Dim) -> int:
        """PEs that ``dim`` may be spread over."""
        rows, cols = self._sides[dim]
        return (self._array.rows if rows else 1) * (self._array.cols if cols else 1)

    def place(self, lanes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of each dimension that make the first fit."""
        found = self._place(lanes, 0, self._array.rows, self._array.cols)
        if found is None:
            raise ValueError(f"{lanes} must fit the array")
        return tuple(rows for rows, _ in found), tuple(cols for _, cols in found)

    def _place(
        self, lanes: tuple[int, ...], dim: int, rows: int, cols: int
    ) -> list[tuple[int, int]] | None:
        if dim == len(lanes):
            return []
        for used_rows, used_cols in sorted(self._pairs(self._sides[dim], lanes[dim])):
            if used_rows <= rows and used_cols <= cols:
                rest = self._place(lanes, dim + 1, rows // used_rows, cols // used_cols)
                if rest is not None:
                    return [(used_rows, used_cols), *rest]
        return None

    def _step(self, dim: Dim, code: int) -> int:
        if code < 0:
            return -1
        state, count = divmod(code, self._array.pes + 1)
        if count == 1:
            return state
        key = self._sides[dim], state, count
        if key not in self._next:
            self._next[key] = self._number(
                (rows * more_rows, cols * more_cols)
                for rows, cols in self._states[state]
                for more_rows, more_cols in self._pairs(self._sides[dim], count)
            )
        return self._next[key]

    def _number(self, pairs: Iterator[tuple[int, int]]) -> int:
        fitting = {
            pair for pair in pairs if pair[0] <= self._array.rows and pair[1] <= self._array.cols
        }
        if not fitting:
            return -1
        state = frozenset(
            pair
            for pair in fitting
            if not any(
                other != pair and other[0] <= pair[0] and other[1] <= pair[1] for other in fitting
            )
        )
        if state not in self._numbers:
            self._numbers[state] = len(self._states)
            self._states.append(state)
        return self._numbers[state]

    def _pairs(self, sides: tuple[bool, bool], count: int) -> set[tuple[int, int]]:
        """The fewest columns for each number of rows that make ``count`` PEs."""
        most_rows = self._array.rows if sides[0] else 1
        most_cols = self._array.cols if sides[1] else 1
        pairs = {(rows, -(-count // rows)) for rows in range(1, min(count, most_rows) + 1)}
        return {pair for pair in pairs if pair[1] <= most_cols}
