"""Programs to disturb, and what must hold after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from arch.commands import Engine
from arch.config import AcceleratorConfig
from arch.registers import STATUS_DONE, STATUS_INTERRUPT, Status
from compiler.place import place_network
from sim.rtl.machine import RtlMachine, RunResult
from tests.support.agreement import Case, assert_agreement, random_case
from tests.support.machines import CONFIGS, rtl_machine

SHORT, LONG = 1_000, 8_000
"""Cycles that a program to disturb takes."""

SLOWEST = 16
"""Random timing gives no beat or response later than so many times its time: a latency up to twice
as long, or a gap of up to 12 intervals and then some, before each."""


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
    return engines == set(Engine) and SHORT <= case.timeline.cycles <= LONG


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


def finish_in_error(machine: RtlMachine, expected: Status, max_cycles: int) -> RunResult:
    """The run under way must end with ``expected`` and the interrupt, within ``max_cycles``, and
    leave the machine idle."""
    result = machine.finish(max_cycles)
    assert result.status is expected
    # `finish` waited for the interrupt pin, and has cleared it.
    assert machine.read("status") == STATUS_DONE | expected << 8
    machine.advance(max_cycles)
    assert machine.read("status") & STATUS_INTERRUPT == 0
    return result


def assert_next_run_is_exact(machine: RtlMachine, case: Case) -> None:
    """Nothing of what happened before is left: bytes, cycles and counters are as ever."""
    machine.exact_timing()
    machine.inject_errors([])
    assert_agreement(machine, case)
