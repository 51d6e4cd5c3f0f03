"""Runs a model on images, and compares every byte with the golden model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compiler.driver import CompiledModel
from compiler.ports import ResultPort
from compiler.schedule import HostTraffic, Schedule
from sim.golden.run import run_network, run_results
from sim.network import Alias, Bytes, Network
from tilewright.images import Images, check_labels
from tilewright.machines import (
    CommandMachine,
    GoldenMachine,
    ImageRun,
    Machine,
    VerilogMachine,
    summed,
)
from tilewright.targets import Target


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
    parts: tuple[dict[str, int], ...]
    """Counters of each program."""
    seconds: float

    @property
    def counters(self) -> dict[str, int]:
        """Counters of all programs together."""
        return summed(self.parts)


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
    """The machine's counters for the last image, summed over its programs."""
    parts: tuple[dict[str, int], ...]
    """The same for each program, where the host runs something in between; else empty."""
    host: tuple[HostTraffic, ...]
    """What the host runs, which has no part in cycles and counters."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def open_machine(
    target: Target, schedule: Schedule, waveform: Path | None
) -> AbstractContextManager[Machine]:
    """The machine that ``target`` names, ready to run ``schedule``."""
    if target is Target.GOLDEN:
        return GoldenMachine(schedule)
    if target is Target.COMMAND:
        return CommandMachine(schedule)
    return VerilogMachine(schedule, waveform=waveform)


def prepare(compiled: CompiledModel, images: Images) -> Inputs:
    """Quantise ``images`` for the model.

    Raises ``InputError`` for images or labels that are none of this model's.
    """
    maps = compiled.model.input.quantise(images.images)
    if images.labels is not None:
        check_labels(images.labels, compiled.model.outputs[0])
    return Inputs(maps=maps, labels=images.labels)


def run_images(compiled: CompiledModel, inputs: Inputs, machine: Machine) -> Iterator[ImageResult]:
    """Run image by image, and compare with the golden model and the label."""
    network = compiled.schedule.network
    for index, image in enumerate(inputs.maps):
        run = machine.run(image)
        correct = None
        if inputs.labels is not None:
            correct = bool(_prediction(compiled, run, image) == inputs.labels[index])
        maps = run_network(network, image)
        yield _compare(run, {**maps, **_tagged(run_results(network, image, maps))}, correct)


def _prediction(compiled: CompiledModel, run: ImageRun, image: Bytes) -> int:
    """The class that the first output tells."""
    network, port = compiled.schedule.network, compiled.model.outputs[0]
    if isinstance(port, ResultPort):
        return port.predicted(run.results[port.result.name])
    stored = {network.input.name: image, **run.maps}[_stored_as(network, port.tensor.name)]
    return int(port.quantised(np.asarray(stored)[None]).argmax())


def _tagged(results: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Results apart from maps of the same name."""
    return {f"result {name}": values for name, values in results.items()}


def _compare(
    run: ImageRun, golden: Mapping[str, NDArray[np.generic]], correct: bool | None
) -> ImageResult:
    """Byte by byte, so that a NaN equals itself."""
    found = {**run.maps, **_tagged(run.results)}
    pairs = [(_bytes(values), _bytes(golden[name])) for name, values in found.items()]
    return ImageResult(
        correct=correct,
        compared_bytes=sum(mine.size for mine, _ in pairs),
        mismatching_bytes=sum(int(np.count_nonzero(mine != theirs)) for mine, theirs in pairs),
        parts=run.parts,
        seconds=run.seconds,
    )


def _bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def summarise(
    compiled: CompiledModel, target: Target, results: Sequence[ImageResult]
) -> Evaluation:
    """The sums and means over ``results``, of which there is at least one."""
    schedule = compiled.schedule
    config, counters, count = schedule.config, results[-1].counters, len(results)
    verdicts = [result.correct for result in results if result.correct is not None]
    cycles = sum(result.counters.get("cycles", 0) for result in results)
    seconds = sum(result.seconds for result in results)
    layers = [each.layer for program in schedule.programs for each in program.layers]
    macs = sum(layer.macs for layer in layers)
    beats = counters.get("memory_read_beats", 0) + counters.get("memory_write_beats", 0)
    return Evaluation(
        model=schedule.network.name,
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
        parts=results[-1].parts if len(results[-1].parts) > 1 else (),
        host=tuple(schedule.host_traffic()),
    )


def _stored_as(network: Network, tensor: str) -> str:
    """The name under which the bytes of ``tensor`` are read: that of the layer that wrote them."""
    aliases = {
        layer.output.name: layer.input.name for layer in network.layers if isinstance(layer, Alias)
    }
    while tensor in aliases:
        tensor = aliases[tensor]
    return tensor
