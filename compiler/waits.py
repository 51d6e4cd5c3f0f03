"""Order between engines, derived from what each command reads and writes.

Two commands of different engines that touch the same bytes, at least one of them writing, must run
in program order; so must two that read (or two that write) through the same port of a bank. The
later one then waits for the earlier one's engine to have completed it. Commands of one engine run
in order anyway.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from arch.commands import COUNT_BITS, Command, Engine
from arch.config import AcceleratorConfig

_PAGE = 1 << 14

_HORIZON = 1 << COUNT_BITS - 2
"""A wait never reaches further back than this, so that 16-bit counts compare rightly."""


class Region(NamedTuple):
    """Bytes (or entries) ``start`` ... ``stop`` - 1 of a storage."""

    storage: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command without its waits, and what it reads and writes."""

    engine: Engine
    values: dict[str, int]
    reads: tuple[Region, ...]
    writes: tuple[Region, ...]
    layer: int


class _Access(NamedTuple):
    """Bytes (or entries, or banks) touched; of two accesses that overlap, one being exclusive
    demands an order."""

    start: int
    stop: int
    exclusive: bool


_History = dict[_Access, int]
"""One engine's accesses to one storage and the number of the last command that made each, in the
order of these numbers."""

_Clock = list[int]
"""By engine, how many of its commands are complete."""


def add_waits(steps: Iterable[Step], config: AcceleratorConfig) -> list[Command]:
    """The commands of ``steps`` with their waits filled in."""
    order = _Order(config)
    return [Command(step.engine, {**order.waits(step), **step.values}) for step in steps]


class _Order:
    """Follows a program, and keeps what each engine knows of the others.

    A command that waits for another knows all that the other one knew: neither is looked for again.
    An engine's waits never fall, since its commands run in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        engines = range(max(Engine) + 1)
        self._issued: _Clock = [0 for _ in engines]
        self._waits: list[_Clock] = [[0 for _ in engines] for _ in engines]
        self._known: list[_Clock] = [[0 for _ in engines] for _ in engines]
        # Of each command of each engine, numbered from 1: what is complete when it is.
        self._after: list[list[_Clock]] = [[[]] for _ in engines]
        self._storages: dict[str | int, dict[int, _History]] = defaultdict(dict)

    def waits(self, step: Step) -> dict[str, int]:
        """The wait fields of ``step``, which is the program's next."""
        own = int(step.engine)
        number = self._issued[own] = self._issued[own] + 1
        accesses = list(_accesses(step, self._config))
        for storage, access in accesses:
            for engine, history in self._storages[storage].items():
                if engine != own:
                    self._order(own, engine, access, history)
        for storage, access in accesses:
            history = self._storages[storage].setdefault(own, {})
            # Removed first, so that the newest stays last.
            history.pop(access, None)
            history[access] = number
        after = self._known[own].copy()
        after[own] = number
        self._after[own].append(after)
        waits = self._waits[own]
        for engine in Engine:
            waits[engine] = max(waits[engine], self._issued[engine] - _HORIZON)
        waits[own] = number - 1
        return {field: waits[engine] % (1 << COUNT_BITS) for engine, field in _FIELDS}

    def _order(self, own: int, other: int, new: _Access, history: _History) -> None:
        """Let ``own`` wait for the last of the ``other`` engine's accesses that ``new`` meets."""
        known = self._known[own]
        start, stop, exclusive = new
        for old, number in reversed(history.items()):
            if number <= known[other]:
                return
            if old[0] < stop and start < old[1] and (exclusive or old[2]):
                self._waits[own][other] = number
                self._known[own] = list(map(max, known, self._after[other][number]))
                return


_FIELDS = [(int(engine), f"wait_{engine.name.lower()}") for engine in Engine]


def _accesses(step: Step, config: AcceleratorConfig) -> Iterator[tuple[str | int, _Access]]:
    """The storages that ``step`` touches: by name, pages of memory by number."""
    for regions, writes in ((step.reads, False), (step.writes, True)):
        for storage, start, stop in regions:
            access = _Access(start, stop, writes)
            if storage == "memory":
                # In pages, so that a command meets few others.
                for page in range(start // _PAGE, (stop - 1) // _PAGE + 1):
                    yield page, access
                continue
            yield storage, access
            if storage == "activation":
                bank = config.activation_bank_bytes
                port = "write port" if writes else "read port"
                yield port, _Access(start // bank, (stop - 1) // bank + 1, exclusive=True)
