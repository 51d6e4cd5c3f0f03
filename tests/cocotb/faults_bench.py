"""Errors, aborts and resets in mid-run: each ends as it must, and the next run is exact."""

from typing import Any

from cocotb.triggers import ClockCycles

from arch.commands import COMMAND_BYTES
from arch.registers import CONTROL_ABORT, Status
from tests.cocotb.cases import random_case
from tests.cocotb.machine import Machine
from tests.cocotb.watch import bounded_test
from tests.support.agreement import Case
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random

ROUNDS = 4


class Bench:
    """A machine and a layer that runs on it."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, bench_random()
        self.machine = Machine(dut, "random", self.rng)

    def case(self) -> Case:
        config = CONFIGS[bench_parameters()["config"]]
        return random_case("conv", self.rng.getrandbits(32), config)


def feature_map(case: Case, *, output: bool) -> range:
    """Where the network's output, or its input, lies in memory."""
    network = case.program.network
    spec = network.outputs[0] if output else network.input
    start = case.program.maps[spec.name].address
    return range(start, start + spec.shape.elements)


@bounded_test
async def an_error_response_ends_the_run_and_the_next_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    machine = bench.machine
    await machine.reset()
    case = bench.case()
    program = case.program.program_address
    for bad, status in (
        (feature_map(case, output=False), Status.READ_ERROR),
        (range(program + COMMAND_BYTES, program + 2 * COMMAND_BYTES), Status.READ_ERROR),
        (feature_map(case, output=True), Status.WRITE_ERROR),
    ):
        machine.memory.bad = bad
        await machine.start(case)
        assert await machine.finish() is status
        machine.memory.bad = range(0)
        await machine.run_exactly(case)


@bounded_test
async def an_illegal_command_ends_the_run_and_the_next_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    machine = bench.machine
    await machine.reset()
    case = bench.case()
    image, first = case.program.image, case.program.program_address
    bad = first + COMMAND_BYTES * bench.rng.randrange(len(case.program.commands))
    legal = image[bad]
    image[bad] = legal & 0xF8
    await machine.start(case)
    assert await machine.finish() is Status.ILLEGAL_COMMAND
    assert await machine.read("error_command") == (bad - first) // COMMAND_BYTES
    image[bad] = legal
    await machine.run_exactly(case)


@bounded_test
async def an_abort_ends_the_run_and_the_next_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    machine = bench.machine
    await machine.reset()
    for _ in range(ROUNDS):
        case = bench.case()
        await machine.start(case)
        await ClockCycles(dut.aclk, bench.rng.randint(1, case.timeline.cycles))
        was_busy = await machine.is_busy()
        await machine.write("control", CONTROL_ABORT)
        status = await machine.finish()
        assert status in ({Status.OK, Status.ABORTED} if was_busy else {Status.OK})
        await machine.run_exactly(case)


@bounded_test
async def after_a_reset_in_mid_run_the_next_is_exact(dut: Any) -> None:
    bench = Bench(dut)
    machine = bench.machine
    await machine.reset()
    for _ in range(ROUNDS):
        case = bench.case()
        await machine.start(case)
        await ClockCycles(dut.aclk, bench.rng.randint(1, case.timeline.cycles))
        await machine.reset()
        assert await machine.read("status") == 0
        await machine.run_exactly(case)
