"""Mappings against what bounds them, in exact cycles."""

import pytest

from arch.config import ceil_div
from arch.layers import FeatureMap
from arch.presets import PRESETS
from compiler.place import place_network
from sim.command.timeline import TimelineSimulator
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import NetworkGraph
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network

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
