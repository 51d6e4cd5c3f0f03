"""Runs a model on images, and compares every byte with the golden model."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import numpy as np

from compiler.driver import CompiledModel
from compiler.program import Program
from sim.golden.run import run_network
from sim.network import Conv
from tilewright.images import Images
from tilewright.machines import (
    CommandMachine,
    GoldenMachine,
    ImageRun,
    Machine,
    VerilogMachine,
)


class Target(StrEnum):
    """What a model can run on."""

    GOLDEN = "golden"
    COMMAND = "command"
    RTL = "rtl"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a run over images showed; fields without a clock or labels behind them are None."""

    model: str
    config: str
    on: str
    version: str
    images: int
    labelled: bool
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


def evaluate(
    compiled: CompiledModel,
    images: Images,
    target: Target,
    runs: Iterable[ImageRun],
) -> Evaluation:
    """Compare ``runs``, one for each image in order, with the golden model and the labels."""
    program = compiled.program
    quantised = compiled.model.input.quantise(images.images)
    port = compiled.model.outputs[0]
    mismatches = compared = correct = count = cycles = 0
    seconds = 0.0
    counters: dict[str, int] = {}
    for index, run in enumerate(runs):
        golden = run_network(program.network, quantised[index])
        for name, found in run.maps.items():
            compared += found.size
            mismatches += int(np.count_nonzero(found != golden[name]))
        if images.labels is not None:
            scores = port.quantised(
                np.asarray(run.maps[program_map(program, port.tensor.name)])[None]
            )
            correct += int(scores[0].argmax() == images.labels[index])
        counters = run.counters
        cycles += counters.get("cycles", 0)
        seconds += run.seconds
        count += 1
    config = program.config
    macs = sum(each.layer.shape.macs for each in program.layers if isinstance(each.layer, Conv))
    beats = counters.get("memory_read_beats", 0) + counters.get("memory_write_beats", 0)
    labelled = images.labels is not None
    return Evaluation(
        model=program.network.name,
        config=config.name,
        on=target.value,
        version=version("tilewright"),
        images=count,
        labelled=labelled,
        correct=correct if labelled else None,
        accuracy=correct / count if labelled else None,
        mismatching_bytes=mismatches,
        compared_bytes=compared,
        cycles_per_image=cycles / count if counters else None,
        macs_per_image=macs,
        array_utilization=macs * count / (config.rows * config.cols * cycles) if cycles else None,
        memory_bytes=beats * config.bus_bytes if counters else None,
        simulated_cycles_per_second=cycles / seconds if counters else None,
        seconds=seconds,
        counters=counters,
    )


def program_map(program: Program, tensor: str) -> str:
    """The name under which the bytes of ``tensor`` are read: that of the layer that wrote them."""
    aliases = {
        layer.output.name: layer.input.name
        for layer in program.network.layers
        if layer.output.name not in {placed.layer.output.name for placed in program.layers}
    }
    while tensor in aliases:
        tensor = aliases[tensor]
    return tensor
