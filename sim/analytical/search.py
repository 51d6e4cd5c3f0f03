"""Finds the mapping of least energy, cycles or energy-delay product, and proves it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arch.architecture import Architecture
from arch.errors import MappingError
from sim.analytical.choices import FREE, Dataflow
from sim.analytical.cost import evaluate
from sim.analytical.descent import CLOSE, Descent, OutOfTimeError, Progress
from sim.analytical.least_energy import EnergyDescent
from sim.analytical.mapping import Batch, Mapping
from sim.analytical.mapspace import Mapspace
from sim.analytical.objective import Goal
from sim.analytical.problem import Problem
from sim.analytical.timed import TimedDescent
from sim.analytical.timed_space import TimedSpace

LEAST_ENERGY = Goal()
"""Least energy, however long it takes."""

_SEEDS = 8
"""Pairs of loop orders that are first tried without care, for a mapping to beat."""
_SEED_WIDTH = 256
"""Partial choices that such a trial keeps."""


class NotInTimeError(MappingError):
    """No mapping was found in time; there may be one."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a search did: a certificate's small print.

    Of ``orders`` pairs of loop orders that can matter, ``searched`` were searched; no mapping of
    the others can be better. ``bounded`` partial choices were compared with the best mapping, and
    ``priced`` mappings priced exactly.
    """

    orders: int
    searched: int
    bounded: int
    priced: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best mapping found, and a lower bound of all mappings."""

    mapping: Mapping
    value: float
    bound: float
    effort: Effort

    @property
    def optimal(self) -> bool:
        """Whether no mapping of the space is better by more than 1e-9 of the value."""
        return self.bound >= self.value * (1 - CLOSE)

    @property
    def gap(self) -> float:
        """How far the value may lie above the optimum, as a part of the bound."""
        return 0.0 if self.optimal else self.value / self.bound - 1


def search(
    architecture: Architecture,
    problem: Problem,
    dataflow: Dataflow = FREE,
    goal: Goal = LEAST_ENERGY,
    *,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """The mapping that is best by ``goal`` among those that ``dataflow`` allows.

    Without a limit of ``seconds`` it is optimal; the first mappings to beat are found in any case,
    which may take longer. ``progress`` is told how many pairs of loop orders
    are done, and of how many. The result does not depend on the machine, unless time runs out.

    Raises:
        NotInTimeError: none was found in time.
        MappingError: no mapping fits.
    """
    started = time.monotonic()
    deadline = np.inf if seconds is None else started + seconds
    state = Progress()
    if not goal.energy_alone:
        # The mapping of least energy is one to beat.
        first = Progress()
        _descend(_descents(architecture, problem, dataflow, LEAST_ENERGY), first, deadline)
        state.bounded, state.priced = first.bounded, first.priced
        if first.mapping is not None:
            cost = evaluate(architecture, Batch.of(problem, first.mapping))
            value = float(goal.value(cost.energy, cost.cycles)[0])
            if value < np.inf:
                state.value, state.mapping = value, first.mapping
    all_ = _descents(architecture, problem, dataflow, goal)
    left, searched = _descend(all_, state, deadline, progress)
    if state.mapping is None and left:
        raise NotInTimeError(
            f"{problem.name}: no mapping{goal.limit_text} was found in {seconds} s; allow more time"
        )
    if state.mapping is None:
        raise MappingError(
            f"{problem.name}: no mapping of {dataflow.name} fits {architecture.name}"
            f"{goal.limit_text}; enlarge its buffers or scratchpads"
        )
    return Found(
        mapping=state.mapping,
        value=state.value,
        bound=min([state.value, *(descent.least for descent in left)]),
        effort=Effort(
            orders=len(all_),
            searched=searched,
            bounded=state.bounded,
            priced=state.priced,
            seconds=time.monotonic() - started,
        ),
    )


def _descents(
    architecture: Architecture, problem: Problem, dataflow: Dataflow, goal: Goal
) -> list[Descent]:
    """Searches of all patterns, the most promising first."""
    descents: list[Descent]
    if goal.energy_alone:
        space = Mapspace(architecture, problem, dataflow, goal)
        descents = [EnergyDescent(space, pattern) for pattern in space.patterns()]
    else:
        timed = TimedSpace(architecture, problem, dataflow, goal)
        descents = [TimedDescent(timed, pattern) for pattern in timed.patterns()]
    return sorted(descents, key=lambda each: each.least)


def _descend(
    descents: Sequence[Descent],
    state: Progress,
    deadline: float,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Descent], int]:
    """Search ``descents``, or until the deadline: those that are left, and how many had to be
    searched."""
    left = list(descents)
    searched = 0
    for descent in descents[:_SEEDS]:
        descent.run(state, _SEED_WIDTH)
    state.deadline = deadline
    try:
        while left:
            if left[0].least < state.limit:
                if progress is not None:
                    progress(len(descents) - len(left), len(descents))
                left[0].run(state)
                searched += 1
            left.pop(0)
    except OutOfTimeError:
        pass
    return left, searched
