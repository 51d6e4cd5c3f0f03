"""Quantisation from structure: what is quantised alike, and what is not quantised."""

from math import sqrt

import pytest

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import Concat, Pool, PoolKind, Shuffle, Slice
from tilewright.networks.ranges import Quantisation, quantisations, spread, unseen
from tilewright.networks.registry import NETWORKS, build


def builder() -> Builder:
    return Builder("net", FeatureMap(height=8, width=8, channels=4))


def reach(quantisation: Quantisation) -> tuple[float, float]:
    """Real values of 0 and 255."""
    scale = float(quantisation.scale)
    return -scale * quantisation.zero_point, scale * (255 - quantisation.zero_point)


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_that_are_only_moved_are_quantised_alike(name: str) -> None:
    graph = build(name)
    found = quantisations(graph)
    for node in graph.nodes:
        moved = isinstance(node, Concat | Slice | Shuffle)
        if moved or (isinstance(node, Pool) and node.kind is PoolKind.MAX):
            assert all(found[tensor.name] == found[node.name] for tensor in node.inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_zero_is_exact(name: str) -> None:
    for quantisation in quantisations(build(name)).values():
        assert 0 <= quantisation.zero_point <= 255
        assert quantisation.scale > 0


def test_a_clamp_belongs_to_the_layer_that_it_alone_reads() -> None:
    net = builder()
    alone = net.conv(net.input, 4)
    shared = net.conv(net.relu(alone), 4)
    output = net.add(net.relu6(shared), shared)
    graph = net.graph(output)
    assert unseen(graph) == {"conv1"}
    assert set(quantisations(graph)) == {"input", "relu1", "conv2", "relu61", "add1"}


def test_ranges_follow_the_layers() -> None:
    net = builder()
    x = net.conv(net.input, 4, then=net.relu)
    wide = net.conv(x, 4, then=net.relu6)
    gate = net.conv(net.global_average_pool(wide), 4, then=net.sigmoid)
    gated = net.multiply(x, gate)
    output = net.add(gated, x)
    found = {name: reach(each) for name, each in quantisations(net.graph(output)).items()}
    assert found["relu1"] == pytest.approx((0, 4), abs=0.01)
    assert found["relu61"] == pytest.approx((0, 6), abs=0.01)
    assert found["avgpool1"] == pytest.approx((0, 3), abs=0.01)
    assert found["conv3"] == pytest.approx((-8, 8), abs=0.05)
    assert found["sigmoid1"] == pytest.approx((0, 1), abs=0.01)
    assert found["mul1"] == pytest.approx((0, 4), abs=0.01)
    assert found["add1"] == pytest.approx((0, 4 * sqrt(2)), abs=0.02)
    assert spread(net.graph(output)) == {"conv1": 1.0, "conv2": 2.0, "conv3": 2.0}


def test_silu_is_known_to_end_just_below_zero() -> None:
    net = builder()
    output = net.silu(net.conv(net.input, 4))
    low, high = reach(quantisations(net.graph(output))["mul1"])
    assert low == pytest.approx(-0.28, abs=0.02)
    assert high == pytest.approx(8, abs=0.05)
