"""How fast networks run on the machine, beside what they should reach and what others published.

Cycles are the command-level simulator's, which equal the RTL's; nothing but the layers' shapes is
needed for them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from arch.presets import PRESETS
from compiler.schedule import Schedule, schedule_network
from sim.command.timeline import TimelineSimulator
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network
from tilewright.progress import working
from tilewright.timing import LayerTiming, time_schedule

CONFIG = "gemmini16"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure and what it should be: at least ``target``, or at most if ``at_most``.

    ``marks`` are figures that others published for the same work.
    """

    what: str
    value: float
    target: float
    unit: str = "%"
    at_most: bool = False
    marks: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target if self.at_most else self.value >= self.target


def targets() -> Iterator[Target]:
    """All figures, measured."""
    yield from _of_convolutions()
    yield from _of_products()
    yield _used("mobilenet-v1, whole network", "mobilenet-v1", 75, lambda _: True)
    for name in ("alexnet", "vgg-16", "resnet-50"):
        yield _bandwidth(name)
    resnet = time_schedule(schedule("resnet-50"))
    assert resnet.ratio is not None
    yield Target(
        what="resnet-50: cycles / sum of each layer's higher bound",
        value=resnet.ratio,
        target=1.05,
        unit="",
        at_most=True,
    )
    yield Target(
        what="resnet-50: working out the timeline, CPU time",
        value=_timeline_seconds(schedule("resnet-50")),
        target=1.0,
        unit="s",
        at_most=True,
    )


def _of_convolutions() -> Iterator[Target]:
    marks = {
        "resnet-50": (94, "51 % (Gemmini, 16x16), 69 % (NVDLA, 256 MACs), 88.3 % (ASIC, 672 PEs)"),
        "vgg-16": (98, "96.5 % (the same ASIC)"),
        "alexnet": (90, "77.2 % (the same ASIC)"),
    }
    for name, (target, mark) in marks.items():
        yield _used(f"{name}, convolutions", name, target, _is_convolution, mark)


def _of_products() -> Iterator[Target]:
    marks = {"gemm-512": (98, "96.5 %, 543,240 cycles"), "gemm-64": (60, "26.9 %, 3,810 cycles")}
    for name, (target, mark) in marks.items():
        yield _used(name, name, target, lambda _: True, f"{mark} (Gemmini's RTL)")


def _used(
    what: str, name: str, target: float, counts: Callable[[LayerTiming], bool], marks: str = ""
) -> Target:
    """How much of the array the layers use that ``counts`` chooses, in their cycles."""
    config = PRESETS[CONFIG]
    with working(f"timing {name}"):
        timing = time_schedule(schedule(name))
    chosen = [layer for layer in timing.layers if counts(layer)]
    whole = len(chosen) == len(timing.layers)
    cycles = timing.cycles if whole else sum(layer.cycles for layer in chosen)
    macs = sum(layer.macs for layer in chosen)
    return Target(
        what=f"{what}: MACs / (PEs x cycles), {cycles:,} cycles",
        value=100 * macs / (config.rows * config.cols * cycles),
        target=target,
        marks=marks,
    )


def _bandwidth(name: str) -> Target:
    """The least that a fully connected layer reaches of the memory's bandwidth."""
    layers = [layer for layer in time_schedule(schedule(name)).layers if _is_product(layer)]
    slowest = min(layers, key=lambda layer: layer.bounds.memory / layer.cycles)
    return Target(
        what=f"{name}, {slowest.name}, the slowest of its fully connected layers: "
        "memory bound / cycles",
        value=100 * slowest.bounds.memory / slowest.cycles,
        target=95,
    )


def _is_product(layer: LayerTiming) -> bool:
    """Whether it is fully connected: a convolution that gives one pixel."""
    return layer.macs > 0 and layer.output.startswith("1x1x")


def _is_convolution(layer: LayerTiming) -> bool:
    return layer.macs > 0 and not _is_product(layer)


@cache
def schedule(name: str) -> Schedule:
    """A built-in network, compiled from its shapes."""
    config = PRESETS[CONFIG]
    network = shape_network(
        build(name), activation_bits=config.activation_bits, weight_bits=config.weight_bits
    )
    return schedule_network(network, config, timing_only=True)


def _timeline_seconds(of: Schedule) -> float:
    began = time.process_time()
    for program in of.programs:
        TimelineSimulator(program.config).run(program.commands)
    return time.process_time() - began


def block_layers(of: Schedule, block: str) -> Sequence[str]:
    """The layers of one block by name."""
    names = (placed.layer.name for program in of.programs for placed in program.layers)
    return [name for name in names if name.startswith(f"{block}.")]
