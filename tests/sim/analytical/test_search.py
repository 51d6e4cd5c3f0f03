"""The search against every mapping of small spaces, and against published optima."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product
from math import prod
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

from arch.architecture import Architecture, Array, DataType, Storage
from arch.architectures import ARCHITECTURES
from arch.energy import TABLES
from arch.errors import MappingError
from arch.layers import ConvShape, FeatureMap, Window
from sim.analytical.choices import FREE, pe_dims
from sim.analytical.cost import Cost, bits_needed, check, evaluate, needs
from sim.analytical.mapping import Batch, Order
from sim.analytical.objective import Goal, Objective
from sim.analytical.pareto import pareto
from sim.analytical.problem import Axis, Dim, Problem
from sim.analytical.search import NotInTimeError, search
from tilewright.estimate import problems

CASES = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "200"))


def random_problem(rng: np.random.Generator) -> Problem:
    """Few loops that move, each of two to four iterations."""
    while True:
        moving = rng.permutation(len(Dim))[:4]
        bounds = [1] * len(Dim)
        for dim in moving:
            bounds[dim] = int(rng.choice([2, 3, 3, 4]))
        if prod(bounds) <= 81:
            break
    y, x = (
        Axis(output=output, kernel=kernel, stride=int(rng.choice([1, 1, 2])), dilation=dilation)
        for output, kernel, dilation in (
            (Dim.P, Dim.R, int(rng.choice([1, 1, 2]))),
            (Dim.Q, Dim.S, 1),
        )
    )
    return Problem(name="small", bounds=tuple(bounds), axes=(y, x))


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Tight storages, energies of any kind, a small array."""

    def some(name: str, least: int, most: int) -> tuple[Storage, ...]:
        held = [data for data in DataType if rng.random() < 0.75]
        if not held:
            return ()
        shared = rng.random() < 0.5
        groups = [tuple(held)] if shared else [(data,) for data in held]
        return tuple(
            Storage(
                name=f"{name}{index}",
                bytes=2 * len(group) * int(rng.integers(least, most)),
                holds=group,
                read=float(rng.integers(1, 9)),
                write=float(rng.integers(1, 9)),
            )
            for index, group in enumerate(groups)
        )

    table = TABLES["eyeriss"].model_copy(
        update={"hop": float(rng.integers(0, 3)), "memory": float(rng.integers(1, 30))}
    )
    return Architecture(
        name="small",
        clock_mhz=1,
        memory_bytes_per_cycle=float(rng.choice([1, 4, 16])),
        array=Array(rows=int(rng.integers(1, 4)), cols=int(rng.integers(1, 5))),
        buffers=some("buffer", 3, 40),
        spads=some("spad", 1, 8),
        energy=table,
    )


def random_goal(rng: np.random.Generator, problem: Problem) -> Goal:
    """Energy alone half the time; some limits that few mappings keep, or none."""
    if rng.random() < 0.5:
        return Goal()
    limit = float(rng.integers(1, problem.macs + 1)) if rng.random() < 0.5 else np.inf
    return Goal(objective=list(Objective)[rng.integers(0, 3)], most_cycles=limit)


def factors(architecture: Architecture, problem: Problem) -> NDArray[np.int64]:
    """Every (outer, inner, lanes) of every dimension that fits: [mapping, dimension, factor]."""
    in_pe = pe_dims(architecture, FREE)
    options = []
    for dim, bound in zip(Dim, problem.bounds, strict=True):
        found = []
        for outer in range(1, bound + 1):
            for inner in range(1, bound // outer + 1):
                largest = -(-bound // (outer * inner))
                for lanes in range(1, min(largest, architecture.array.pes) + 1):
                    fewest = lanes == 1 or -(-largest // lanes) < -(-largest // (lanes - 1))
                    if fewest and (lanes == largest or dim in in_pe):
                        found.append((outer, inner, lanes))
        options.append(found)
    return np.array(
        [
            each
            for each in product(*options)
            if prod(lanes for _, _, lanes in each) <= architecture.array.pes
        ]
    )


def placeable(array: Array, lanes: tuple[int, ...]) -> bool:
    """Whether ``lanes`` fit the array, by trying."""
    if not lanes:
        return True
    first, rest = lanes[0], lanes[1:]
    return any(
        rows <= array.rows
        and -(-first // rows) <= array.cols
        and placeable(Array(rows=array.rows // rows, cols=array.cols // -(-first // rows)), rest)
        for rows in range(1, min(first, array.rows) + 1)
        if -(-first // rows) <= array.cols
    )


def exhaustive(architecture: Architecture, problem: Problem, goal: Goal) -> float:
    """Best value of all mappings that fit."""
    costs = every_cost(architecture, problem)
    values = (goal.value(cost.energy, cost.cycles).min() for cost in costs)
    return float(min(values, default=np.inf))


def every_cost(architecture: Architecture, problem: Problem) -> Iterator[Cost]:
    """Costs of all mappings that fit, with every order of the loops that can move."""
    every = factors(architecture, problem)
    fits = [placeable(architecture.array, tuple(map(int, each[:, 2]))) for each in every]
    every = every[np.array(fits, bool)].transpose(2, 1, 0).astype(np.float64)
    moving = [dim for dim in Dim if problem.bounds[dim] > 1]
    still: Order = tuple(dim for dim in Dim if problem.bounds[dim] == 1)
    fitting = None
    for outer_order, inner_order in product(permutations(moving), repeat=2):
        batch = Batch(
            problem=problem,
            outer=every[0],
            inner=every[1],
            lanes=every[2],
            outer_order=still + outer_order,
            inner_order=still + inner_order,
        )
        if fitting is None:
            fitting = np.ones(every.shape[2], bool)
            for storage, words in needs(architecture, batch):
                fitting &= bits_needed(architecture, words) <= 8 * storage.bytes
            every = every[:, :, fitting]
            if not fitting.any():
                return
            batch = replace(batch, outer=every[0], inner=every[1], lanes=every[2])
        yield evaluate(architecture, batch)


def front(architecture: Architecture, problem: Problem) -> list[tuple[float, float]]:
    """All (energy, cycles) that no mapping betters in one and equals in the other."""
    points: set[tuple[float, float]] = set()
    for cost in every_cost(architecture, problem):
        energy, cycles = np.broadcast_arrays(cost.energy, cost.cycles)
        points |= set(zip(energy.round(6).tolist(), cycles.round(6).tolist(), strict=True))
    best: list[tuple[float, float]] = []
    for point in sorted(points):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best


@pytest.mark.parametrize("seed", [6, 23, 24, 31])
def test_the_whole_trade_off(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, architecture = random_problem(rng), random_architecture(rng)
    whole = pareto(architecture, problem, step=0)
    found = [(point.energy, point.cycles) for point in whole.points]
    assert whole.complete
    assert all(point.found.optimal for point in whole.points)
    expected = front(architecture, problem)
    assert len(expected) > 1
    assert found == [pytest.approx(point) for point in expected]


def check_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, architecture = random_problem(rng), random_architecture(rng)
    goal = random_goal(rng, problem)
    replay = f"replay: check_optimal({seed}) of {__name__}"
    least = exhaustive(architecture, problem, goal)
    if least == np.inf:
        with pytest.raises(MappingError):
            search(architecture, problem, goal=goal)
        return
    found = search(architecture, problem, goal=goal)
    check(architecture, problem, found.mapping)
    assert found.optimal
    assert found.value == pytest.approx(least, rel=1e-9), f"{problem}\n{architecture}\n{replay}"


# 1148: the best mapping moves no loop within a buffer tile, and slides in the PEs all the same.
@pytest.mark.parametrize("seed", [*range(12), 1148])
def test_no_mapping_is_better(seed: int) -> None:
    check_optimal(seed)


@pytest.mark.soak
def test_no_mapping_is_better_in_many_spaces() -> None:
    for seed in range(1000, 1000 + CASES):
        check_optimal(seed)


def test_energies_under_which_more_traffic_costs_less_are_refused() -> None:
    chip = ARCHITECTURES["eyeriss"]
    dear = chip.model_copy(update={"energy": chip.energy.model_copy(update={"hop": 14.0})})
    problem = Problem.matmul("product", 4, 4, 4)
    with pytest.raises(MappingError) as caught:
        search(dear, problem)
    assert str(caught.value) == (
        "eyeriss: a hop must cost at most what a sum's way to the storage above and back costs, "
        "and with forwards at least what it costs to the scratchpad, got 14"
    )


def test_without_time_there_may_be_a_mapping_that_was_not_found() -> None:
    """The fastest one takes more than a first trial; a limit of no time leaves it at that."""
    (_, _, conv3), *_ = problems("alexnet", 1, ["conv3"])
    fastest = Goal(most_cycles=900_432)
    with pytest.raises(NotInTimeError) as caught:
        search(ARCHITECTURES["eyeriss"], conv3, goal=fastest, seconds=0)
    assert str(caught.value) == (
        "conv3: no mapping in 900,432 cycles was found in 0 s; allow more time"
    )
    front = pareto(ARCHITECTURES["eyeriss"], conv3, step=0.14, seconds=0)
    assert not front.complete


def test_a_time_limit_says_how_far_the_result_may_be_from_the_best() -> None:
    shape = ConvShape(
        ifmap=FeatureMap(height=56, width=56, channels=64),
        out_channels=64,
        window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
    )
    problem = Problem.conv("large", shape)
    done: list[tuple[int, int]] = []

    class Clock:
        """A second for each look at it: the same on every machine."""

        now = 0.0

        def monotonic(self) -> float:
            self.now += 1
            return self.now

    with (
        patch("sim.analytical.descent.time", Clock()),
        patch("sim.analytical.search.time", Clock()),
    ):
        found = search(
            ARCHITECTURES["eyeriss"], problem, seconds=400, progress=lambda *at: done.append(at)
        )
    assert not found.optimal
    assert 0 < found.gap < 1
    assert found.bound < found.value
    assert done[0] == (0, found.effort.orders)
    assert found.effort.searched < found.effort.orders
