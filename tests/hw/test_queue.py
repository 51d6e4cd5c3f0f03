from collections import deque
from random import Random
from typing import Any

import pytest

from arch.commands import COUNT_BITS, COUNTS, WAITS, Engine
from arch.presets import PRESETS
from hw.queue import EngineQueue
from tests.support.amaranth_sim import simulate, to_verilog
from tests.support.command_side import random_command, word_of

TINY = PRESETS["tiny"]
HALF, WHOLE = 1 << COUNT_BITS - 1, 1 << COUNT_BITS


def others(engine: Engine) -> list[str]:
    """The counts of other engines that commands of ``engine`` wait for."""
    names = [wait.removeprefix("wait_") for wait in WAITS[engine]]
    return [name for name in names if COUNTS[name] is not engine]


def reached(count: int, wait: int) -> bool:
    return (count - wait) % WHOLE < HALF


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("depth", [2, 8])
@pytest.mark.parametrize(
    ("push", "pop", "complete"), [(0.9, 0.9, 0.9), (0.9, 0.3, 0.9), (0.5, 0.9, 0.3)]
)
def test_every_cycle_against_a_model(
    engine: Engine, depth: int, push: float, pop: float, complete: float
) -> None:
    dut = EngineQueue(engine=engine, depth=depth)
    random = Random(f"{engine} {depth} {push} {pop} {complete}")
    # Counts pass through 2^16 and 2^15 while the test runs.
    counts = {name: random.choice([WHOLE, HALF]) - 40 for name in COUNTS}
    asked = dict(counts)
    model: deque[tuple[int, dict[str, int]]] = deque()

    async def bench(ctx: Any) -> None:
        taken = 0
        for _ in range(600):
            command = {name: (asked[name] + random.randrange(3)) % WHOLE for name in others(engine)}
            waits = command | {engine.name.lower(): random.getrandbits(COUNT_BITS)}
            word = word_of(random_command(engine, TINY, random, waits), TINY)
            pushing, popping = random.random() < push, random.random() < pop
            ctx.set(dut.i.payload.as_value(), word)
            ctx.set(dut.i.valid, pushing)
            ctx.set(dut.o.ready, popping)

            unmet = {
                COUNTS[name]
                for name in others(engine)
                if model and not reached(counts[name], model[0][1][name])
            }
            valid = bool(model) and not unmet
            for other in Engine:
                assert ctx.get(dut.waits_for[other.name.lower()]) == (other in unmet)
            assert ctx.get(dut.o.valid) == valid
            if valid:
                assert ctx.get(dut.o.payload.as_value()) == model[0][0]
            room = len(model) < depth
            assert ctx.get(dut.i.ready) == room

            if valid and popping:
                model.popleft()
                taken += 1
            if pushing and room:
                model.append((word, command))
                asked.update(command)
            for name in others(engine):
                if random.random() < complete and counts[name] != asked[name]:
                    counts[name] = (counts[name] + 1) % WHOLE
                ctx.set(dut.next_counts[name], counts[name])
            await ctx.tick()
        assert taken > 50

    simulate(dut, bench)


def test_a_full_queue_has_room_in_the_cycle_after_its_first_command_is_taken() -> None:
    dut = EngineQueue(engine=Engine.LOAD, depth=2)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for room in (1, 1, 0, 0):
            assert ctx.get(dut.i.ready) == room
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.o.valid) == 1
        assert ctx.get(dut.i.ready) == 0
        await ctx.tick()
        assert ctx.get(dut.i.ready) == 1

    simulate(dut, bench)


@pytest.mark.parametrize("lead", [0, 1, HALF - 1, HALF, HALF + 1, WHOLE - 1])
@pytest.mark.parametrize("wait", [0, 1, HALF, WHOLE - 1])
def test_a_count_is_behind_if_the_difference_is_half_the_range_or_more(
    lead: int, wait: int
) -> None:
    dut = EngineQueue(engine=Engine.STORE, depth=2)
    command = random_command(
        Engine.STORE, TINY, Random(1), dict.fromkeys(COUNTS, 0) | {"post": wait}
    )

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i.payload.as_value(), word_of(command, TINY))
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.next_counts.post, wait)
        await ctx.tick()
        ctx.set(dut.next_counts.post, (wait + lead) % WHOLE)
        assert ctx.get(dut.o.valid) == 1
        await ctx.tick()
        assert ctx.get(dut.waits_for.post) == (lead >= HALF)
        assert ctx.get(dut.o.valid) == (lead < HALF)

    simulate(dut, bench)


def test_it_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(EngineQueue(engine=Engine.EXECUTE, depth=8))
