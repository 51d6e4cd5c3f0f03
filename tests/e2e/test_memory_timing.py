"""A memory that answers early, late or with random gaps changes cycles, never bytes; and of one
with other fixed times the command-level simulator knows the exact cycles.

The seed is in each test's name.
"""

import os

import pytest

from arch.config import AcceleratorConfig
from arch.registers import Status
from hw.counters import CAUSES, CYCLES
from sim.rtl.machine import RtlMachine
from tests.support.agreement import assert_agreement, assert_golden, random_case, run_rtl
from tests.support.disturbances import borrowed_machine, busy_case, retimed
from tests.support.machines import CONFIGS

QUICK = ("tiny", "uneven", "small")
TIMES = {CYCLES, *CAUSES} - {"array_busy"}
"""Counters of cycles; all others count what the program does."""


def check_random_timing(machine: RtlMachine, name: str, seed: int) -> int:
    """Run the layer of ``seed`` under random timing; gives the cycles that it took more."""
    case = random_case(seed, CONFIGS[name])
    machine.random_timing(seed)
    result = run_rtl(machine, case)
    assert result.status is Status.OK
    assert_golden(case, machine.memory)
    expected = case.timeline.counters
    for counter, value in result.counters.items():
        assert counter in TIMES or value == expected.get(counter, 0), counter
    assert sum(result.counters[cause] for cause in CAUSES) == result.counters[CYCLES]
    return result.counters[CYCLES] - expected[CYCLES]


@pytest.mark.parametrize("seed", range(200, 225))
@pytest.mark.parametrize("name", QUICK)
def test_random_timing_changes_no_byte(name: str, seed: int) -> None:
    with borrowed_machine(name) as machine:
        assert check_random_timing(machine, name, seed) != 0
        machine.exact_timing()
        assert_agreement(machine, random_case(seed, CONFIGS[name]))


@pytest.mark.parametrize("seed", [300, 301, 302])
@pytest.mark.parametrize("divisor", [1, 2, 4])
@pytest.mark.parametrize("latency", [1, 7, 200])
@pytest.mark.parametrize("name", QUICK)
def test_fixed_times_give_the_exact_cycles(
    name: str, latency: int, divisor: int, seed: int
) -> None:
    """``divisor`` is the number of cycles that the memory takes for a beat of the bus."""
    times = {
        "memory_latency": latency,
        "memory_bytes_per_cycle": CONFIGS[name].bus_bytes // divisor,
    }
    config = AcceleratorConfig.from_mapping(CONFIGS[name].model_dump() | times)
    with borrowed_machine(name) as machine:
        machine.exact_timing(latency=config.memory_latency, interval=config.beat_interval)
        assert_agreement(machine, retimed(busy_case(seed, name), config))


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
def test_random_timing_soak(name: str) -> None:
    """Replay seed 1017 on `small`: check_random_timing(machine, "small", 1017)."""
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))
    with borrowed_machine(name) as machine:
        for seed in range(1000, 1000 + cases):
            try:
                check_random_timing(machine, name, seed)
            except AssertionError as error:
                raise AssertionError(f"seed {seed} on {name}") from error
