"""Mappings: how a layer's loops are split over memory, buffers and PEs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.analytical.problem import Dim, Problem
from sim.analytical.tiles import Whole, ceil_div

Order = tuple[Dim, ...]
"""All dimensions, the outermost loop first."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """One mapping; each tuple in the order of ``Dim``.

    Each dimension is split evenly into ``outer`` buffer tiles, each of these into ``inner`` array
    tiles, each of these over ``lanes`` PEs, which lie in ``rows`` x ``cols`` of the array. Outer
    loops run over buffer tiles, inner ones over array tiles. Sizes that do not divide make parts
    that differ by one.
    """

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    lanes: tuple[int, ...]
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    outer_order: Order
    inner_order: Order


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Many mappings of one problem that share their loop orders; arrays are [dimension, mapping].

    Each array holds whole numbers as floats.
    """

    problem: Problem
    outer: Whole
    inner: Whole
    lanes: Whole
    outer_order: Order
    inner_order: Order

    @classmethod
    def of(cls, problem: Problem, mapping: Mapping) -> "Batch":
        """The batch of ``mapping`` alone."""
        outer, inner, lanes = (
            np.array(factors, np.float64)[:, None]
            for factors in (mapping.outer, mapping.inner, mapping.lanes)
        )
        return cls(
            problem=problem,
            outer=outer,
            inner=inner,
            lanes=lanes,
            outer_order=mapping.outer_order,
            inner_order=mapping.inner_order,
        )

    @cached_property
    def tiles(self) -> Whole:
        """Array tiles of each dimension in all."""
        return self.outer * self.inner

    def buffer_tile(self, dim: Dim) -> Whole:
        """Largest extent of a buffer tile."""
        return ceil_div(self.problem.bounds[dim], self.outer[dim])

    def pe_tile(self, dim: Dim) -> Whole:
        """Largest extent of one PE's part of an array tile."""
        return ceil_div(self.problem.bounds[dim], self.tiles[dim] * self.lanes[dim])
