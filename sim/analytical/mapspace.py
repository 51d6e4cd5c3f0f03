"""All that one search may choose from, whatever the loop orders."""

from collections.abc import Iterator

import numpy as np

from arch.architecture import Architecture, DataType
from arch.errors import MappingError
from sim.analytical.bounds import GROUPS, Bounds, Choices, Pattern, patterns
from sim.analytical.choices import Dataflow, Packing, pe_dims, pe_tiles, splits
from sim.analytical.cost import tile_words
from sim.analytical.objective import Goal
from sim.analytical.problem import Dim, Problem
from sim.analytical.tiles import Whole, ceil_div


class Mapspace:
    """Everything about one search that does not depend on the loop orders."""

    def __init__(
        self, architecture: Architecture, problem: Problem, dataflow: Dataflow, goal: Goal
    ) -> None:
        self.architecture, self.problem, self.dataflow = architecture, problem, dataflow
        self.goal = goal
        self.packing = Packing(architecture.array, dataflow)
        in_pe = pe_dims(architecture, dataflow)
        self.pe_tiles = pe_tiles(architecture, problem, in_pe)
        self.most_lanes = tuple(self.packing.most(dim) for dim in Dim)
        self.largest = tuple(int(each.max()) for each in self.pe_tiles)
        """Largest extent of each dimension in a PE."""
        self.bounds = Bounds(architecture, problem, self.most_lanes, self.largest)
        self.choices = [self.group(dims) for dims in GROUPS]
        for group in self.choices:
            if not len(group):
                names = " and ".join(dim.name for dim in group.dims)
                raise MappingError(
                    f"{problem.name}: no mapping of {dataflow.name} fits {architecture.name}: "
                    f"no tile of {names} fits the array; enlarge it or the scratchpads"
                )
        self.array_room = self._array_room()
        self.least_cycles = 0.0
        """Cycles of the array at least, however its PEs are shared."""

    def patterns(self) -> Iterator[Pattern]:
        """The loop orders to search."""
        return patterns(self.architecture, self.problem)

    def group(self, dims: tuple[Dim, ...]) -> Choices:
        """What there is to choose from for ``dims`` together."""
        outer, tiles = zip(*map(self._splits, dims), strict=True)
        return Choices(
            dims=dims,
            outer=np.stack([each.ravel() for each in np.meshgrid(*outer, indexing="ij")]),
            tiles=np.stack([each.ravel() for each in np.meshgrid(*tiles, indexing="ij")]),
        )

    def _splits(self, dim: Dim) -> tuple[Whole, Whole]:
        bound = self.problem.bounds[dim]
        if dim is Dim.G:
            # Nothing is shared between groups: one after the other takes least energy.
            each = np.array([float(bound)])
            return each, each
        outer, tiles = (
            each.astype(np.float64) for each in splits(bound, has_no_lag(self.problem, dim))
        )
        fits = ceil_div(bound, tiles) <= self.most_lanes[dim] * self.largest[dim]
        if self.dataflow.rule(dim).whole:
            fits &= tiles == 1
        return outer[fits], tiles[fits]

    def _array_room(self) -> Whole:
        """Most words of each type in all PEs together, and most multiply-accumulates."""
        pes = self.architecture.array.pes
        room = [
            pes * float(tile_words(self.problem, data, list(self.pe_tiles)).max())
            if self.architecture.spad_of(data)
            else np.inf
            for data in DataType
        ]
        return np.array([*room, pes * float(self.pe_tiles.prod(axis=0).max())])


def has_no_lag(problem: Problem, dim: Dim) -> bool:
    """Whether fewer tiles of ``dim`` never move more: with a lag, more may have more in common."""
    return all(
        lag == 1
        for axis in problem.axes
        for each, lag in zip((axis.output, axis.kernel), axis.lag, strict=True)
        if each is dim
    )
