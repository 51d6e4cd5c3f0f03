"""The digits example, whole: real handwriting through golden model, command-level simulator and
RTL, against each other, against ONNX Runtime, and layer by layer."""

from functools import cache

import numpy as np
import onnxruntime
import pytest

from arch.commands import COMMAND_BYTES
from arch.counters import COUNTER_NAMES
from arch.registers import Status
from compiler.driver import CompiledModel, compile_file
from compiler.program import pack_all
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.rtl.machine import RtlMachine
from tests.support.command_line import DIGITS
from tests.support.machines import CONFIGS, rtl_machine, verilog_of
from tests.support.qdq_models import golden_output, onnxruntime_output
from tilewright.evaluate import Evaluation, Inputs, prepare, run_images, summarise
from tilewright.images import Images, load_images
from tilewright.machines import CommandMachine, VerilogMachine
from tilewright.targets import Target

HELD_OUT = 599
RTL_IMAGES = 100
RTL_CONFIGS = ("small", "tiny")
PAGE = 4096
LIMIT = 1_000_000


@cache
def compiled(config: str) -> CompiledModel:
    return compile_file(DIGITS / "digits_int8.onnx", CONFIGS[config])


@cache
def images() -> Images:
    return load_images(DIGITS / "test.npz", None)


def inputs(config: str, count: int) -> Inputs:
    whole = prepare(compiled(config), images())
    assert whole.labels is not None
    return Inputs(maps=whole.maps[:count], labels=whole.labels[:count])


@cache
def on_command(config: str) -> Evaluation:
    """All held-out images on the command-level simulator."""
    model = compiled(config)
    runs = run_images(model, inputs(config, HELD_OUT), CommandMachine(model.schedule))
    return summarise(model, Target.COMMAND, list(runs))


def onnxruntime_classes(file: str) -> np.ndarray:
    """The class that ONNX Runtime gives to each held-out image."""
    session = onnxruntime.InferenceSession(DIGITS / file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images().images})
    return np.asarray(logits.argmax(axis=1))


@pytest.mark.parametrize("config", ["small", "tiny", "gemmini16"])
def test_every_held_out_image_on_the_command_level_simulator(config: str) -> None:
    result = on_command(config)
    assert result.images == HELD_OUT
    assert result.mismatching_bytes == 0
    program = compiled(config).program
    outputs = [each.layer.output for each in program.layers]
    bytes_per_image = sum(spec.shape.elements for spec in outputs if spec.name in program.maps)
    assert result.compared_bytes == HELD_OUT * bytes_per_image


@pytest.mark.parametrize("config", RTL_CONFIGS)
def test_a_hundred_images_on_the_rtl(config: str) -> None:
    model = compiled(config)
    expected = on_command(config).counters
    assert tuple(expected) == COUNTER_NAMES
    with VerilogMachine(model.schedule, verilog=verilog_of(config)) as machine:
        results = list(run_images(model, inputs(config, RTL_IMAGES), machine))
    assert len(results) == RTL_IMAGES
    assert sum(each.mismatching_bytes for each in results) == 0
    for each in results:
        assert each.counters == expected


@pytest.mark.parametrize("config", RTL_CONFIGS)
def test_each_layer_alone_on_the_rtl(config: str) -> None:
    """Each layer's own program, run on what the layers before it left in memory and on chip."""
    program = compiled(config).program
    machine = rtl_machine(config)
    image = inputs(config, 1).maps[0]
    golden = run_network(program.network, image)
    machine.memory[:] = 0
    machine.memory[: program.image.size] = program.image
    program.write_map(machine.memory, program.network.input, image)
    for index, placed in enumerate(program.layers):
        commands = program.isolated(index)
        expected = TimelineSimulator(program.config).run(commands).counters
        found = run_at(machine, program.image.size, pack_all(commands, program.config))
        assert found == {name: expected.get(name, 0) for name in found}, placed.layer.name
        if placed.layer.output.name in program.maps:
            output = program.read_map(machine.memory, placed.layer.output)
            assert np.array_equal(output, golden[placed.layer.output.name]), placed.layer.name


def run_at(machine: RtlMachine, end: int, program: bytes) -> dict[str, int]:
    """The counters of ``program``, placed behind the first ``end`` bytes of memory."""
    start = -(-end // PAGE) * PAGE
    machine.memory[start : start + len(program)] = np.frombuffer(program, np.uint8)
    result = machine.run(start, len(program) // COMMAND_BYTES, LIMIT)
    assert result.status is Status.OK
    return result.counters


def test_logits_are_those_of_onnx_runtime() -> None:
    path = DIGITS / "digits_int8.onnx"
    ours = golden_output(compiled("small").model, images().images)
    assert ours.shape == (HELD_OUT, 10)
    assert np.array_equal(ours, onnxruntime_output(path, images().images))


def test_quantising_costs_less_than_a_point_of_accuracy() -> None:
    labels = images().labels
    float_accuracy = np.mean(onnxruntime_classes("digits_float.onnx") == labels)
    accuracy = on_command("small").accuracy
    assert accuracy is not None
    assert float_accuracy >= 0.97
    assert abs(accuracy - float_accuracy) <= 0.01
