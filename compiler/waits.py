"""Order between engines, derived from what each command reads and writes.

Two commands of different engines that touch the same bytes, at least one of them writing, must run
in program order; so must two that read (or two that write) through the same port of a bank. The
later one then waits for the earlier one's engine to have completed it. Commands of one engine run
in order anyway. Sums may be replaced as soon as a post command has read them all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from arch.commands import COUNT_BITS, COUNTS, WAITS, Command, Engine, Pattern
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


# Not frozen, for the same reason as commands.
@dataclass(eq=False, slots=True)
class Step:
    """A command without its waits, and what it reads and writes; ``layer`` is the number of the
    layer that it belongs to."""

    pattern: Pattern
    addresses: tuple[int, ...]
    reads: tuple[Region, ...]
    writes: tuple[Region, ...]
    layer: int

    @property
    def engine(self) -> Engine:
        """Where the command goes."""
        return self.pattern.engine


_Access = tuple[int, int, bool]
"""First byte (or entry, or bank), the one after the last, and whether it is exclusive: two accesses
that overlap must be ordered if one of them is."""

_Clock = list[int]
"""Numbers of commands by what is counted (``_CLOCK``), each from 1."""

_CLOCK = {name: number for number, name in enumerate(COUNTS, 1)}
"""Where a clock has a count: that of an engine's commands under the engine's number."""
_DRAIN = _CLOCK["drain"]
_PLACES = range(max(_CLOCK.values()) + 1)
_WAIT_PLACES = {
    int(engine): tuple(_CLOCK[wait.removeprefix("wait_")] for wait in waits)
    for engine, waits in WAITS.items()
}
"""Where a clock has what an engine's commands wait for, in the order of their waits."""
_OWN_PLACES = {
    int(engine): tuple(_CLOCK[name] for name, counted in COUNTS.items() if counted is engine)
    for engine in Engine
}
"""Where a clock counts an engine's own commands."""


def add_waits(steps: Iterable[Step], config: AcceleratorConfig) -> list[Command]:
    """The commands of ``steps`` with their waits filled in."""
    order = _Order(config)
    return [Command(step.pattern, step.addresses, order.waits(step)) for step in steps]


class _User:
    """What one engine does with one storage, and when; ``count`` counts its commands."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.newest = 0
        """The last command that touched it."""
        self._access: _Access = 0, 0, False
        # The last command that touched it elsewhere, and the last one of every access.
        self._before = 0
        self._history: dict[_Access, int] = {}

    def add(self, access: _Access, number: int) -> None:
        """Note what command ``number`` does."""
        if access != self._access:
            # Removed first, so that the newest stays last.
            self._history.pop(access, None)
            self._access, self._before = access, self.newest
        self._history[access] = self.newest = number

    def last_conflict(self, new: _Access, known: int) -> int:
        """The last command after ``known`` that must be done before ``new``, or 0.

        There is one that is newer than ``known``.
        """
        start, stop, exclusive = new
        old_start, old_stop, old_exclusive = self._access
        if old_start < stop and start < old_stop and (exclusive or old_exclusive):
            return self.newest
        if self._before <= known:
            return 0
        for old, number in reversed(self._history.items()):
            if number <= known:
                return 0
            if old[0] < stop and start < old[1] and (exclusive or old[2]):
                return number
        return 0


class _Storage:
    """Who touched one storage when; ``drained``: it is the accumulators."""

    def __init__(self, *, drained: bool) -> None:
        self._drained = drained
        self.users: list[_User] = []
        """The engines that have, in the order of their numbers."""
        self.by_engine: dict[int, _User] = {}
        """The same."""

    def user(self, engine: int) -> _User:
        """A new user."""
        count = _DRAIN if self._drained and engine == Engine.POST else engine
        user = self.by_engine[engine] = _User(count)
        self.users = [self.by_engine[each] for each in sorted(self.by_engine)]
        return user


_Touch = tuple[_Storage, _Access]


class _Order:
    """Follows a program, and keeps what each engine knows to be done when it starts a command.

    A command that waits for another knows all that the other one knew, and that is not looked for
    again. An engine's waits never fall, since it takes its commands in order.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._bank_bytes = config.activation_bank_bytes
        self._issued: _Clock = [0 for _ in _PLACES]
        self._waits: list[_Clock] = [[0 for _ in _PLACES] for _ in _PLACES]
        self._known: list[_Clock] = [[0 for _ in _PLACES] for _ in _PLACES]
        # Of each command of each engine: what is known once it is done.
        self._after: list[list[_Clock]] = [[[0 for _ in _PLACES]] for _ in _PLACES]
        self._storages: dict[str | int, _Storage] = {}
        # What reading and writing a region touches: tiles come back to the same slots.
        self._reading: dict[Region, list[_Touch]] = {}
        self._writing: dict[Region, list[_Touch]] = {}

    def waits(self, step: Step) -> tuple[int, ...]:
        """The waits of ``step``, which is the program's next."""
        own = int(step.pattern.engine)
        number = self._issue(own)
        known, waits = self._known[own], self._waits[own]
        touched: list[_Touch] = []
        for region in step.reads:
            touched += self._reading.get(region) or self._touches(region, False)
        for region in step.writes:
            touched += self._writing.get(region) or self._touches(region, True)
        for storage, access in touched:
            for user in storage.users:
                other = user.count
                if user.newest > known[other]:
                    last = user.last_conflict(access, known[other])
                    if last:
                        waits[other] = last
                        _learn(known, self._after[other][last])
        for storage, access in touched:
            user = storage.by_engine.get(own) or storage.user(own)
            user.add(access, number)
        self._note_known(own)
        for place, issued in enumerate(self._issued):
            if waits[place] < issued - _HORIZON:
                waits[place] = issued - _HORIZON
        waits[own] = number - 1
        return tuple([waits[place] % _COUNTS for place in _WAIT_PLACES[own]])

    def _issue(self, own: int) -> int:
        """The number of the next command of engine ``own``."""
        number = self._issued[own] + 1
        for place in _OWN_PLACES[own]:
            # Commands of one engine need no order, so that its own pass for known.
            self._issued[place] = self._known[own][place] = number
        return number

    def _note_known(self, own: int) -> None:
        """Of the newest command of engine ``own``: what is known once it is counted."""
        known = self._known[own]
        self._after[own].append(known.copy())
        if own == Engine.POST:
            # It drains from when the one before it is done.
            drained = known.copy()
            drained[own] -= 1
            self._after[_DRAIN].append(drained)

    def _touches(self, region: Region, writes: bool) -> list[_Touch]:
        """What reading or writing ``region`` touches."""
        accesses = self._accesses(region, writes)
        found = [(self._storage(name), access) for name, access in accesses]
        (self._writing if writes else self._reading)[region] = found
        return found

    def _storage(self, name: str | int) -> _Storage:
        found = self._storages.get(name)
        if found is None:
            found = self._storages[name] = _Storage(drained=name == "accumulator")
        return found

    def _accesses(self, region: Region, writes: bool) -> Iterator[tuple[str | int, _Access]]:
        """The storages of ``region``: by name, pages of memory by number."""
        storage, start, stop = region
        access = (start, stop, writes)
        if storage == "memory":
            # In pages, so that a command meets few others.
            for page in range(start // _PAGE, (stop - 1) // _PAGE + 1):
                yield page, access
            return
        yield storage, access
        if storage == "activation":
            first, last = start // self._bank_bytes, (stop - 1) // self._bank_bytes
            yield "write port" if writes else "read port", (first, last + 1, True)


def _learn(known: _Clock, more: _Clock) -> None:
    """Add to ``known`` what ``more`` knows."""
    for engine, number in enumerate(more):
        if number > known[engine]:
            known[engine] = number
