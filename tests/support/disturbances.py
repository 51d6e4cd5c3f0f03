"""Programs to disturb, and what must hold after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.registers import STATUS_DONE, STATUS_ERROR_SHIFT, Status
from compiler.place import place_network
from sim.rtl.machine import RtlMachine, RunResult
from tests.support.agreement import Case, assert_golden, random_case
from tests.support.hand_made import assert_same_counters
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.random_steps import random_program

SHORT, LONG = 1_000, 8_000
"""Cycles that a program to disturb takes."""


@contextmanager
def borrowed_machine(name: str) -> Iterator[RtlMachine]:
    """The shared machine ``name``, given back as it came, whatever happened to it."""
    machine = rtl_machine(name)
    try:
        yield machine
    finally:
        machine.exact_timing()
        machine.inject_errors([])
        machine.reset()


@cache
def busy_case(seed: int, name: str) -> Case:
    """The first random layer from ``seed`` * 1000 on that keeps all engines busy, for a while."""
    candidates = (random_case(1000 * seed + offset, CONFIGS[name]) for offset in range(1000))
    return next(case for case in candidates if is_busy(case))


def is_busy(case: Case) -> bool:
    """Whether ``case`` needs every engine, and takes neither too short nor too long."""
    engines = {command.engine for command in case.program.commands}
    return engines == set(Engine) and SHORT <= expected(case)["cycles"] <= LONG


@cache
def expected(case: Case) -> dict[str, int]:
    """The counters that the command-level simulator expects."""
    return case.timeline.counters


def retimed(case: Case, config: AcceleratorConfig) -> Case:
    """The same layer and image on a machine with another memory."""
    return Case(program=place_network(case.program.network, config), image=case.image)


def put_in_memory(machine: RtlMachine, case: Case) -> None:
    """Program and image in an otherwise empty memory."""
    program = case.program
    machine.memory[:] = 0
    machine.memory[: program.image.size] = program.image
    program.write_map(machine.memory, program.network.input, case.image)


def start(machine: RtlMachine, case: Case) -> None:
    """Begin to run ``case``, and leave it running."""
    put_in_memory(machine, case)
    machine.start(case.program.program_address, len(case.program.commands))


def drain_cycles(config: AcceleratorConfig) -> int:
    """Bound, in cycles, for what is outstanding on the bus to end, under exact timing: every burst
    of loads, stores and fetched commands, one after the other, and the reaction to it."""
    beats = 2 * config.outstanding_bursts * config.burst_beats + 8 * 64 // config.bus_bytes
    return 2 * config.memory_latency + beats * config.beat_interval + 64


def finish_in_error(machine: RtlMachine, error: Status, max_cycles: int) -> RunResult:
    """The run under way must end with ``error`` and the interrupt, within ``max_cycles``, and
    leave the machine idle."""
    result = machine.finish(max_cycles)
    assert result.status is error
    # `finish` waited for the interrupt pin, and has cleared it: nothing may follow.
    machine.advance(drain_cycles(machine.config))
    assert machine.read("status") == STATUS_DONE | error << STATUS_ERROR_SHIFT
    return result


def assert_next_run_is_exact(machine: RtlMachine, case: Case, seed: int) -> None:
    """Nothing of what happened before is left: bytes, cycles and counters are as ever; for an even
    seed of ``case``, for an odd one of a program whose commands begin in odder places than those
    of any compiler."""
    machine.exact_timing()
    machine.inject_errors([])
    if seed % 2:
        random_program(machine.config, seed, 40).check(machine)
    else:
        assert_run_is_exact(machine, case)


def assert_run_is_exact(machine: RtlMachine, case: Case) -> None:
    """``case`` must give golden bytes, and the cycles and counters of the command-level
    simulator."""
    start(machine, case)
    result = machine.finish(expected(case)["cycles"] + 100)
    assert result.status is Status.OK
    assert result.error_command == len(case.program.commands)
    assert_same_counters(result, expected(case))
    assert_golden(case, machine.memory)
