"""Closed-form counts against loops that are walked one by one, count for count."""

import os
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from arch.architecture import Architecture, Array, DataType, Storage
from arch.energy import TABLES
from arch.sparsity import Densities
from sim.analytical.counts import Counts, Level, count
from sim.analytical.mapping import Batch, Mapping
from sim.analytical.problem import Axis, Dim, Problem
from tests.support.loop_executor import Executor

CASES = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))
Counted = dict[tuple[str, str, str], int]


def random_problem(rng: np.random.Generator) -> Problem:
    """Mostly odd sizes, few enough multiply-accumulates to walk."""
    while True:
        bounds = tuple(int(rng.choice([1, 1, 2, 3, 4, 5, 7])) for _ in Dim)
        if prod(bounds) <= 600:
            break
    y, x = (
        Axis(output=output, kernel=kernel, stride=int(rng.choice([1, 1, 2, 3])), dilation=dilation)
        for output, kernel, dilation in (
            (Dim.P, Dim.R, int(rng.choice([1, 1, 2, 3]))),
            (Dim.Q, Dim.S, int(rng.choice([1, 1, 2]))),
        )
    )
    return Problem(name="random", bounds=bounds, axes=(y, x))


def random_mapping(rng: np.random.Generator, problem: Problem) -> Mapping:
    """Any split that leaves no tile empty, any orders."""
    outer, inner, lanes = [], [], []
    for bound in problem.bounds:
        outer.append(int(rng.integers(1, bound + 1)) if rng.random() < 0.5 else 1)
        most = bound // outer[-1]
        inner.append(int(rng.integers(1, most + 1)) if rng.random() < 0.7 else 1)
        largest = -(-bound // (outer[-1] * inner[-1]))
        lanes.append(min(int(rng.choice([1, 1, 2, 3, 4])), largest))
    orders = [tuple(Dim(int(dim)) for dim in rng.permutation(len(Dim))) for _ in range(2)]
    return Mapping(
        outer=tuple(outer),
        inner=tuple(inner),
        lanes=tuple(lanes),
        rows=tuple(lanes),
        cols=(1,) * len(lanes),
        outer_order=orders[0],
        inner_order=orders[1],
    )


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Each data type in a buffer or not, in scratchpads or not; sizes do not matter here."""

    def some(name: str) -> tuple[Storage, ...]:
        held = tuple(data for data in DataType if rng.random() < 0.6)
        return (Storage(name=name, bytes=1 << 20, holds=held),) if held else ()

    return Architecture(
        name="random",
        clock_mhz=1,
        memory_bytes_per_cycle=1,
        array=Array(rows=4096, cols=4096),
        buffers=some("buffer"),
        spads=some("spad"),
        energy=TABLES["eyeriss"],
    )


def flat(counts: Counts) -> Counted:
    """As the executor names them, without zeros."""
    found: Counted = {("cycles", "psum", "reads"): int(np.ravel(counts.compute_cycles)[0])}
    for (level, data), accesses in counts.accesses.items():
        found[level.value, data.value, "reads"] = int(np.ravel(accesses.reads)[0])
        found[level.value, data.value, "writes"] = int(np.ravel(accesses.writes)[0])
    for data, hops in counts.hops.items():
        found["hops", data.value, "reads"] = int(np.ravel(hops)[0])
    return {key: value for key, value in found.items() if value}


def check(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, architecture = random_problem(rng), random_architecture(rng)
    mapping = random_mapping(rng, problem)
    counted = flat(count(architecture, Batch.of(problem, mapping)))
    walked = dict(Executor(architecture, problem, mapping).run())
    replay = f"replay: check({seed}) of {__name__}"
    assert counted == walked, f"{problem}\n{mapping}\n{architecture.buffers}\n{replay}"


@pytest.mark.parametrize("seed", range(200))
def test_random_nests(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(20))
def test_gating_leaves_out_what_zeros_make_needless(seed: int) -> None:
    """Of four inputs three are zero: as many products, filter reads and sums are left out."""
    rng = np.random.default_rng(seed)
    problem, architecture = random_problem(rng), random_architecture(rng)
    mapping = random_mapping(rng, problem)
    gated = architecture.model_copy(update={"zero_gating": (DataType.WEIGHT, DataType.PSUM)})
    sparse = replace(problem, densities=Densities(ifmap=0.25))
    dense_counts = count(gated, Batch.of(problem, mapping))
    counts = count(gated, Batch.of(sparse, mapping))
    expected = count(architecture, Batch.of(problem, mapping))
    assert flat(dense_counts) == flat(expected)
    assert counts.operations == 0.25 * problem.macs
    left_out = 0.75 * problem.macs
    for (level, data), accesses in expected.accesses.items():
        spad = level is Level.SPAD
        reads = left_out if spad and data is not DataType.IFMAP else 0
        writes = left_out if spad and data is DataType.PSUM else 0
        found = counts.accesses[level, data]
        assert np.ravel(found.reads)[0] == np.ravel(accesses.reads)[0] - reads
        assert np.ravel(found.writes)[0] == np.ravel(accesses.writes)[0] - writes
    assert np.ravel(counts.compute_cycles)[0] == np.ravel(expected.compute_cycles)[0]


@pytest.mark.soak
def test_many_random_nests() -> None:
    for seed in range(1000, 1000 + CASES):
        check(seed)
