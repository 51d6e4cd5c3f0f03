"""What counts cost: energy by part, cycles by what bounds them, and whether tiles fit."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from arch.architecture import Architecture, DataType, Storage
from arch.errors import MappingError
from arch.sparsity import Tensor
from sim.analytical.counts import Accesses, Counts, Level, Number, count
from sim.analytical.mapping import Batch, Mapping
from sim.analytical.problem import RELEVANT, Dim, Problem
from sim.analytical.tiles import Whole

Floats = NDArray[np.float64]
Part = tuple[str, DataType | None]
"""A level's name, ``hops`` or ``mac``, and the data type (none for ``mac``)."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of each mapping of a batch.

    ``parts`` is energy in the table's unit; they sum to ``energy``. ``cycles`` is the longest of
    ``bounds``: loads, computation and stores overlap.
    """

    parts: dict[Part, Floats | float]
    bounds: dict[str, Floats]

    @property
    def energy(self) -> Floats:
        """Sum of the parts."""
        return np.asarray(sum(self.parts.values()))

    @property
    def cycles(self) -> Floats:
        """The longest of the bounds."""
        return reduce(np.maximum, self.bounds.values())


def evaluate(architecture: Architecture, batch: Batch) -> Cost:
    """Cost of every mapping in ``batch``, whether it fits or not."""
    return price(architecture, batch.problem, count(architecture, batch))


def price(architecture: Architecture, problem: Problem, counts: Counts) -> Cost:
    """Cost of ``counts``."""
    table, widths = architecture.energy, architecture.word_bits
    parts: dict[Part, Floats | float] = {
        ("mac", None): counts.operations * table.multiply(widths.ifmap, widths.weight)
    }
    moved: dict[str, Number] = {}
    for (level, data), accesses in counts.accesses.items():
        if level is Level.MEMORY:
            bits = _memory_bits(architecture, problem, data, accesses, counts.finished)
            parts[level.value, data] = table.scaled(table.memory, 1) * bits
            moved["memory"] = moved.get("memory", 0) + bits / 8
            continue
        storage = architecture.buffer_of(data) if level is Level.BUFFER else None
        storage = storage or architecture.spad_of(data)
        assert storage is not None  # counted only where it is held
        read, write = architecture.access(storage, data)
        parts[level.value, data] = accesses.reads * read + accesses.writes * write
        if level is Level.BUFFER:
            words = accesses.reads + accesses.writes
            moved[storage.name] = moved.get(storage.name, 0) + words * (widths.of(data) / 8)
    for data, hops in counts.hops.items():
        parts["hops", data] = hops * table.scaled(table.hop, widths.of(data))
    bounds = {"compute": np.asarray(counts.compute_cycles, np.float64)}
    bounds["memory"] = np.asarray(moved["memory"] / architecture.memory_bytes_per_cycle)
    for storage in architecture.buffers:
        if storage.bytes_per_cycle is not None:
            bounds[storage.name] = np.asarray(moved[storage.name] / storage.bytes_per_cycle)
    return Cost(parts=parts, bounds=bounds)


def _memory_bits(
    architecture: Architecture,
    problem: Problem,
    data: DataType,
    accesses: Accesses,
    finished: int,
) -> Number:
    """Bits that pass between memory and chip: finished outputs are as wide as inputs."""
    words, densities = accesses.reads + accesses.writes, problem.densities
    if data is DataType.IFMAP:
        return words * architecture.bits_moved(Tensor.IFMAP, densities)
    if data is DataType.WEIGHT:
        return words * architecture.bits_moved(Tensor.WEIGHT, densities)
    unfinished = (words - finished) * architecture.word_bits.psum
    return unfinished + finished * architecture.bits_moved(Tensor.OFMAP, densities)


def needs(
    architecture: Architecture, batch: Batch
) -> Iterator[tuple[Storage, dict[DataType, Whole]]]:
    """For each storage, the words of each data type that it must hold at once."""
    buffer_tile = [batch.buffer_tile(dim) for dim in Dim]
    pe_tile = [batch.pe_tile(dim) for dim in Dim]
    for storages, tile in ((architecture.buffers, buffer_tile), (architecture.spads, pe_tile)):
        for storage in storages:
            yield storage, {data: tile_words(batch.problem, data, tile) for data in storage.holds}


def tile_words(problem: Problem, data: DataType, tile: list[Whole]) -> Whole:
    """Words of ``data`` under tiles of these extents; for arrays of tiles at once."""
    if data is not DataType.IFMAP:
        return np.asarray(prod(tile[dim] for dim in sorted(RELEVANT[data])))
    words = tile[Dim.N] * tile[Dim.G] * tile[Dim.C]
    for axis in problem.axes:
        outputs, taps = tile[axis.output], tile[axis.kernel]
        output_lag, tap_lag = axis.lag
        shared = np.maximum(outputs - output_lag, 0) * np.maximum(taps - tap_lag, 0)
        words = words * (outputs * taps - shared)
    return np.asarray(words)


def bits_needed(architecture: Architecture, words: dict[DataType, Whole]) -> Whole:
    """Bits that ``words`` take."""
    return np.asarray(sum(each * architecture.word_bits.of(data) for data, each in words.items()))


def check(architecture: Architecture, problem: Problem, mapping: Mapping) -> None:
    """Raise ``MappingError`` for the first rule that ``mapping`` breaks."""
    for dim in Dim:
        factors = mapping.outer[dim], mapping.inner[dim], mapping.rows[dim], mapping.cols[dim]
        if min(factors) < 1 or factors[0] * factors[1] > problem.bounds[dim]:
            raise MappingError(
                f"{problem.name}: factors of {dim.name} must be at least 1 and make at most "
                f"{problem.bounds[dim]} tiles, got {factors}"
            )
        most = min(factors[2] * factors[3], -(-problem.bounds[dim] // (factors[0] * factors[1])))
        if not 1 <= mapping.lanes[dim] <= most:
            raise MappingError(
                f"{problem.name}: the PEs that share {dim.name} must be 1 to {most}, "
                f"got {mapping.lanes[dim]}"
            )
    for side, used, most in (
        ("rows", prod(mapping.rows), architecture.array.rows),
        ("columns", prod(mapping.cols), architecture.array.cols),
    ):
        if used > most:
            raise MappingError(
                f"{problem.name}: the mapping must use at most {most} PE {side}, got {used}"
            )
    for storage, words in needs(architecture, Batch.of(problem, mapping)):
        bits = int(bits_needed(architecture, words)[0])
        over = bits - 8 * storage.bytes
        if over > 0:
            listed = ", ".join(f"{int(each[0]):,} of {data}" for data, each in words.items())
            widest = max(architecture.word_bits.of(data) for data in words)
            raise MappingError(
                f"{problem.name}: the mapping does not fit {storage.name} of {architecture.name} "
                f"by {-(-over // widest):,} words: it needs {listed} in {storage.bytes:,} bytes"
            )
