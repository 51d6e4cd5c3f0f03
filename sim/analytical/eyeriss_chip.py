"""The Eyeriss chip (Chen et al., JSSC 52(1), 2017): its mappings, its traffic and its timing.

The chip's mapping parameters give a mapping of the general model, and all counts come from there.
Only what the chip does in its own way is added here: it also reads the sums of a first pass (the
biases), and its passes take turns at three buses.
"""

from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from numpy.typing import ArrayLike

from arch.architecture import Architecture, DataType
from sim.analytical.choices import Packing
from sim.analytical.cost import check, price, tile_words
from sim.analytical.counts import Level, count
from sim.analytical.dataflows import ROW_STATIONARY
from sim.analytical.mapping import Batch, Mapping
from sim.analytical.problem import Dim, Problem

_FILTER_WORDS = 4
_PSUM_WORDS = 4
_IFMAP_WORDS = 1
"""Words per cycle of the input buses for filters and psums (64 bits) and ifmaps (16), and of the
output bus (64); section V-B."""


@dataclass(frozen=True, kw_only=True)
class RowStationary:
    """The paper's parameters (Table I of JSSC 2017).

    ``m`` output channels and ``n`` images in the buffer, ``e`` output rows in the array; ``p``
    filters and ``q`` channels in a PE; ``r`` sets of PEs for more channels, ``t`` for more filters.
    """

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int

    def mapping(self, architecture: Architecture, problem: Problem) -> Mapping:
        """The mapping of ``problem`` that the parameters mean.

        A pass takes p * t filters, q * r channels and n images; sums stay in the buffer from pass
        to pass until all channels are done.
        """
        bounds = problem.bounds
        outer, inner, lanes = ([1] * len(Dim) for _ in range(3))
        outer[Dim.N] = ceil(bounds[Dim.N] / self.n)
        outer[Dim.G] = bounds[Dim.G]
        outer[Dim.M] = ceil(bounds[Dim.M] / self.m)
        outer[Dim.C] = ceil(bounds[Dim.C] / (self.q * self.r))
        outer[Dim.P] = ceil(bounds[Dim.P] / self.e)
        inner[Dim.N] = min(self.n, bounds[Dim.N])
        inner[Dim.M] = ceil(min(self.m, bounds[Dim.M]) / (self.p * self.t))
        inner[Dim.Q] = bounds[Dim.Q]
        lanes[Dim.R] = bounds[Dim.R]
        lanes[Dim.P] = ceil(bounds[Dim.P] / outer[Dim.P])
        lanes[Dim.M] = self.t
        lanes[Dim.C] = self.r
        rows, cols = Packing(architecture.array, ROW_STATIONARY).place(tuple(lanes))
        return Mapping(
            outer=tuple(outer),
            inner=tuple(inner),
            lanes=tuple(lanes),
            rows=rows,
            cols=cols,
            outer_order=(Dim.G, Dim.N, Dim.P, Dim.M, Dim.Q, Dim.R, Dim.S, Dim.C),
            inner_order=(Dim.G, Dim.M, Dim.C, Dim.P, Dim.R, Dim.S, Dim.N, Dim.Q),
        )


@dataclass(frozen=True, kw_only=True)
class ChipLayer:
    """What one layer takes on the chip."""

    active_pes: int
    buffer_bytes: int
    """Between the buffer and the array: ifmaps read, sums read and written in every pass."""
    memory_bytes: int
    """Before any coding."""
    coded_bytes: float
    """The same by the densities of the problem: feature maps are coded where that is less."""
    processing_cycles: int


def run_layer(architecture: Architecture, problem: Problem, parameters: RowStationary) -> ChipLayer:
    """What ``problem`` takes under ``parameters``; raises ``MappingError`` if they do not fit."""
    mapping = parameters.mapping(architecture, problem)
    check(architecture, problem, mapping)
    batch = Batch.of(problem, mapping)
    counts = count(architecture, batch)
    word = architecture.word_bits.ifmap // 8
    ifmaps = counts.accesses[Level.BUFFER, DataType.IFMAP].reads
    outputs = problem.words(DataType.PSUM)
    # Every visit of the array to a sum but the first reads it; the chip reads at the first, too.
    passes = mapping.outer[Dim.C]
    memory = sum(
        accesses.reads + accesses.writes
        for (level, _), accesses in counts.accesses.items()
        if level is Level.MEMORY
    )
    bounds = price(architecture, problem, counts).bounds
    coded = bounds["memory"] * architecture.memory_bytes_per_cycle
    return ChipLayer(
        active_pes=prod(mapping.lanes),
        buffer_bytes=word * (_whole(ifmaps) + 2 * passes * outputs),
        memory_bytes=word * _whole(memory),
        coded_bytes=float(np.ravel(coded)[0]),
        processing_cycles=_passes(mapping) * _pass_cycles(batch),
    )


def _passes(mapping: Mapping) -> int:
    """Passes in all: one takes all images of the buffer and all output columns."""
    return prod(mapping.outer) * mapping.inner[Dim.M]


def _pass_cycles(batch: Batch) -> int:
    """Cycles of a pass, memory aside.

    First the filters come into the PEs, and the first window of each image's rows. Then the PEs
    compute, a multiply-accumulate a cycle, while the other ifmap words and the sums pass by; the
    slowest of these holds the others up.
    """
    problem = batch.problem
    tile = {dim: _whole(batch.pe_tile(dim) * batch.lanes[dim]) for dim in Dim}
    tile[Dim.N], tile[Dim.Q] = _whole(batch.inner[Dim.N]), problem.bounds[Dim.Q]
    words = {data: _words(problem, data, tile) for data in DataType}
    window = _words(problem, DataType.IFMAP, tile | {Dim.Q: 1, Dim.N: 1})
    in_pe = prod(_whole(batch.pe_tile(dim)) for dim in (Dim.M, Dim.C, Dim.S))
    busy = max(
        in_pe * tile[Dim.Q] * tile[Dim.N],
        ceil(words[DataType.IFMAP] / _IFMAP_WORDS),
        ceil(words[DataType.PSUM] / _PSUM_WORDS),
    )
    return ceil(words[DataType.WEIGHT] / _FILTER_WORDS) + ceil(window / _IFMAP_WORDS) + busy


def _words(problem: Problem, data: DataType, tile: dict[Dim, int]) -> int:
    return _whole(tile_words(problem, data, [np.array([float(tile[dim])]) for dim in Dim]))


def _whole(value: ArrayLike) -> int:
    return int(np.ravel(value)[0])
