"""Runs a model on images, and compares every byte with the golden model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError
from compiler.driver import CompiledModel
from compiler.program import Program
from sim.golden.run import run_network
from sim.network import Alias, Bytes
from tilewright.images import Images
from tilewright.machines import CommandMachine, GoldenMachine, ImageRun, Machine, VerilogMachine


class Target(StrEnum):
    """What a model can run on."""

    GOLDEN = "golden"
    COMMAND = "command"
    RTL = "rtl"


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Images as the machine reads them, and their labels if known."""

    maps: Bytes
    """[N, height, width, channels]."""
    labels: NDArray[np.int64] | None


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """What one image's run showed."""

    correct: bool | None
    """None without a label."""
    compared_bytes: int
    mismatching_bytes: int
    counters: dict[str, int]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a run over images showed; fields without a clock or labels behind them are None."""

    model: str
    config: str
    on: str
    version: str
    images: int
    correct: int | None
    accuracy: float | None
    mismatching_bytes: int
    """Bytes that differ from the golden model, over every layer's output of every image."""
    compared_bytes: int
    cycles_per_image: float | None
    macs_per_image: int
    array_utilization: float | None
    """MACs / (PEs x cycles)."""
    memory_bytes: int | None
    """Bytes moved on the memory bus for one image, both ways."""
    simulated_cycles_per_second: float | None
    seconds: float
    counters: dict[str, int]
    """The machine's counters for the last image."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def open_machine(
    target: Target, program: Program, waveform: Path | None
) -> AbstractContextManager[Machine]:
    """The machine that ``target`` names, ready to run ``program``."""
    if target is Target.GOLDEN:
        return GoldenMachine(program)
    if target is Target.COMMAND:
        return CommandMachine(program)
    return VerilogMachine(program, waveform=waveform)


def prepare(compiled: CompiledModel, images: Images) -> Inputs:
    """Quantise ``images`` for the model.

    Raises ``InputError`` for images or labels that are none of this model's.
    """
    maps = compiled.model.input.quantise(images.images)
    if images.labels is not None:
        _check_labels(compiled, images.labels)
    return Inputs(maps=maps, labels=images.labels)


def _check_labels(compiled: CompiledModel, labels: NDArray[np.int64]) -> None:
    classes = int(np.prod(compiled.model.outputs[0].shape))
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise InputError(
            f"`labels` must be in 0..{classes - 1}, the classes of the model, got {wrong[0]}; "
            "number the classes from 0, or leave the labels out"
        )


def run_images(compiled: CompiledModel, inputs: Inputs, machine: Machine) -> Iterator[ImageResult]:
    """Run image by image, and compare with the golden model and the label."""
    program, port = compiled.program, compiled.model.outputs[0]
    name = _stored_as(program, port.tensor.name)
    for index, image in enumerate(inputs.maps):
        run = machine.run(image)
        correct = None
        if inputs.labels is not None:
            stored = {program.network.input.name: image, **run.maps}[name]
            scores = port.quantised(np.asarray(stored)[None])
            correct = bool(scores.argmax() == inputs.labels[index])
        yield _compare(run, run_network(program.network, image), correct)


def _compare(run: ImageRun, golden: Mapping[str, Bytes], correct: bool | None) -> ImageResult:
    return ImageResult(
        correct=correct,
        compared_bytes=sum(found.size for found in run.maps.values()),
        mismatching_bytes=sum(
            int(np.count_nonzero(found != golden[name])) for name, found in run.maps.items()
        ),
        counters=run.counters,
        seconds=run.seconds,
    )


def summarise(
    compiled: CompiledModel, target: Target, results: Sequence[ImageResult]
) -> Evaluation:
    """The sums and means over ``results``, of which there is at least one."""
    program = compiled.program
    config, counters, count = program.config, results[-1].counters, len(results)
    verdicts = [result.correct for result in results if result.correct is not None]
    cycles = sum(result.counters.get("cycles", 0) for result in results)
    seconds = sum(result.seconds for result in results)
    macs = sum(each.layer.macs for each in program.layers)
    beats = counters.get("memory_read_beats", 0) + counters.get("memory_write_beats", 0)
    return Evaluation(
        model=program.network.name,
        config=config.name,
        on=target.value,
        version=version("tilewright"),
        images=count,
        correct=sum(verdicts) if verdicts else None,
        accuracy=sum(verdicts) / count if verdicts else None,
        mismatching_bytes=sum(result.mismatching_bytes for result in results),
        compared_bytes=sum(result.compared_bytes for result in results),
        cycles_per_image=cycles / count if counters else None,
        macs_per_image=macs,
        array_utilization=macs * count / (config.rows * config.cols * cycles) if cycles else None,
        memory_bytes=beats * config.bus_bytes if counters else None,
        simulated_cycles_per_second=cycles / seconds if counters else None,
        seconds=seconds,
        counters=counters,
    )


def _stored_as(program: Program, tensor: str) -> str:
    """The name under which the bytes of ``tensor`` are read: that of the layer that wrote them."""
    aliases = {
        layer.output.name: layer.input.name
        for layer in program.network.layers
        if isinstance(layer, Alias)
    }
    while tensor in aliases:
        tensor = aliases[tensor]
    return tensor
