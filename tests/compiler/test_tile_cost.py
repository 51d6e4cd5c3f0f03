"""Mappings against what bounds them, in exact cycles."""

import pytest

from arch.config import ceil_div
from arch.layers import FeatureMap
from arch.presets import PRESETS
from compiler.place import place_network
from compiler.schedule import schedule_network
from sim.command.timeline import TimelineSimulator
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import NetworkGraph
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network
from tilewright.timing import time_schedule

LARGE = PRESETS["gemmini16"]


def cycles(graph: NetworkGraph) -> int:
    """What ``graph`` takes on ``gemmini16``, from start to end."""
    program = place_network(shape_network(graph), LARGE, timing_only=True)
    return TimelineSimulator(LARGE).run(program.commands).cycles


@pytest.mark.parametrize("inputs", [1024, 2048, 4096, 9216])
def test_a_fully_connected_layer_runs_at_the_memory_s_rate(inputs: int) -> None:
    outputs = 1024
    net = Builder("dense", FeatureMap(height=1, width=1, channels=inputs))
    found = cycles(net.graph(net.linear(net.input, outputs)))
    bound = ceil_div(inputs * outputs + inputs + outputs, LARGE.memory_bytes_per_cycle)
    assert bound <= found <= bound / 0.95


def test_a_large_product_fills_the_array() -> None:
    ideal = 512**3 // (LARGE.rows * LARGE.cols)
    assert ideal <= cycles(build("gemm-512")) <= ideal / 0.98


def test_a_small_product_starts_early_and_ends_soon() -> None:
    ideal = 64**3 // (LARGE.rows * LARGE.cols)
    assert ideal <= cycles(build("gemm-64")) <= ideal / 0.6


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("alexnet", 0.90),
        pytest.param("resnet-50", 0.94, marks=pytest.mark.soak),
        pytest.param("vgg-16", 0.98, marks=pytest.mark.soak),
    ],
)
def test_convolutions_fill_the_array(name: str, least: float) -> None:
    """All cycles count but those of fully connected layers."""
    layers = time_schedule(schedule_network(shape_network(build(name)), LARGE)).layers
    own = [layer for layer in layers if not layer.name.startswith("fc")]
    macs, spent = sum(layer.macs for layer in own), sum(layer.cycles for layer in own)
    assert least <= macs / (LARGE.rows * LARGE.cols * spent) <= 1
