"""The search for mappings as the command line takes it."""

from collections import Counter
from collections.abc import Iterable, Iterator
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

    @contextmanager
    def placing(self) -> "Iterator[MappingSearch | None]":
        """While a network is placed; says so on stderr, layer by layer if mappings are searched."""
        if self.objective is None:
            with working("placing the network"):
                yield None
            return
        # Imported where it is needed: it takes longer than starting up.
        from arch.energy import load_table
        from compiler.search import MappingSearch

        table = None if self.energy is None else load_table(self.energy)
        with working(f"searching for mappings of least {self.objective}") as tell:
            yield MappingSearch(
                Goal(objective=self.objective), energy=table, seconds=self.seconds, begin=tell
            )

    def notes(self, mappings: Iterable[str]) -> Iterator[str]:
        """How good the layers' ``mappings`` are, in a line, if they were searched for."""
        if self.objective is None:
            return
        found = Counter(mappings)
        layers, unsearched, optimal = found.total(), found[FORMULA], found["optimal"]
        limited = layers - unsearched - optimal
        yield (
            f"mappings of least {self.objective}: {optimal} of {layers} layers proven, each by "
            f"itself; {limited} stopped before; {unsearched} by the formula (a depthwise "
            "convolution in front, a window in parts, or input and output in one map)"
        )
