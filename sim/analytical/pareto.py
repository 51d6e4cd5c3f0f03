"""The trade-off between energy and cycles, each point proven."""

from dataclasses import dataclass

from arch.architecture import Architecture
from arch.errors import MappingError
from sim.analytical.choices import FREE, Dataflow
from sim.analytical.cost import evaluate
from sim.analytical.descent import CLOSE
from sim.analytical.mapping import Batch
from sim.analytical.objective import Goal
from sim.analytical.problem import Problem
from sim.analytical.search import Found, NotInTimeError, search


@dataclass(frozen=True, kw_only=True)
class Point:
    """A mapping of the trade-off between energy and cycles."""

    found: Found
    energy: float
    cycles: float


@dataclass(frozen=True, kw_only=True)
class Front:
    """Mappings of falling cycles and rising energy.

    ``complete``: no mapping is faster than the last one by the part that was asked for. Else time
    ran out before one was found.
    """

    points: tuple[Point, ...]
    complete: bool


def pareto(
    architecture: Architecture,
    problem: Problem,
    dataflow: Dataflow = FREE,
    *,
    step: float = 0.05,
    seconds: float | None = None,
) -> Front:
    """Mappings of least energy at falling limits of cycles, until there are none faster.

    Each is the best at its limit, by proof unless its search took more than ``seconds``; the next
    must be faster by the part ``step``. With a step of 0 it is the whole Pareto set. Raises
    ``MappingError`` if nothing fits.
    """
    found = search(architecture, problem, dataflow, seconds=seconds)
    points = [_point(architecture, problem, found)]
    while True:
        goal = Goal(most_cycles=points[-1].cycles * (1 - max(step, CLOSE)))
        try:
            found = search(architecture, problem, dataflow, goal, seconds=seconds)
        except MappingError as error:
            complete = not isinstance(error, NotInTimeError)
            return Front(points=tuple(points), complete=complete)
        point = _point(architecture, problem, found)
        # As little energy in less time: the points before are none of the set.
        while points and point.energy <= points[-1].energy * (1 + CLOSE):
            points.pop()
        points.append(point)


def _point(architecture: Architecture, problem: Problem, found: Found) -> Point:
    cost = evaluate(architecture, Batch.of(problem, found.mapping))
    return Point(found=found, energy=float(cost.energy[0]), cycles=float(cost.cycles[0]))
