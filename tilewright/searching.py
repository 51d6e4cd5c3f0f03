"""The search for mappings as the command line takes it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arch.errors import InputError
from compiler.program import FORMULA
from sim.analytical.objective import Goal, Objective
from tilewright.progress import working

if TYPE_CHECKING:
    from compiler.search import MappingSearch


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What mappings are searched for, and with which energies and limits; without ``objective``
    they are not.

    Raises ``InputError`` for ``energy`` or ``seconds`` without ``objective``.
    """

    objective: Objective | None
    energy: str | None
    seconds: float | None

    def __post_init__(self) -> None:
        given = {"--energy": self.energy, "--seconds": self.seconds}
        for option, value in given.items():
            if self.objective is None and value is not None:
                raise InputError(
                    f"{option} must go with --objective, got {value} without it; say what mappings "
                    "are searched for"
                )

    def search(self, tell: Callable[[str], None]) -> "MappingSearch | None":
        """The search, if there is one; ``tell`` hears the name of each layer that it begins."""
        if self.objective is None:
            return None
        # Imported where it is needed: it takes longer than starting up.
        from arch.energy import load_table
        from compiler.search import MappingSearch

        goal = Goal(objective=self.objective)
        table = None if self.energy is None else load_table(self.energy)
        return MappingSearch(goal, energy=table, seconds=self.seconds, begin=tell)

    @contextmanager
    def searching(self) -> "Iterator[MappingSearch | None]":
        """The same; says on stderr that it is under way."""
        if self.objective is None:
            yield None
            return
        with working(f"searching for mappings of least {self.objective}") as tell:
            yield self.search(tell)

    def notes(self, mappings: Iterable[str]) -> Iterator[str]:
        """How good the layers' ``mappings`` are, in a line, if they were searched for."""
        if self.objective is None:
            return
        found = Counter(mappings)
        layers, unsearched, optimal = found.total(), found[FORMULA], found["optimal"]
        limited = layers - unsearched - optimal
        parts = [f"{optimal} of {layers} layers proven, each by itself"]
        if limited:
            parts.append(f"{limited} stopped before")
        if unsearched:
            parts.append(
                f"{unsearched} by the formula (a depthwise convolution in front, a window in "
                "parts, or input and output in one map)"
            )
        yield f"mappings of least {self.objective}: {'; '.join(parts)}"
