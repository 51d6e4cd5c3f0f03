"""Errors and aborts: each ends the run with its status and the interrupt, within bounded cycles;
and the next run of a good program is exact in bytes, cycles and counters.

The seed is in each test's name: it draws the programs, the places and the cycles.
"""

import random
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from arch.commands import COMMAND_BYTES, Command, Engine, pack
from arch.config import AcceleratorConfig
from arch.registers import CONTROL_ABORT, STATUS_DONE, Status
from sim.rtl.machine import ErrorRange, RtlMachine, RunResult
from tests.support.agreement import Case
from tests.support.disturbances import (
    assert_next_run_is_exact,
    assert_run_is_exact,
    borrowed_machine,
    busy_case,
    drain_cycles,
    expected,
    finish_in_error,
    put_in_memory,
    start,
)
from tests.support.hand_made import SLOWEST, command
from tests.support.illegal import illegal_commands
from tests.support.machines import CONFIGS, MEMORY_BYTES

QUICK = ("tiny", "uneven", "small")
BEYOND = MEMORY_BYTES
"""The first address that answers DECERR."""


def run_into_error(machine: RtlMachine, case: Case, error: Status) -> RunResult:
    """``case`` must end in the error, no later than it would end by itself and the bus be quiet."""
    start(machine, case)
    return finish_in_error(machine, error, expected(case)["cycles"] + drain_cycles(machine.config))


def of_engine(case: Case, engine: Engine) -> list[Command]:
    """The commands of one engine."""
    return [each for each in case.program.commands if each.engine is engine]


def byte_of(transfer: Command, draw: random.Random) -> int:
    """Address in memory of one of the bytes that ``transfer`` moves."""
    row = draw.randint(0, transfer["rows"])
    return (
        transfer["dram_address"]
        + row * transfer["dram_pitch"]
        + draw.randrange(transfer["row_bytes"])
    )


def last_byte(case: Case) -> int | None:
    """Address of the last byte that ``case`` stores; None if an earlier store has a beat there."""
    *others, last = of_engine(case, Engine.STORE)
    at = last["dram_address"] + last["rows"] * last["dram_pitch"] + last["row_bytes"] - 1
    bus = case.program.config.bus_bytes
    rows = (
        (other["dram_address"] + row * other["dram_pitch"], other["row_bytes"])
        for other in others
        for row in range(other["rows"] + 1)
    )
    shared = any(start // bus <= at // bus <= (start + size - 1) // bus for start, size in rows)
    return None if shared else at


def with_command(case: Case, index: int, word: bytes) -> Case:
    """``case`` with other bytes for one command."""
    image = case.program.image.copy()
    first = case.program.program_address + index * COMMAND_BYTES
    image[first : first + COMMAND_BYTES] = np.frombuffer(word, np.uint8)
    return replace(case, program=replace(case.program, image=image))


# Error responses.


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", QUICK)
def test_read_error_on_a_command(name: str, seed: int) -> None:
    draw, case = random.Random(seed), busy_case(seed % 5, name)
    commands = len(case.program.commands)
    index = draw.choice((0, commands - 1, draw.randrange(commands)))
    at = case.program.program_address + COMMAND_BYTES * index + draw.randrange(COMMAND_BYTES)
    with borrowed_machine(name) as machine:
        machine.inject_errors([ErrorRange(start=at, stop=at + 1, write=False)])
        result = run_into_error(machine, case, Status.READ_ERROR)
        assert result.error_command <= index
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", QUICK)
def test_read_error_on_data(name: str, seed: int) -> None:
    draw, case = random.Random(seed), busy_case(seed % 5, name)
    at = byte_of(draw.choice(of_engine(case, Engine.LOAD)), draw)
    with borrowed_machine(name) as machine:
        machine.inject_errors([ErrorRange(start=at, stop=at + 1, write=False)])
        run_into_error(machine, case, Status.READ_ERROR)
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", QUICK)
def test_write_error(name: str, seed: int) -> None:
    draw, case = random.Random(seed), busy_case(seed % 5, name)
    at = byte_of(draw.choice(of_engine(case, Engine.STORE)), draw)
    with borrowed_machine(name) as machine:
        machine.inject_errors([ErrorRange(start=at, stop=at + 1, read=False)])
        run_into_error(machine, case, Status.WRITE_ERROR)
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", QUICK)
def test_write_error_on_the_very_last_byte(name: str, seed: int) -> None:
    """The run is over but for the response: it must still not end well."""
    cases = (busy_case(each, name) for each in count(seed, 5))
    case, at = next((case, at) for case in cases if (at := last_byte(case)) is not None)
    with borrowed_machine(name) as machine:
        machine.inject_errors([ErrorRange(start=at, stop=at + 1, read=False)])
        result = run_into_error(machine, case, Status.WRITE_ERROR)
        assert result.error_command == len(case.program.commands)
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", QUICK)
def test_errors_under_random_timing(name: str, seed: int) -> None:
    """Whichever comes first of one of each."""
    draw, case = random.Random(seed), busy_case(seed % 5, name)
    read = byte_of(draw.choice(of_engine(case, Engine.LOAD)), draw)
    write = byte_of(draw.choice(of_engine(case, Engine.STORE)), draw)
    with borrowed_machine(name) as machine:
        machine.random_timing(seed)
        machine.inject_errors(
            [
                ErrorRange(start=read, stop=read + 1, write=False),
                ErrorRange(start=write, stop=write + 1, read=False),
            ]
        )
        start(machine, case)
        bound = SLOWEST * (expected(case)["cycles"] + drain_cycles(CONFIGS[name]))
        result = machine.finish(bound)
        assert result.status in (Status.READ_ERROR, Status.WRITE_ERROR)
        assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("address", [BEYOND, 1 << 31, (1 << 32) - 4096])
@pytest.mark.parametrize("engine", [Engine.LOAD, Engine.STORE])
@pytest.mark.parametrize("name", QUICK)
def test_transfer_beyond_the_memory(name: str, engine: Engine, address: int) -> None:
    """Wholly, or from its last but one byte on."""
    case = busy_case(0, name)
    error = Status.READ_ERROR if engine is Engine.LOAD else Status.WRITE_ERROR
    index, old = next(
        (index, each) for index, each in enumerate(case.program.commands) if each.engine is engine
    )
    with borrowed_machine(name) as machine:
        for first in (address, max(BEYOND - old["row_bytes"] + 1, 0)):
            target = {"target": 0} if engine is Engine.LOAD else {}
            moved = Command.of(engine, old.values | {"dram_address": first} | target)
            broken = with_command(case, index, pack(moved, CONFIGS[name]))
            run_into_error(machine, broken, error)
        assert_run_is_exact(machine, case)


@pytest.mark.parametrize("address", [BEYOND, 1 << 31, (1 << 32) - COMMAND_BYTES])
@pytest.mark.parametrize("name", QUICK)
def test_program_beyond_the_memory(name: str, address: int) -> None:
    with borrowed_machine(name) as machine:
        machine.start(address, 100)
        result = finish_in_error(machine, Status.READ_ERROR, drain_cycles(CONFIGS[name]))
        assert result.error_command == 0
        assert_run_is_exact(machine, busy_case(0, name))


def test_program_that_runs_out_of_the_memory() -> None:
    """The commands before the end of memory are dispatched, and nothing of the last one."""
    store = command(Engine.STORE, row_bytes=1)
    with borrowed_machine("tiny") as machine:
        program = np.frombuffer(pack(store, CONFIGS["tiny"]) * 5, np.uint8)
        machine.memory[-program.size :] = program
        machine.start(machine.memory.size - program.size, 6)
        result = finish_in_error(machine, Status.READ_ERROR, 1000)
        assert result.error_command <= 5
        assert_run_is_exact(machine, busy_case(0, "tiny"))


# Illegal commands.


@pytest.mark.parametrize(
    ("name", "rule"),
    [(name, rule) for name in ("tiny", "uneven") for rule in illegal_commands(CONFIGS[name])],
)
def test_illegal_command(name: str, rule: str) -> None:
    """At a random place among good ones, which have all been dispatched; on random memories too."""
    draw, case = random.Random(f"{name} {rule}"), busy_case(len(rule) % 5, name)
    index = draw.randrange(len(case.program.commands))
    before = case.program.commands[:index]
    counts = {engine: sum(each.engine is engine for each in before) for engine in Engine}
    broken = with_command(case, index, illegal_commands(CONFIGS[name])[rule](CONFIGS[name], counts))
    with borrowed_machine(name) as machine:
        result = run_into_error(machine, broken, Status.ILLEGAL_COMMAND)
        assert result.error_command == index
        machine.random_timing(index)
        start(machine, broken)
        bound = SLOWEST * (expected(case)["cycles"] + drain_cycles(CONFIGS[name]))
        assert finish_in_error(machine, Status.ILLEGAL_COMMAND, bound).error_command == index
        assert_next_run_is_exact(machine, case, index)


# Two engines on one bank.

ENDLESS = {
    "execute reads": command(
        Engine.EXECUTE, height=1, width=4, ky_count=4095, kx_count=4095, oy_count=7, ox_count=3
    ),
    "execute adds": command(Engine.EXECUTE, accumulate=1, ky_count=4095, kx_count=4095, ox_count=7),
    "post reads": command(
        Engine.POST, source=1, height=1, width=1, py_count=4095, wx_count=4095, out_address=3000
    ),
    "post drains": command(
        Engine.POST, height=1, width=1, py_count=4095, wx_count=4095, out_address=3000
    ),
    "post writes": command(Engine.POST, py_count=4095, px_count=255, channels=3, out_px=1),
    "store reads": command(Engine.STORE, row_bytes=64, rows=4095, dram_address=4096),
    "load writes": command(Engine.LOAD, row_bytes=64, rows=4095, dram_address=4096),
}
"""Commands that take an engine to the first bank of a storage, over and over, and never wait."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("execute reads", "post reads"),
        ("execute reads", "store reads"),
        ("post reads", "store reads"),
        ("load writes", "post writes"),
        ("execute adds", "post drains"),
    ],
)
@pytest.mark.parametrize("name", QUICK)
def test_two_engines_on_one_bank(name: str, one: str, other: str) -> None:
    config, case = CONFIGS[name], busy_case(1, name)
    with borrowed_machine(name) as machine:
        for seed, pair in enumerate(((one, other), (other, one))):
            put_in_memory(machine, case)
            program = b"".join(pack(ENDLESS[each], config) for each in pair)
            machine.memory[: len(program)] = np.frombuffer(program, np.uint8)
            machine.start(0, len(pair))
            result = finish_in_error(machine, Status.BANK_CONFLICT, 2000 + drain_cycles(config))
            assert result.error_command == len(pair)
            assert_next_run_is_exact(machine, case, seed)


@pytest.mark.parametrize("each", ENDLESS)
def test_one_engine_alone_is_no_conflict(each: str) -> None:
    """Also for a while, so that the test above is about pairs."""
    with borrowed_machine("tiny") as machine:
        program = np.frombuffer(pack(ENDLESS[each], CONFIGS["tiny"]), np.uint8)
        machine.memory[: program.size] = program
        machine.start(0, 1)
        machine.advance(5000)
        machine.write("control", CONTROL_ABORT)
        finish_in_error(machine, Status.ABORTED, drain_cycles(CONFIGS["tiny"]))


# Aborts.


def abort(machine: RtlMachine, case: Case, cycles: int, bound: int) -> None:
    """Abort ``case`` so many cycles after its start: it must end within ``bound`` cycles more."""
    start(machine, case)
    machine.advance(cycles)
    before = machine.read("cycles")
    machine.write("control", CONTROL_ABORT)
    result = finish_in_error(machine, Status.ABORTED, bound)
    assert before < result.counters["cycles"] <= before + bound


def abort_cycles(config: AcceleratorConfig) -> int:
    """Bound from the reading of a counter to the end of the run that is then aborted."""
    return drain_cycles(config) + 32


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", QUICK)
def test_abort(name: str, seed: int) -> None:
    draw = random.Random(seed)
    victim, following = busy_case(seed % 5, name), busy_case(seed % 5 + 1, name)
    with borrowed_machine(name) as machine:
        for _ in range(4):
            # The accesses take some cycles themselves.
            moment = draw.randrange(expected(victim)["cycles"] - 32)
            abort(machine, victim, moment, abort_cycles(CONFIGS[name]))
        assert_next_run_is_exact(machine, following, seed)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", QUICK)
def test_abort_under_random_timing(name: str, seed: int) -> None:
    draw = random.Random(seed)
    victim, following = busy_case(seed % 5, name), busy_case(seed % 5 + 1, name)
    with borrowed_machine(name) as machine:
        for _ in range(4):
            machine.random_timing(draw.getrandbits(32))
            moment = draw.randrange(expected(victim)["cycles"] // 2)
            abort(machine, victim, moment, SLOWEST * abort_cycles(CONFIGS[name]))
        assert_next_run_is_exact(machine, following, seed)


def test_an_abort_of_nothing_does_nothing() -> None:
    case = busy_case(0, "tiny")
    with borrowed_machine("tiny") as machine:
        machine.write("control", CONTROL_ABORT)
        assert machine.read("status") == 0
        assert_run_is_exact(machine, case)
        machine.write("control", CONTROL_ABORT)
        assert machine.read("status") == STATUS_DONE
        assert_run_is_exact(machine, case)
