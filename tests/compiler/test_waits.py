"""Waits: two commands of different engines that conflict always run in program order."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from arch.commands import COUNTS, WAITS, Engine, Pattern
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
            for name, count in zip(WAITS[command.engine], command.waits, strict=True)
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


def test_sums_are_replaced_once_they_are_drained() -> None:
    sums, map_ = Region("accumulator", 0, 8), Region("activation", 0, 8)
    steps = [
        step(Engine.EXECUTE, writes=(sums,)),
        step(Engine.POST, reads=(sums,), writes=(map_,)),
        step(Engine.EXECUTE, writes=(sums,)),
        step(Engine.EXECUTE, reads=(map_,), writes=(sums,)),
    ]
    found = [{name: each[name] for name in ("post", "drain")} for each in waits(steps)[2:]]
    assert found == [{"post": 0, "drain": 1}, {"post": 1, "drain": 1}]


regions = st.builds(
    lambda storage, start, size: Region(storage, start, start + size),
    st.sampled_from(["activation", "weight", "accumulator"]),
    st.integers(0, 100),
    st.integers(1, 40),
)


@st.composite
def _steps(draw: st.DrawFn) -> Step:
    engine = draw(st.sampled_from(Engine))
    reads, writes = draw(st.lists(regions, max_size=2)), draw(st.lists(regions, max_size=2))
    # Only these two know sums.
    if engine not in (Engine.EXECUTE, Engine.POST):
        reads = [region for region in reads if region.storage != "accumulator"]
    if engine is not Engine.EXECUTE:
        writes = [region for region in writes if region.storage != "accumulator"]
    return step(engine, reads=tuple(reads), writes=tuple(writes))


steps = _steps()


def conflicts(first: Step, second: Step) -> set[str]:
    """The storages on whose account ``second`` must come after ``first``."""

    def overlap(one: Region, other: Region) -> bool:
        return one.storage == other.storage and one.start < other.stop and other.start < one.stop

    pairs = itertools.chain(
        itertools.product(first.writes, second.reads),
        itertools.product(first.reads, second.writes),
        itertools.product(first.writes, second.writes),
    )
    return {one.storage for one, other in pairs if overlap(one, other)}


@given(st.lists(steps, max_size=30))
def test_every_conflict_is_ordered(program: list[Step]) -> None:
    """What must have happened before a command starts, worked out from the waits alone: by count,
    the commands that must have been counted."""
    found = waits(program)
    before: list[dict[str, set[int]]] = []
    numbers: dict[Engine, list[int]] = {engine: [] for engine in Engine}
    for index, each in enumerate(program):
        needed: dict[str, set[int]] = {name: set() for name in COUNTS}

        def learn(earlier: int, needed: dict[str, set[int]] = needed) -> None:
            for name, commands in before[earlier].items():
                needed[name] |= commands

        for name, count in found[index].items():
            # An engine's commands run in order, but only those waited for have surely ended.
            if COUNTS[name] is not each.engine:
                for counted in numbers[COUNTS[name]][:count]:
                    needed[name].add(counted)
                    learn(counted)
        # A post command is done before the next one drains, and drains before it is done.
        needed["post"] |= set(sorted(needed["drain"])[:-1])
        needed["drain"] |= needed["post"]
        for same in numbers[each.engine][-1:]:
            learn(same)
        before.append(needed)
        numbers[each.engine].append(index)
        for earlier, other in enumerate(program[:index]):
            for storage in conflicts(other, each) if other.engine is not each.engine else ():
                drains = other.engine is Engine.POST and storage == "accumulator"
                name = "drain" if drains else other.engine.name.lower()
                assert earlier in needed[name], f"command {index} may overtake command {earlier}"


@given(st.lists(steps, max_size=30))
def test_waits_name_only_earlier_commands(program: list[Step]) -> None:
    counts = dict.fromkeys(Engine, 0)
    for each, found in zip(program, waits(program), strict=True):
        assert all(count <= counts[COUNTS[name]] for name, count in found.items())
        counts[each.engine] += 1
