"""A reset at any time, and runs after runs: nothing of what was is left.

The seed is in each test's name: it draws the programs and the cycle of the reset.
"""

import random

import numpy as np
import pytest

from arch.counters import COUNTER_NAMES
from arch.registers import STATUS_BUSY, Status
from compiler.waits import add_waits
from sim.rtl.machine import RtlMachine
from tests.support.disturbances import (
    assert_next_run_is_exact,
    assert_run_is_exact,
    borrowed_machine,
    busy_case,
    expected,
    put_in_memory,
    start,
)
from tests.support.hand_made import MemoryPlan, run_commands
from tests.support.machines import CONFIGS
from tests.support.random_steps import RandomSteps

QUICK = ("tiny", "uneven", "small")


def reset_after(machine: RtlMachine, cycles: int) -> None:
    """The run under way is reset, and the registers know nothing of it."""
    machine.advance(cycles)
    assert machine.read("status") == STATUS_BUSY
    machine.reset()
    assert machine.read("status") == 0
    assert not any(machine.read(name) for name in COUNTER_NAMES)
    for register in ("interrupt_enable", "program_address", "program_commands", "error_command"):
        assert machine.read(register) == 0


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("timing", ["exact", "random"])
@pytest.mark.parametrize("name", QUICK)
def test_reset_in_mid_run(name: str, timing: str, seed: int) -> None:
    moment = random.Random(seed)
    victim, following = busy_case(seed % 5, name), busy_case(seed % 5 + 1, name)
    with borrowed_machine(name) as machine:
        for _ in range(3):
            if timing == "random":
                machine.random_timing(moment.getrandbits(32))
            start(machine, victim)
            # Random timing may end a run in somewhat fewer cycles than exact timing does.
            reset_after(machine, moment.randrange(expected(victim)["cycles"] // 2))
        assert_next_run_is_exact(machine, following, seed)
        assert_run_is_exact(machine, victim)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", QUICK)
def test_reset_near_the_end(name: str, seed: int) -> None:
    """When the last stores are on the bus."""
    moment = random.Random(seed)
    case = busy_case(seed, name)
    with borrowed_machine(name) as machine:
        for _ in range(5):
            start(machine, case)
            # Starting and reading the status take some cycles themselves.
            reset_after(machine, expected(case)["cycles"] - 16 - moment.randrange(100))
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", QUICK)
def test_runs_one_after_the_other(name: str, seed: int) -> None:
    """The same program thrice, and between others."""
    cases = [busy_case(number, name) for number in range(4)]
    random.Random(seed).shuffle(cases)
    with borrowed_machine(name) as machine:
        for case in (cases[0], cases[0], cases[0], *cases[1:], cases[0]):
            assert_run_is_exact(machine, case)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", QUICK)
def test_bytes_of_earlier_runs_have_no_influence(name: str, seed: int) -> None:
    """Two runs of one program, after different random bytes were left in every storage, leave the
    same memory with the same counters."""
    config, case = CONFIGS[name], busy_case(seed, name)
    plan = MemoryPlan(config=config)
    outcomes = []
    with borrowed_machine(name) as machine:
        for litter in (1000 + seed, 2000 + seed):
            draws = RandomSteps(config, litter)
            commands = add_waits([*plan.fill(), *(draws.draw() for _ in range(50))], config)
            image = plan.image(np.random.default_rng(litter))
            assert run_commands(machine, commands, image, plan.program).status is Status.OK
            put_in_memory(machine, case)
            result = machine.run(
                case.program.program_address,
                len(case.program.commands),
                10 * expected(case)["cycles"],
            )
            assert result.status is Status.OK
            outcomes.append((result.counters, machine.memory.copy()))
    (counters, memory), (other_counters, other_memory) = outcomes
    assert counters == other_counters
    assert np.array_equal(memory, other_memory)
