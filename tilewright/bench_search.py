"""Speed of the analytical model and its search on one core: `python -m tilewright.bench_search`.

Times are of the processor, not of the clock on the wall: other programs do not count.
"""

import os

# One thread, set before NumPy loads its linear algebra.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import numpy as np

from arch.architectures import ARCHITECTURES
from sim.analytical.cost import bits_needed, evaluate, needs
from sim.analytical.mapping import Batch
from sim.analytical.objective import Goal, Objective
from sim.analytical.problem import Dim, Problem
from sim.analytical.search import search
from tilewright.estimate import problems
from tilewright.networks.nodes import Role

_BATCH = 16_384
_ROUNDS = 20


def mappings_per_second(problem: Problem) -> float:
    """Mappings of random splits that are counted, priced and checked for fit per second."""
    rng = np.random.default_rng(1)
    bounds = np.array(problem.bounds)[:, None]
    outer = np.minimum(rng.integers(1, 5, (len(Dim), _BATCH)), bounds)
    inner = np.maximum(np.minimum(rng.integers(1, 9, outer.shape), bounds // outer), 1)
    lanes = np.minimum(rng.integers(1, 5, outer.shape), -(-bounds // (outer * inner)))
    architecture = ARCHITECTURES["eyeriss"]
    started = time.process_time()
    for _ in range(_ROUNDS):
        batch = Batch(
            problem=problem,
            outer=outer.astype(np.float64),
            inner=inner.astype(np.float64),
            lanes=lanes.astype(np.float64),
            outer_order=tuple(Dim),
            inner_order=tuple(Dim),
        )
        cost = evaluate(architecture, batch)
        _ = cost.energy, cost.cycles
        for storage, words in needs(architecture, batch):
            _ = bits_needed(architecture, words) <= 8 * storage.bytes
    return _ROUNDS * _BATCH / (time.process_time() - started)


def seconds_to_certificates(network: str, objective: Objective) -> tuple[int, float]:
    """Different convolutions of ``network``, and the seconds that proving their optima takes."""
    shapes = {
        (problem.bounds, problem.axes): problem
        for _, role, problem in problems(network, 1)
        if role is Role.CONVOLUTION
    }
    goal = Goal(objective=objective)
    started = time.process_time()
    for problem in shapes.values():
        if not search(ARCHITECTURES["eyeriss"], problem, goal=goal).optimal:
            raise AssertionError(f"{problem.name} must be optimal without a time limit")
    return len(shapes), time.process_time() - started


def main() -> None:
    """Measure and print."""
    (_, _, conv3), *_ = problems("alexnet", 1, ["conv3"])
    print(f"mappings evaluated per second: {mappings_per_second(conv3):,.0f}")
    for network, objective in (
        ("alexnet", Objective.ENERGY),
        ("resnet-50", Objective.ENERGY),
        ("alexnet", Objective.LATENCY),
        ("alexnet", Objective.EDP),
    ):
        layers, seconds = seconds_to_certificates(network, objective)
        print(
            f"{network}: {layers} different convolutions of least {objective} proven in "
            f"{seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
