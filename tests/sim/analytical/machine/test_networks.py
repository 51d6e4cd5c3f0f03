"""Every layer of networks on `gemmini16`, alone or with its maps where the network has them: the
analytical model equals the command-level simulator in every counter and in cycles."""

from collections.abc import Iterator

import pytest

from arch.presets import PRESETS
from sim.network import Alias, Layer
from tests.support.machine_layers import compile_alone, compile_inside, network_of
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network

CONFIG = PRESETS["gemmini16"]


def layers(network: str) -> Iterator[tuple[Layer, bool]]:
    """Each layer that computes, and whether it reads the network's input; equal ones once."""
    shapes = shape_network(build(network))
    known = set()
    for layer in shapes.layers:
        if isinstance(layer, Alias):
            continue
        first = layer.input is shapes.input
        key = type(layer), getattr(layer, "shape", layer.output.shape), first
        if key not in known:
            known.add(key)
            yield layer, first


@pytest.mark.parametrize("network", ["alexnet", "resnet-50", "mobilenet-v1"])
def test_every_layer(network: str) -> None:
    for layer, first in layers(network):
        # Only the network's own input is packed by the host.
        without = () if first else ("pack-rows",)
        alone = compile_alone(network_of(layer), CONFIG, without=without)
        assert alone.priced == alone.counters, layer.name


@pytest.mark.parametrize(
    ("network", "on_chip"), [("alexnet", 7), ("resnet-50", 35), ("squeezenet", 26)]
)
def test_every_layer_of_a_network(network: str, on_chip: int) -> None:
    """``on_chip`` layers of it find maps on chip or leave them there."""
    layers = compile_inside(shape_network(build(network)), CONFIG)
    assert sum(inside.on_chip for inside in layers) == on_chip
    for inside in layers:
        assert inside.priced == inside.counters, f"layer {inside.index}"
