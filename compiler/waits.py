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

_COUNTS = 1 << COUNT_BITS

_HORIZON = _COUNTS // 4
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


_Access = tuple[int, int, bool]
"""First byte (or entry, or bank), the one after the last, and whether it is exclusive: two accesses
that overlap must be ordered if one of them is."""

_Clock = list[int]
"""Numbers of commands by engine; those of each engine count from 1."""

_ENGINES = range(max(Engine) + 1)
_FIELDS = [(int(engine), f"wait_{engine.name.lower()}") for engine in Engine]


def add_waits(steps: Iterable[Step], config: AcceleratorConfig) -> list[Command]:
    """The commands of ``steps`` with their waits filled in."""
    order = _Order(config)
    return [Command(step.engine, order.waits(step) | step.values) for step in steps]


class _Storage:
    """Who touched one storage when."""

    def __init__(self) -> None:
        self.newest: _Clock = [0 for _ in _ENGINES]
        """The last command that touched it."""
        self._histories: list[dict[_Access, int]] = [{} for _ in _ENGINES]

    def add(self, engine: int, access: _Access, number: int) -> None:
        """Note what command ``number`` of ``engine`` does."""
        history = self._histories[engine]
        # Removed first, so that the newest stays last.
        history.pop(access, None)
        history[access] = self.newest[engine] = number

    def last_conflict(self, engine: int, new: _Access, known: int) -> int:
        """The last command of ``engine`` after ``known`` that must be done before ``new``, or 0."""
        start, stop, exclusive = new
        for old, number in reversed(self._histories[engine].items()):
            if number <= known:
                return 0
            if old[0] < stop and start < old[1] and (exclusive or old[2]):
                return number
        return 0


class _Order:
    """Follows a program, and keeps what each engine knows to be done when it starts a command.

    A command that waits for another knows all that the other one knew, and that is not looked for
    again. An engine's waits never fall, since it takes its commands in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._bank_bytes = config.activation_bank_bytes
        self._issued: _Clock = [0 for _ in _ENGINES]
        self._waits: list[_Clock] = [[0 for _ in _ENGINES] for _ in _ENGINES]
        self._known: list[_Clock] = [[0 for _ in _ENGINES] for _ in _ENGINES]
        # Of each command of each engine: what is known once it is done.
        self._after: list[list[_Clock]] = [[[0 for _ in _ENGINES]] for _ in _ENGINES]
        self._storages: defaultdict[str | int, _Storage] = defaultdict(_Storage)

    def waits(self, step: Step) -> dict[str, int]:
        """The wait fields of ``step``, which is the program's next."""
        own = int(step.engine)
        number = self._issued[own] = self._issued[own] + 1
        # Commands of one engine need no order, so that its own pass for known.
        self._known[own][own] = number
        touched = [(self._storages[name], access) for name, access in self._accesses(step)]
        for storage, access in touched:
            self._order(own, storage, access)
        for storage, access in touched:
            storage.add(own, access, number)
        self._after[own].append(self._known[own].copy())
        waits = self._waits[own]
        for engine, issued in enumerate(self._issued):
            if waits[engine] < issued - _HORIZON:
                waits[engine] = issued - _HORIZON
        waits[own] = number - 1
        return {field: waits[engine] % _COUNTS for engine, field in _FIELDS}

    def _order(self, own: int, storage: _Storage, access: _Access) -> None:
        """Let the engine ``own`` wait for all that must be done before ``access``."""
        known = self._known[own]
        for other, newest in enumerate(storage.newest):
            if newest > known[other]:
                number = storage.last_conflict(other, access, known[other])
                if number:
                    self._waits[own][other] = number
                    known[:] = map(max, known, self._after[other][number])

    def _accesses(self, step: Step) -> Iterator[tuple[str | int, _Access]]:
        """The storages that ``step`` touches: by name, pages of memory by number."""
        for regions, writes in ((step.reads, False), (step.writes, True)):
            for storage, start, stop in regions:
                access = (start, stop, writes)
                if storage == "memory":
                    # In pages, so that a command meets few others.
                    for page in range(start // _PAGE, (stop - 1) // _PAGE + 1):
                        yield page, access
                    continue
                yield storage, access
                if storage == "activation":
                    first, last = start // self._bank_bytes, (stop - 1) // self._bank_bytes
                    yield "write port" if writes else "read port", (first, last + 1, True)
