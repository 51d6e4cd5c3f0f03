"""Lower bounds on cost as sums of products, a factor for each group of dimensions.

A *pattern* fixes the loop orders. Under a pattern, traffic is written down as if the loops named
last in each order were the innermost ones that move: never less than the true traffic of any
mapping with these orders, and equal to it under the pattern that the mapping's own loops make. So a
search through all patterns that drops only what these formulas put above the best mapping found
keeps the best of all. docs/analytical.md has the argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture, DataType
from arch.errors import MappingError
from sim.analytical.cost import price
from sim.analytical.counts import Traffic, accesses_of
from sim.analytical.mapping import Order
from sim.analytical.problem import RELEVANT, Axis, Dim, Problem
from sim.analytical.tiles import Whole, ceil_div, common, excess, filled, first_filled, steps

GROUPS: tuple[tuple[Dim, ...], ...] = (
    (Dim.M,),
    (Dim.C,),
    (Dim.P, Dim.R),
    (Dim.Q, Dim.S),
    (Dim.N,),
    (Dim.G,),
)
"""Dimensions whose factors cannot be told apart: an output and the kernel that slides over it."""

KINDS = ("filled", "sent", "delivered")
TERMS = tuple((data, kind) for data in DataType for kind in KINDS)
"""What costs are linear in: the traffic of each type."""

DELIVERED = slice(2, len(TERMS), len(KINDS))
"""The terms of what is delivered."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """Order of one level's loops.

    Those that do not choose a word of ``owner`` run innermost; ``slide`` is the innermost of those
    that choose a word of the ifmap.
    """

    owner: DataType
    slide: Dim | None

    @property
    def order(self) -> Order:
        """All dimensions, the outermost loop first; groups are always outermost."""
        inner = [dim for dim in Dim if dim not in RELEVANT[self.owner]]
        outer = [dim for dim in Dim if dim in RELEVANT[self.owner]]
        for dims in (inner, outer):
            if self.slide in dims:
                dims.remove(self.slide)
                dims.append(self.slide)
        outer.remove(Dim.G)
        return (Dim.G, *outer, *inner)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Orders of the loops over buffer tiles and over array tiles.

    ``through``: within a buffer tile, only loops that do not choose a word of the inner owner move,
    so that its tile stays in the PEs from one buffer tile to the next.
    """

    outer: Level
    inner: Level
    through: bool
    still: bool = False
    """No loop within a buffer tile moves, so that PEs see the outer loops alone."""


def patterns(architecture: Architecture, problem: Problem) -> Iterator[Pattern]:
    """The patterns that can matter."""
    kept = [data for data in DataType if architecture.spad_of(data)]
    outer_owners = [data for data in DataType if architecture.buffer_of(data) or data in kept]
    for inner in _levels(problem, kept or list(DataType)[:1]):
        for outer in _levels(problem, outer_owners or list(DataType)[:1]):
            yield Pattern(outer=outer, inner=inner, through=False)
            if outer.owner is inner.owner or inner.owner is DataType.IFMAP:
                yield Pattern(outer=outer, inner=inner, through=True)
    for outer in _levels(problem, outer_owners or list(DataType)[:1]):
        yield Pattern(outer=outer, inner=outer, through=True, still=True)


def _levels(problem: Problem, owners: list[DataType]) -> Iterator[Level]:
    sliding = [
        dim
        for axis in problem.axes
        for dim in (axis.output, axis.kernel)
        if problem.bounds[axis.output] > 1 and problem.bounds[axis.kernel] > axis.lag[1]
    ]
    for owner in owners:
        # Beside the ifmap's own reuse any loop may slide, beside another's one of its loops.
        own = owner is DataType.IFMAP
        slides = [dim for dim in sliding if own or dim not in RELEVANT[owner]]
        if not slides:
            yield Level(owner=owner, slide=None)
        yield from (Level(owner=owner, slide=dim) for dim in slides)


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """Splits to choose from for one group: arrays [dimension of the group, choice].

    ``lanes`` are the PEs that share each dimension, if they are part of the choice; ``kept`` are
    the numbers of what is left of all choices.
    """

    dims: tuple[Dim, ...]
    outer: Whole
    tiles: Whole
    lanes: Whole | None = None
    kept: NDArray[np.int64] | None = None

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of these among all choices of the group."""
        return np.arange(len(self)) if self.kept is None else self.kept

    @cached_property
    def inner(self) -> Whole:
        """Array tiles in each buffer tile."""
        return self.tiles / self.outer

    def __len__(self) -> int:
        return len(self.outer[0])

    def axis(self, problem: Problem) -> Axis | None:
        """The image axis that the group splits."""
        return next((axis for axis in problem.axes if axis.output in self.dims), None)

    def only(self, keep: NDArray[np.generic]) -> "Choices":
        """The choices ``keep``, a mask or indices."""
        return replace(
            self,
            outer=self.outer[:, keep],
            tiles=self.tiles[:, keep],
            lanes=None if self.lanes is None else self.lanes[:, keep],
            kept=self.numbers[keep],
        )


class Bounds:
    """Bounds for one problem on one architecture.

    ``most_lanes`` and ``largest`` give, for each dimension, the most PEs that may share it and the
    largest extent in a PE.
    """

    def __init__(
        self,
        architecture: Architecture,
        problem: Problem,
        most_lanes: tuple[int, ...],
        largest: tuple[int, ...],
    ) -> None:
        self.architecture, self.problem = architecture, problem
        self._most_lanes, self._largest = most_lanes, largest
        self._kept = {data for data in DataType if architecture.spad_of(data)}
        self._buffered = {data for data in DataType if architecture.buffer_of(data)}
        self.scale = np.array([*(self._scale(data) for data, _ in TERMS), 1])
        """Words of a term whose factors are all 1; the last term is the array's steps."""
        self.fixed = self._costs(None)
        """Energy, then what bounds the cycles: what no term changes."""
        terms = [self._costs(term) - self.fixed for term in TERMS]
        self.weights = np.array([*terms, [0.0, 1.0, *[0.0] * (len(self.fixed) - 2)]]).T
        """The same for a word of each term, [cost, term]."""
        if (self.weights < 0).any():
            raise MappingError(
                f"{architecture.name}: a hop must cost at most what a sum's way to the storage "
                "above and back costs, and with forwards at least what it costs to the "
                f"scratchpad, got {architecture.energy.hop:g}"
            )

    def _costs(self, term: tuple[DataType, str] | None) -> Whole:
        """Energy and cycles with one word of ``term`` and none of the others that vary."""
        # Every multiply-accumulate takes its word, or hands its sum on, where PEs keep none.
        traffic = {
            data: Traffic(delivered=0 if data in self._kept else self.problem.macs)
            for data in DataType
        }
        if term is not None:
            data, kind = term
            traffic[data] = replace(traffic[data], **{kind: getattr(traffic[data], kind) + 1})
        counts = accesses_of(self.architecture, self.problem, traffic, 0)
        cost = price(self.architecture, self.problem, counts)
        return np.array([float(cost.energy), *(float(each) for each in cost.bounds.values())])

    def _scale(self, data: DataType) -> int:
        if data is not DataType.IFMAP:
            return self.problem.words(data)
        # Rows and columns are factors.
        bounds = self.problem.bounds
        return bounds[Dim.N] * bounds[Dim.G] * bounds[Dim.C]

    def factors(self, pattern: Pattern, choices: Choices) -> Whole:
        """Factors [term, choice] of the group that ``choices`` splits."""
        found = np.ones((len(TERMS) + 1, len(choices)))
        if choices.lanes is None:
            lanes = self.lanes(choices, np.array([self._largest]).T.astype(np.float64))
        else:
            lanes = choices.lanes[:, :, None]
        found[DELIVERED] = self.delivered(pattern, choices, lanes)[:, :, 0]
        trips = self.least_steps(choices)
        for row, data in enumerate(DataType):
            filled_, sent = found[3 * row : 3 * row + 2]
            for place, dim in enumerate(choices.dims):
                if dim not in RELEVANT[data]:
                    outer, tiles = choices.outer[place], choices.tiles[place]
                    filled_ *= 1 if pattern.outer.owner is data else outer
                    sent *= self._sent(pattern, data, outer, tiles, trips[place])
            axis = choices.axis(self.problem)
            if data is DataType.IFMAP and axis is not None:
                filled_ *= self._rows(
                    axis, choices.outer, self._outer_slide(pattern, axis, choices)
                )
                slides = self._inner_slide(pattern, axis, choices) if data in self._kept else {}
                sent *= self._rows(axis, choices.tiles, slides)
            if data not in self._buffered:
                filled_[:] = 0
        found[-1] = trips.prod(axis=0)
        return found

    def least_steps(self, choices: Choices) -> Whole:
        """Steps at least along each dimension of the group; exact if the PEs are chosen."""
        found = np.empty_like(choices.tiles)
        for place, (dim, tiles) in enumerate(zip(choices.dims, choices.tiles, strict=True)):
            bound = self.problem.bounds[dim]
            if choices.lanes is None:
                found[place] = np.maximum(tiles, ceil_div(bound, self._most_lanes[dim]))
            else:
                found[place] = steps(bound, tiles, choices.lanes[place])
        return found

    def least_delivered(self, pattern: Pattern, pe_tiles: Whole) -> float:
        """Energy at least of all that is delivered, over the PE tiles.

        Every word comes once, and what the PEs do not hold from one array tile to the next comes
        again for each PE tile along the dimensions that reuse it.
        """
        energy = np.zeros(pe_tiles.shape[1])
        for weight, data in zip(self.weights[0, DELIVERED], DataType, strict=True):
            if data in self._kept:
                again = set(Dim) - RELEVANT[data] if pattern.inner.owner is not data else set()
                times = np.ones(pe_tiles.shape[1])
                for dim in again:
                    times *= self.problem.bounds[dim] / pe_tiles[dim]
                energy += weight * self.problem.words(data) * times
        return float(energy.min())

    def lanes(self, choices: Choices, pe_tiles: Whole) -> Whole:
        """PEs that share each dimension of the group, if each takes a tile of ``pe_tiles``
        [dimension, tile]: [dimension of the group, choice, tile]."""
        extents = np.stack(
            [
                ceil_div(self.problem.bounds[dim], tiles)
                for dim, tiles in zip(choices.dims, choices.tiles, strict=True)
            ]
        )
        return ceil_div(extents[:, :, None], pe_tiles[list(choices.dims), None, :])

    def delivered(self, pattern: Pattern, choices: Choices, lanes: Whole) -> Whole:
        """Factors [type, choice, tile] of what is delivered, if ``lanes`` [dimension of the group,
        choice, tile] share the group's dimensions."""
        found = np.ones((len(DataType), *lanes.shape[1:]))
        for row, data in enumerate(DataType):
            for place, dim in enumerate(choices.dims):
                if dim not in RELEVANT[data]:
                    outer, tiles = choices.outer[place][:, None], choices.tiles[place][:, None]
                    found[row] *= self._copies(pattern, data, dim, outer, tiles, lanes[place])
            axis = choices.axis(self.problem)
            if data is DataType.IFMAP and axis is not None:
                slides = self._inner_slide(pattern, axis, choices)
                unspread = (lanes == 1).all(axis=0)
                shared = {dim: each[:, None] * unspread for dim, each in slides.items()}
                found[row] *= self._rows(axis, choices.tiles[:, :, None] * lanes, shared)
            if data not in self._kept:
                # A constant: every multiply-accumulate takes its word.
                found[row] = 0
        return found

    def _sent(
        self, pattern: Pattern, data: DataType, outer: Whole, tiles: Whole, steps: Whole
    ) -> Whole | int:
        if data not in self._kept:
            return steps
        if pattern.inner.owner is not data:
            return tiles
        if pattern.through and pattern.outer.owner is data:
            return 1
        return outer

    def _copies(
        self,
        pattern: Pattern,
        data: DataType,
        dim: Dim,
        outer: Whole,
        tiles: Whole,
        lanes: Whole,
    ) -> Whole:
        bound = self.problem.bounds[dim]
        if pattern.inner.owner is not data:
            return filled(bound, tiles, lanes)
        if pattern.through and pattern.outer.owner is data:
            return lanes
        return first_filled(bound, outer, tiles / outer, lanes)

    def _rows(self, axis: Axis, tiles: Whole, shared: dict[Dim, Whole]) -> Whole:
        """Input positions over all tiles; ``shared`` adds what neighbours have in common."""
        outputs, taps = self.problem.bounds[axis.output], self.problem.bounds[axis.kernel]
        spare = [
            excess(self.problem.bounds[dim], parts, lag) + shared.get(dim, 0)
            for dim, parts, lag in zip((axis.output, axis.kernel), tiles, axis.lag, strict=True)
        ]
        return outputs * taps - spare[0] * spare[1]

    def _outer_slide(self, pattern: Pattern, axis: Axis, choices: Choices) -> dict[Dim, Whole]:
        return self._slide(pattern.outer.slide, axis, choices.outer)

    def _inner_slide(self, pattern: Pattern, axis: Axis, choices: Choices) -> dict[Dim, Whole]:
        if pattern.still or (pattern.through and pattern.inner.owner is DataType.IFMAP):
            return self._slide(pattern.outer.slide, axis, choices.tiles)
        return self._slide(pattern.inner.slide, axis, choices.tiles, choices.outer)

    def _slide(
        self, dim: Dim | None, axis: Axis, tiles: Whole, runs: Whole | None = None
    ) -> dict[Dim, Whole]:
        pair = axis.output, axis.kernel
        if dim not in pair:
            return {}
        place = pair.index(dim)
        started = np.ones_like(tiles[place]) if runs is None else runs[place]
        length = tiles[place] / started
        return {dim: common(self.problem.bounds[dim], started, length, axis.lag[place])}
