"""Order between engines, derived from what each command reads and writes.

Two commands of different engines that touch the same bytes, at least one of them writing, must run
in program order; so must two that read (or two that write) through the same port of a bank. The
later one then waits for the earlier one's engine to have completed it. Commands of one engine run
in order anyway.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from arch.commands import COUNT_BITS, Command, Engine
from arch.config import AcceleratorConfig

_MEMORY_PAGE = 1 << 14
_PAGES = 16

_HORIZON = 1 << COUNT_BITS - 2
"""A wait never reaches further back than this, so that 16-bit counts compare rightly."""


@dataclass(frozen=True)
class Region:
    """Bytes (or entries) ``start`` ... ``stop`` - 1 of a storage."""

    storage: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command without its waits, and what it reads and writes."""

    engine: Engine
    values: dict[str, int]
    reads: tuple[Region, ...]
    writes: tuple[Region, ...]
    layer: int


@dataclass(frozen=True)
class _Access:
    start: int
    stop: int
    engine: Engine
    number: int
    exclusive: bool


class _Storage:
    """Recent accesses to one storage, those that a later write has replaced left out."""

    def __init__(self) -> None:
        self._accesses: list[_Access] = []

    def conflicts(self, new: _Access) -> Iterator[_Access]:
        for old in self._accesses:
            overlap = old.start < new.stop and new.start < old.stop
            if overlap and old.engine != new.engine and (old.exclusive or new.exclusive):
                yield old

    def add(self, new: _Access) -> None:
        def replaced(old: _Access) -> bool:
            inside = new.start <= old.start and old.stop <= new.stop
            return inside and (new.exclusive or (old.engine == new.engine and not old.exclusive))

        self._accesses = [old for old in self._accesses if not replaced(old)]
        self._accesses.append(new)


def add_waits(steps: Iterable[Step], config: AcceleratorConfig) -> list[Command]:
    """The commands of ``steps`` with their waits filled in."""
    storages: dict[Hashable, _Storage] = defaultdict(_Storage)
    pages = _page_sizes(config)
    issued = dict.fromkeys(Engine, 0)
    commands = []
    for step in steps:
        issued[step.engine] += 1
        number = issued[step.engine]
        needed = {engine: max(0, issued[engine] - _HORIZON) for engine in Engine}
        accesses = list(_accesses(step, number, pages, config))
        for storage, access in accesses:
            for old in storages[storage].conflicts(access):
                needed[old.engine] = max(needed[old.engine], old.number)
        for storage, access in accesses:
            storages[storage].add(access)
        needed[step.engine] = number - 1
        waits = {
            f"wait_{engine.name.lower()}": count % (1 << COUNT_BITS)
            for engine, count in needed.items()
        }
        commands.append(Command(step.engine, {**waits, **step.values}))
    return commands


def _page_sizes(config: AcceleratorConfig) -> dict[str, int]:
    """Sizes of the pages of storages that hold many small objects at a time."""
    return {
        "memory": _MEMORY_PAGE,
        "weight": max(1, config.weight_buffer_bytes // _PAGES),
        "parameter": max(1, config.parameter_words // _PAGES),
    }


def _accesses(
    step: Step, number: int, pages: dict[str, int], config: AcceleratorConfig
) -> Iterator[tuple[Hashable, _Access]]:
    for regions, writes in ((step.reads, False), (step.writes, True)):
        for region in regions:
            access = _Access(region.start, region.stop, step.engine, number, exclusive=writes)
            # In pages, so that a command meets few others.
            size = pages.get(region.storage)
            if size is None:
                yield region.storage, access
            else:
                for page in range(region.start // size, (region.stop - 1) // size + 1):
                    yield (region.storage, page), access
            if region.storage == "activation":
                port = "write port" if writes else "read port"
                first = region.start // config.activation_bank_bytes
                last = (region.stop - 1) // config.activation_bank_bytes
                yield port, _Access(first, last + 1, step.engine, number, exclusive=True)
