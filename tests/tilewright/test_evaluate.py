"""Evaluation: what it counts, seen with machines that err on purpose."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from arch.errors import InputError
from arch.presets import PRESETS
from compiler.driver import CompiledModel, compile_file
from compiler.passes import PASSES
from sim.network import Bytes
from tests.support.command_line import DIGITS
from tilewright.evaluate import Evaluation, open_machine, prepare, run_images, summarise
from tilewright.images import Images, load_images
from tilewright.machines import CommandMachine, GoldenMachine, ImageRun
from tilewright.targets import Target

COUNT = 4


@cache
def compiled() -> CompiledModel:
    """Without passes, so that every layer's map can be compared."""
    names = [each.name for each in PASSES]
    return compile_file(DIGITS / "digits_int8.onnx", PRESETS["small"], without=names)


def images() -> Images:
    return load_images(DIGITS / "test.npz", COUNT)


class Altered(CommandMachine):
    """The command-level simulator, with its results changed by ``alter``."""

    def __init__(self, alter: Callable[[ImageRun], None]) -> None:
        super().__init__(compiled().schedule)
        self._alter = alter

    def run(self, image: Bytes) -> ImageRun:
        run = super().run(image)
        self._alter(run)
        return run


def evaluated(alter: Callable[[ImageRun], None]) -> Evaluation:
    results = run_images(compiled(), prepare(compiled(), images()), Altered(alter))
    return summarise(compiled(), Target.COMMAND, list(results))


def test_a_faultless_machine() -> None:
    result = evaluated(lambda _: None)
    program = compiled().program
    cycles = result.counters["cycles"]
    assert (result.images, result.correct, result.accuracy) == (COUNT, COUNT, 1.0)
    assert result.mismatching_bytes == 0
    assert result.compared_bytes == COUNT * (8 * 8 * 12 + 4 * 4 * 20 + 4 * 4 * 30 + 2 * 2 * 30 + 10)
    assert result.cycles_per_image == cycles
    assert result.macs_per_image == 8 * 8 * 12 * 9 + 16 * 20 * 108 + 16 * 30 * 180 + 120 * 10
    assert result.array_utilization == pytest.approx(result.macs_per_image / (64 * cycles))
    beats = result.counters["memory_read_beats"] + result.counters["memory_write_beats"]
    assert result.memory_bytes == 8 * beats
    assert (result.model, result.config, result.on) == ("digits", "small", "command")
    assert result.simulated_cycles_per_second == pytest.approx(COUNT * cycles / result.seconds)
    assert result.as_dict().keys() >= {"version", "simulated_cycles_per_second"}
    assert program.config.bus_bytes == 8


@pytest.mark.parametrize("layer", range(5))
def test_one_wrong_byte_of_any_layer_is_counted(layer: int) -> None:
    name = compiled().program.layers[layer].layer.output.name

    def alter(run: ImageRun) -> None:
        run.maps[name] = run.maps[name].copy()
        run.maps[name].view(np.uint8).flat[-1] ^= 1

    assert evaluated(alter).mismatching_bytes == COUNT


def test_a_wrong_class_is_counted() -> None:
    logits = compiled().program.layers[-1].layer.output.name

    def alter(run: ImageRun) -> None:
        run.maps[logits] = np.roll(run.maps[logits], 1, axis=2)

    result = evaluated(alter)
    assert (result.correct, result.accuracy) == (0, 0.0)


def test_without_labels_nothing_is_said_of_correctness() -> None:
    inputs = prepare(compiled(), Images(images=images().images, labels=None))
    with open_machine(Target.GOLDEN, compiled().schedule, None) as machine:
        assert isinstance(machine, GoldenMachine)
        result = summarise(compiled(), Target.GOLDEN, list(run_images(compiled(), inputs, machine)))
    assert (result.images, result.correct, result.accuracy) == (COUNT, None, None)


def test_the_golden_model_has_no_clock() -> None:
    inputs = prepare(compiled(), images())
    with open_machine(Target.GOLDEN, compiled().schedule, None) as machine:
        result = summarise(compiled(), Target.GOLDEN, list(run_images(compiled(), inputs, machine)))
    assert (result.mismatching_bytes, result.correct) == (0, COUNT)
    assert result.counters == {}
    assert result.cycles_per_image is result.array_utilization is result.memory_bytes is None
    assert result.simulated_cycles_per_second is None


def test_labels_of_another_model_are_refused() -> None:
    labels = np.array([0, 1, 2, 12])
    with pytest.raises(InputError) as raised:
        prepare(compiled(), Images(images=images().images, labels=labels))
    assert str(raised.value) == (
        "`labels` must be in 0..9, the classes of the model, got 12; "
        "number the classes from 0, or leave the labels out"
    )
