"""Waits: two commands of different engines that conflict always run in program order."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from arch.commands import WAITS, Engine, Pattern
from arch.presets import PRESETS
from compiler.waits import Region, Step, add_waits

CONFIG = PRESETS["tiny"]
BANK = CONFIG.activation_bank_bytes


def step(
    engine: Engine, *, reads: tuple[Region, ...] = (), writes: tuple[Region, ...] = ()
) -> Step:
    return Step(Pattern(engine, {}), (), reads, writes, layer=0)


def waits(steps: list[Step]) -> list[dict[str, int]]:
    return [
        {
            name.removeprefix("wait_"): count
            for name, count in zip(WAITS, command.waits, strict=True)
        }
        for command in add_waits(steps, CONFIG)
    ]


def test_reader_waits_for_writer() -> None:
    region = Region("weight", 0, 64)
    steps = [
        step(Engine.LOAD, writes=(Region("weight", 64, 128),)),
        step(Engine.LOAD, writes=(region,)),
        step(Engine.EXECUTE, reads=(Region("weight", 32, 48),)),
    ]
    assert waits(steps)[2]["load"] == 2


def test_writer_waits_for_reader() -> None:
    region = Region("weight", 0, 64)
    steps = [
        step(Engine.EXECUTE, reads=(region,)),
        step(Engine.LOAD, writes=(region,)),
    ]
    assert waits(steps)[1]["execute"] == 1


def test_readers_do_not_wait_for_each_other() -> None:
    region = Region("memory", 0, 64)
    steps = [step(Engine.LOAD, reads=(region,)), step(Engine.STORE, reads=(region,))]
    assert waits(steps)[1]["load"] == 0


def test_readers_of_one_activation_bank_do() -> None:
    steps = [
        step(Engine.EXECUTE, reads=(Region("activation", 0, 8),)),
        step(Engine.STORE, reads=(Region("activation", BANK - 8, BANK),)),
        step(Engine.POST, reads=(Region("activation", BANK, BANK + 8),)),
    ]
    found = waits(steps)
    assert found[1]["execute"] == 1
    assert found[2]["execute"] == 0
    assert found[2]["store"] == 0


def test_writers_of_one_activation_bank_do() -> None:
    steps = [
        step(Engine.LOAD, writes=(Region("activation", 0, 8),)),
        step(Engine.POST, writes=(Region("activation", 16, 24),)),
    ]
    assert waits(steps)[1]["load"] == 1


regions = st.builds(
    lambda storage, start, size: Region(storage, start, start + size),
    st.sampled_from(["activation", "weight", "accumulator"]),
    st.integers(0, 100),
    st.integers(1, 40),
)
steps = st.builds(
    lambda engine, reads, writes: step(engine, reads=tuple(reads), writes=tuple(writes)),
    st.sampled_from(Engine),
    st.lists(regions, max_size=2),
    st.lists(regions, max_size=2),
)


def conflict(first: Step, second: Step) -> bool:
    def overlap(one: Region, other: Region) -> bool:
        return one.storage == other.storage and one.start < other.stop and other.start < one.stop

    pairs = itertools.chain(
        itertools.product(first.writes, second.reads),
        itertools.product(first.reads, second.writes),
        itertools.product(first.writes, second.writes),
    )
    return any(overlap(one, other) for one, other in pairs)


@given(st.lists(steps, max_size=30))
def test_every_conflict_is_ordered(program: list[Step]) -> None:
    """What must have happened before a command starts, worked out from the waits alone."""
    found = waits(program)
    before: list[set[int]] = []
    numbers: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    for index, each in enumerate(program):
        needed: set[int] = set()
        # An engine's commands run in order, but only those waited for have surely ended.
        for engine in Engine:
            if engine is not each.engine:
                for done in numbers[engine][: found[index][engine.name.lower()]]:
                    needed |= {done} | before[done]
        previous = numbers[each.engine][-1:]
        for same in previous:
            needed |= before[same]
        before.append(needed)
        numbers[each.engine].append(index)
        for earlier in range(index):
            if program[earlier].engine is not each.engine and conflict(program[earlier], each):
                assert earlier in needed, f"command {index} may overtake command {earlier}"


@given(st.lists(steps, max_size=30))
def test_waits_name_only_earlier_commands(program: list[Step]) -> None:
    counts = dict.fromkeys(Engine, 0)
    for each, found in zip(program, waits(program), strict=True):
        assert all(found[engine.name.lower()] <= counts[engine] for engine in Engine)
        counts[each.engine] += 1
