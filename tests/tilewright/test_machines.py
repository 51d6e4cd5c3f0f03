"""Machines that run a program image by image."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from arch.commands import COMMAND_BYTES
from arch.errors import RunError
from arch.presets import PRESETS
from compiler.driver import CompiledModel, compile_file
from compiler.schedule import Schedule
from sim.golden.run import run_network
from sim.network import Bytes
from tests.support.command_line import DIGITS
from tests.support.machines import verilog_of
from tilewright.images import load_images
from tilewright.machines import CommandMachine, GoldenMachine, Machine, VerilogMachine


@cache
def compiled() -> CompiledModel:
    return compile_file(DIGITS / "digits_int8.onnx", PRESETS["tiny"])


@cache
def images() -> Bytes:
    return compiled().model.input.quantise(load_images(DIGITS / "test.npz", 3).images)


def damaged(schedule: Schedule, command: int) -> Schedule:
    """``schedule`` with an unknown opcode in ``command`` of its program."""
    program = schedule.program
    image = program.image.copy()
    image[program.program_address + command * COMMAND_BYTES] = 0
    return replace(schedule, stages=(replace(program, image=image),))


def assert_golden(machine: Machine, image: Bytes) -> None:
    program = compiled().program
    golden = run_network(program.network, image)
    run = machine.run(image)
    names = [placed.layer.output.name for placed in program.layers]
    assert list(run.maps) == [name for name in names if name in program.maps]
    assert program.network.outputs[0].name in run.maps
    for name, found in run.maps.items():
        assert np.array_equal(found, golden[name])


def rtl(schedule: Schedule) -> VerilogMachine:
    return VerilogMachine(schedule, verilog=verilog_of("tiny"))


@pytest.mark.parametrize("kind", [GoldenMachine, CommandMachine, rtl])
def test_every_map_of_every_image_in_any_order(
    kind: Callable[[Schedule], AbstractContextManager[Machine]],
) -> None:
    with kind(compiled().schedule) as machine:
        for index in (0, 2, 1, 0):
            assert_golden(machine, images()[index])


def test_rtl_and_command_level_count_alike() -> None:
    schedule = compiled().schedule
    expected = CommandMachine(schedule).run(images()[0]).counters
    with rtl(schedule) as machine:
        found = machine.run(images()[0]).counters
    assert list(found.items()) == list(expected.items())
    assert found["cycles"] > 0


def test_an_error_status_is_an_error() -> None:
    schedule = damaged(compiled().schedule, 5)
    with rtl(schedule) as machine, pytest.raises(RunError) as raised:
        machine.run(images()[0])
    assert str(raised.value) == (
        f"a run must end with status OK, got ILLEGAL_COMMAND at command 5 of "
        f"{len(schedule.program.commands)}; look at its waveform (--vcd)"
    )
