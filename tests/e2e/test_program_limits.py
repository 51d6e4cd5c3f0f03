"""Programs of every length, and commands in any order: RTL and command-level simulator leave the
same bytes in the same cycles with the same counters.

The seed is in each test's name.
"""

import os

import numpy as np
import pytest

from arch.commands import (
    COUNT_BITS,
    EXECUTE_LOOPS,
    LOOP_LIMIT,
    POST_LOOPS,
    Engine,
    LoadTarget,
)
from arch.config import AcceleratorConfig
from arch.registers import Status
from compiler.waits import Region, Step, add_waits
from sim.rtl.machine import RtlMachine
from tests.support.disturbances import borrowed_machine
from tests.support.hand_made import (
    HandMade,
    MemoryPlan,
    assert_same_memory,
    assert_simulators_agree,
    command,
    run_commands,
    step,
)
from tests.support.machines import CONFIGS, MEMORY_BYTES, verilog_of
from tests.support.random_steps import RandomSteps, random_program

QUICK = ("tiny", "uneven", "small", "small16", "uneven16")


@pytest.mark.parametrize("name", QUICK)
def test_an_empty_program_takes_one_cycle(name: str) -> None:
    with borrowed_machine(name) as machine:
        assert_simulators_agree(machine, [], np.zeros(64, np.uint8), 0)
        assert machine.read("cycles") == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("name", QUICK)
def test_one_command(name: str, engine: Engine, seed: int) -> None:
    """On its own, in buffers with whatever they hold: only stores can show it."""
    config = CONFIGS[name]
    draws = RandomSteps(config, seed)
    draw = {
        Engine.LOAD: draws.load,
        Engine.EXECUTE: draws.execute,
        Engine.POST: draws.post,
        Engine.STORE: draws.store,
    }[engine]
    with borrowed_machine(name) as machine:
        # Zeros in the activation buffer, as in the model's.
        image = np.zeros(config.activation_buffer_bytes, np.uint8)
        clear = command(Engine.LOAD, row_bytes=config.activation_buffer_bytes)
        run_commands(machine, [clear], image, image.size)
        plan = MemoryPlan(config=config)
        image = plan.image(np.random.default_rng(seed))
        assert_simulators_agree(machine, add_waits([draw()], config), image, plan.program)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", QUICK)
def test_tiny_commands_in_random_order(name: str, seed: int) -> None:
    program = random_program(CONFIGS[name], seed, 400)
    with borrowed_machine(name) as machine:
        program.check(machine)
        machine.random_timing(seed)
        commands, image = program.commands, program.image
        result = run_commands(machine, commands, image, program.plan.program)
        assert result.status is Status.OK
        assert_same_memory(machine, commands, image)


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
def test_tiny_commands_soak(name: str) -> None:
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000")) // 10
    with borrowed_machine(name) as machine:
        for seed in range(100, 100 + cases):
            try:
                random_program(CONFIGS[name], seed, 400).check(machine)
            except AssertionError as error:
                raise AssertionError(f"random_program(CONFIGS[{name!r}], {seed}, 400)") from error


@pytest.mark.parametrize("loop", EXECUTE_LOOPS)
def test_longest_execute_loops(loop: str) -> None:
    """The sums of all tiles, or the last of the vectors on each entry, come out."""
    config = CONFIGS["tiny"]
    half = config.accumulator_half_entries
    execute = step(
        Engine.EXECUTE,
        [Region("activation", 0, config.rows), Region("weight", 0, config.weight_buffer_bytes)],
        [Region("accumulator", 0, half)],
        height=1,
        width=config.rows,
        **{f"{loop}_count": LOOP_LIMIT - 1},
    )
    with borrowed_machine("tiny") as machine:
        HandMade(config=config, steps=[execute, drain(config)], seed=1).check(machine)


@pytest.mark.parametrize("loop", POST_LOOPS)
def test_longest_post_loops(loop: str) -> None:
    config = CONFIGS["tiny"]
    with borrowed_machine("tiny") as machine:
        longest = drain(config, **{f"{loop}_count": LOOP_LIMIT - 1})
        HandMade(config=config, steps=[longest], seed=2).check(machine)


def drain(config: AcceleratorConfig, **fields: int) -> Step:
    """Sums of accumulators to the second bank of activations, wherever they move."""
    bank = config.activation_bank_bytes
    return step(
        Engine.POST,
        [
            Region("accumulator", 0, config.accumulator_half_entries),
            Region("parameter", 0, config.parameter_block_words),
        ],
        [Region("activation", bank, bank + config.cols)],
        height=1,
        width=1,
        mode=1,
        channels=config.cols - 1,
        low=-128,
        high=127,
        out_address=bank,
        **fields,
    )


@pytest.mark.parametrize("target", [LoadTarget.ACTIVATION, LoadTarget.WEIGHT])
@pytest.mark.parametrize(
    "shape",
    [
        {"row_bytes": (1 << 20) - 1},
        {"row_bytes": 3, "rows": (1 << 16) - 1, "dram_pitch": 1, "buffer_pitch": 7},
    ],
    ids=["longest row", "most rows"],
)
def test_largest_loads(target: LoadTarget, shape: dict[str, int]) -> None:
    """They run around the buffer many times, and the last bytes stay."""
    config = CONFIGS["tiny"]
    size = {
        LoadTarget.ACTIVATION: config.activation_buffer_bytes,
        LoadTarget.WEIGHT: config.weight_buffer_bytes,
    }[target]
    load = step(
        Engine.LOAD,
        [],
        [Region(target.name.lower(), 0, size)],
        target=target,
        dram_address=5,
        buffer_address=3,
        **shape,
    )
    program = HandMade(config=config, steps=[load], seed=3)
    image = np.random.default_rng(3).integers(0, 256, 1 << 21, np.uint8)
    image[: program.image.size] = program.image
    with borrowed_machine("tiny") as machine:
        assert_simulators_agree(machine, program.commands, image, 1 << 21)


def wrapping_program(name: str, length: int, weights: tuple[float, ...], seed: int) -> HandMade:
    """So many commands that counts pass 2^16; on a coarse grid, to find the waits quickly."""
    config = CONFIGS[name]
    draws = RandomSteps(config, seed, grain=512)
    steps = [draws.draw(weights) for _ in range(length)]
    return HandMade(config=config, steps=steps, seed=seed)


def test_counts_wrap() -> None:
    program = wrapping_program("small", 71_000, (100, 1, 1, 1), seed=4)
    assert sum(each.engine is Engine.LOAD for each in program.steps) > 1 << COUNT_BITS
    with borrowed_machine("small") as machine:
        program.check(machine)


@pytest.mark.soak
def test_counts_of_all_engines_wrap() -> None:
    program = wrapping_program("small", 270_000, (1, 1, 1, 1), seed=5)
    counts = [sum(each.engine is engine for each in program.steps) for engine in Engine]
    assert min(counts) > 1 << COUNT_BITS
    memory_bytes = 4 * MEMORY_BYTES
    with RtlMachine(verilog_of("small"), CONFIGS["small"], memory_bytes=memory_bytes) as machine:
        program.check(machine)
