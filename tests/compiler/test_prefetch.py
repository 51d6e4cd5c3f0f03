"""Prefetching moves loads of constants ahead, but never past a command that uses their slot."""

from arch.commands import Engine, LoadTarget, Pattern
from arch.presets import PRESETS
from compiler.prefetch import prefetch_constants
from compiler.waits import Region, Step

CONFIG = PRESETS["tiny"]
WEIGHTS = Region("weight", 0, 16)


def step(
    engine: Engine,
    *,
    target: LoadTarget = LoadTarget.ACTIVATION,
    reads: tuple[Region, ...] = (),
    writes: tuple[Region, ...] = (),
    layer: int = 0,
) -> Step:
    fields = {"target": int(target)} if engine is Engine.LOAD else {}
    return Step(Pattern(engine, fields), (), reads, writes, layer)


def load_weights(region: Region) -> Step:
    return step(Engine.LOAD, target=LoadTarget.WEIGHT, writes=(region,), layer=1)


def test_weights_overtake_inputs_and_stores() -> None:
    inputs, store = step(Engine.LOAD), step(Engine.STORE)
    weights = load_weights(WEIGHTS)
    assert prefetch_constants([store, inputs, weights], CONFIG) == [weights, store, inputs]


def test_weights_wait_for_the_user_of_their_slot() -> None:
    user, inputs = step(Engine.EXECUTE, reads=(WEIGHTS,)), step(Engine.LOAD)
    weights = load_weights(WEIGHTS)
    assert prefetch_constants([user, inputs, weights], CONFIG) == [user, weights, inputs]


def test_loads_of_constants_keep_their_order() -> None:
    first, second = load_weights(WEIGHTS), load_weights(Region("weight", 16, 32))
    inputs = step(Engine.LOAD)
    assert prefetch_constants([first, inputs, second], CONFIG) == [first, second, inputs]


def test_weights_do_not_overtake_work_of_their_own_layer() -> None:
    inputs, execute = step(Engine.LOAD, layer=1), step(Engine.EXECUTE, layer=1)
    weights = load_weights(WEIGHTS)
    assert prefetch_constants([execute, inputs, weights], CONFIG) == [execute, weights, inputs]


def test_reach_is_bounded() -> None:
    reach = 2 * CONFIG.command_queue_depth
    others = [step(Engine.STORE) for _ in range(reach + 5)]
    weights = load_weights(WEIGHTS)
    assert prefetch_constants([*others, weights], CONFIG).index(weights) == 5
