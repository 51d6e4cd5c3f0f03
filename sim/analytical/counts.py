"""How often each storage is read and written under a mapping, in closed form.

The rules that are counted are those of docs/analytical.md; the brute-force executor in
tests/support/loop_executor.py counts the same by walking the loops.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture, DataType
from sim.analytical.mapping import Batch
from sim.analytical.problem import RELEVANT, Axis, Dim, Problem
from sim.analytical.tiles import Whole, ceil_div, common, excess, filled, first_filled, steps

Flags = NDArray[np.bool_]
Number = Whole | float


class Level(StrEnum):
    """Where words are stored."""

    MEMORY = "memory"
    BUFFER = "buffer"
    SPAD = "spad"


@dataclass(frozen=True, kw_only=True)
class Accesses:
    """Words read and written, one number for each mapping."""

    reads: Number = 0
    writes: Number = 0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a batch of mappings costs in accesses and steps.

    ``hops`` are words delivered to PEs or added from PE to PE. ``operations`` are the
    multiply-accumulates that no zero gates. ``finished`` of the memory's psum writes are outputs,
    the others come back. With zero gating, numbers are expected ones.
    """

    accesses: dict[tuple[Level, DataType], Accesses]
    hops: dict[DataType, Number]
    operations: float
    finished: int
    compute_cycles: Number


@dataclass(kw_only=True)
class _Run:
    """Which loops above a storage make its content change, walked from the innermost outwards.

    ``fresh`` holds until a loop was met that chooses another tile; irrelevant loops before that
    reuse the tile, irrelevant loops after that repeat all that lies within them.
    """

    data: DataType
    fresh: Flags | bool = True
    repeats: dict[Dim, Flags | bool] = field(default_factory=dict)
    slides: dict[Dim, Flags | bool] = field(default_factory=dict)

    def walk(self, batch: Batch, trips: Whole, order: tuple[Dim, ...]) -> None:
        """Meet the loops of one level."""
        for dim in reversed(order):
            if batch.problem.bounds[dim] == 1:
                continue
            moves = trips[dim] > 1
            if dim not in RELEVANT[self.data]:
                self.repeats[dim] = np.logical_not(self.fresh)
            else:
                self.slides[dim] = self.fresh & moves
                self.fresh = self.fresh & ~moves


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Words of one data type that pass between levels, one number for each mapping.

    Inputs and weights pass downwards; of sums, as many pass upwards as ``sent`` and ``filled`` say,
    and all but the first visit's come down again.
    """

    filled: Number = 0
    """Between memory and a buffer; 0 if no buffer holds the type."""
    sent: Number = 0
    """Between the storage above and the array, a word for all PEs that share it counted once."""
    delivered: Number = 0
    """The same, counted once for each PE."""


def count(architecture: Architecture, batch: Batch) -> Counts:
    """Accesses and compute cycles of every mapping in ``batch``."""
    traffic = {data: _traffic(architecture, batch, data) for data in DataType}
    cycles = _product(_steps(batch, dim) for dim in Dim)
    return accesses_of(architecture, batch.problem, traffic, cycles)


def accesses_of(
    architecture: Architecture,
    problem: Problem,
    traffic: dict[DataType, Traffic],
    compute_cycles: Number,
) -> Counts:
    """What ``traffic`` means in accesses."""
    accesses: dict[tuple[Level, DataType], Accesses] = {}
    hops: dict[DataType, Number] = {}
    for data, moved in traffic.items():
        if data is DataType.PSUM:
            found = _psum_accesses(architecture, problem, moved)
            hops[data] = moved.delivered - moved.sent
        else:
            found = _operand_accesses(architecture, problem, data, moved)
            hops[data] = moved.delivered
        accesses |= {(level, data): each for level, each in found.items()}
    return Counts(
        accesses=accesses,
        hops=hops,
        operations=problem.macs * (problem.densities.ifmap if architecture.zero_gating else 1),
        finished=problem.words(DataType.PSUM),
        compute_cycles=compute_cycles,
    )


def _operand_accesses(
    architecture: Architecture, problem: Problem, data: DataType, moved: Traffic
) -> dict[Level, Accesses]:
    stored = 0 if architecture.forwards else 1
    found = {Level.MEMORY: Accesses(reads=moved.sent)}
    if architecture.buffer_of(data) is not None:
        found[Level.MEMORY] = Accesses(reads=moved.filled)
        found[Level.BUFFER] = Accesses(reads=moved.sent, writes=stored * moved.filled)
    if architecture.spad_of(data) is not None:
        reads = problem.macs * _ungated(architecture, problem, data)
        found[Level.SPAD] = Accesses(reads=reads, writes=stored * moved.delivered)
    return found


def _psum_accesses(
    architecture: Architecture, problem: Problem, moved: Traffic
) -> dict[Level, Accesses]:
    """Every visit leaves a sum, every visit but the first takes up what the one before it left."""
    outputs = problem.words(DataType.PSUM)
    resumed, refilled = moved.sent - outputs, moved.filled - outputs
    found = {Level.MEMORY: Accesses(reads=resumed, writes=moved.sent)}
    buffered = architecture.buffer_of(DataType.PSUM) is not None
    kept = architecture.spad_of(DataType.PSUM) is not None
    ungated = _ungated(architecture, problem, DataType.PSUM)
    if buffered:
        found[Level.MEMORY] = Accesses(reads=refilled, writes=moved.filled)
    if architecture.forwards:
        # The first sum of a visit comes from outside, the last one goes there.
        if buffered:
            within = moved.sent - moved.filled
            found[Level.BUFFER] = Accesses(reads=within, writes=within)
        if kept:
            within = (problem.macs - moved.delivered) * ungated
            found[Level.SPAD] = Accesses(reads=within, writes=within)
        return found
    if buffered:
        found[Level.BUFFER] = Accesses(reads=resumed + moved.filled, writes=moved.sent + refilled)
    if kept:
        added = problem.macs * ungated
        found[Level.SPAD] = Accesses(reads=added + moved.delivered, writes=added + resumed)
    return found


def _ungated(architecture: Architecture, problem: Problem, data: DataType) -> float:
    """Part of the multiply-accumulates that access the scratchpads of ``data``."""
    return problem.densities.ifmap if data in architecture.zero_gating else 1


def _traffic(architecture: Architecture, batch: Batch, data: DataType) -> Traffic:
    fills = 0 if architecture.buffer_of(data) is None else _buffer_fills(batch, data)
    if architecture.spad_of(data) is None:
        return Traffic(filled=fills, sent=_streamed(batch, data), delivered=batch.problem.macs)
    sent, delivered = _array_traffic(batch, data)
    return Traffic(filled=fills, sent=sent, delivered=delivered)


def _buffer_fills(batch: Batch, data: DataType) -> Number:
    """Words of ``data`` that pass between memory and a buffer, one way."""
    run = _Run(data=data)
    run.walk(batch, batch.outer, batch.outer_order)
    repeats = _product(np.where(again, batch.outer[dim], 1) for dim, again in run.repeats.items())
    if data is not DataType.IFMAP:
        return batch.problem.words(data) * repeats
    ones = np.ones_like(batch.outer[0])
    rows, cols = (
        _loaded(
            batch.problem,
            axis,
            (batch.outer[axis.output], batch.outer[axis.kernel]),
            {dim: (moves, ones, batch.outer[dim]) for dim, moves in run.slides.items()},
        )
        for axis in batch.problem.axes
    )
    return _channels(batch.problem) * rows * cols * repeats


def _array_traffic(batch: Batch, data: DataType) -> tuple[Number, Number]:
    """Words of ``data`` that pass between PEs that keep them and the storage above.

    The first counts a word once for all PEs that get it together, the second once for each.
    """
    bounds = batch.problem.bounds
    run = _Run(data=data)
    run.walk(batch, batch.inner, batch.inner_order)
    inner, inner_slides = run.repeats, run.slides
    run.repeats, run.slides = {}, {}
    run.walk(batch, batch.outer, batch.outer_order)
    sent: list[Number] = []
    copies: list[Number] = []
    for dim, again in inner.items():
        outer, lanes = batch.outer[dim], batch.lanes[dim]
        beyond = np.where(run.repeats[dim], outer, 1)
        sent.append(np.where(again, batch.tiles[dim], beyond))
        once = np.minimum(lanes, ceil_div(bounds[dim], batch.tiles[dim]))
        some = first_filled(bounds[dim], outer, batch.inner[dim], lanes)
        copies.append(
            np.where(
                again,
                filled(bounds[dim], batch.tiles[dim], lanes),
                np.where(run.repeats[dim], some, once),
            )
        )
    if data is not DataType.IFMAP:
        words = batch.problem.words(data)
        return words * _product(sent), words * _product(copies)
    ones = np.ones_like(batch.outer[0])
    for axis in batch.problem.axes:
        output, kernel = axis.output, axis.kernel
        unspread = (batch.lanes[output] == 1) & (batch.lanes[kernel] == 1)
        slides: dict[Dim, list[tuple[Flags | bool, Whole, Whole]]] = {output: [], kernel: []}
        for dim in (output, kernel):
            if dim in inner_slides:
                slides[dim].append(
                    (inner_slides[dim] & unspread, batch.outer[dim], batch.inner[dim])
                )
                slides[dim].append((run.slides[dim] & unspread, ones, batch.outer[dim]))
        tiles = batch.tiles[output], batch.tiles[kernel]
        parts = tiles[0] * batch.lanes[output], tiles[1] * batch.lanes[kernel]
        sent.append(_loaded_by(batch.problem, axis, tiles, slides))
        copies.append(_loaded_by(batch.problem, axis, parts, slides))
    channels = _channels(batch.problem)
    return channels * _product(sent), channels * _product(copies)


def _streamed(batch: Batch, data: DataType) -> Number:
    """Words of ``data`` that pass between PEs that keep none of them and the storage above.

    In every step, a word is sent once to all PEs that use it.
    """
    bounds = batch.problem.bounds
    irrelevant = set(Dim) - RELEVANT[data]
    repeats = _product(_steps(batch, dim) for dim in irrelevant)
    if data is not DataType.IFMAP:
        return batch.problem.words(data) * repeats
    for axis in batch.problem.axes:
        output, kernel = axis.output, axis.kernel
        single = (batch.pe_tile(output) == 1) & (batch.pe_tile(kernel) == 1)
        tiles = batch.tiles[output], batch.tiles[kernel]
        alone = bounds[output] * bounds[kernel]
        repeats = repeats * np.where(single, _loaded_by(batch.problem, axis, tiles, {}), alone)
    return _channels(batch.problem) * repeats


def _loaded(
    problem: Problem,
    axis: Axis,
    tiles: tuple[Whole, Whole],
    slides: dict[Dim, tuple[Flags | bool, Whole, Whole]],
) -> Number:
    listed = {dim: [slides[dim]] for dim in (axis.output, axis.kernel) if dim in slides}
    return _loaded_by(problem, axis, tiles, listed)


def _loaded_by(
    problem: Problem,
    axis: Axis,
    tiles: tuple[Whole, Whole],
    slides: dict[Dim, list[tuple[Flags | bool, Whole, Whole]]],
) -> Number:
    """Input positions on ``axis`` over all pairs of an output tile and a kernel tile.

    Where a loop slides, what neighbouring tiles have in common is not loaded again; ``slides``
    gives for it: where it does, the number of runs, and of tiles in each.
    """
    spare: list[Number] = []
    for dim, parts, lag in zip((axis.output, axis.kernel), tiles, axis.lag, strict=True):
        bound = problem.bounds[dim]
        beyond: Number = excess(bound, parts, lag)
        for moves, runs, length in slides.get(dim, ()):
            beyond = beyond + np.where(moves, common(bound, runs, length, lag), 0)
        spare.append(beyond)
    return problem.bounds[axis.output] * problem.bounds[axis.kernel] - spare[0] * spare[1]


def _channels(problem: Problem) -> int:
    return problem.bounds[Dim.N] * problem.bounds[Dim.G] * problem.bounds[Dim.C]


def _steps(batch: Batch, dim: Dim) -> Number:
    """Steps that the array takes along ``dim``."""
    bound = batch.problem.bounds[dim]
    return 1 if bound == 1 else steps(bound, batch.tiles[dim], batch.lanes[dim])


def _product(factors: Iterable[Number]) -> Number:
    product: Number = 1
    for factor in factors:
        product = product * factor
    return product
