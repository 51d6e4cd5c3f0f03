"""Synthetic weights: the same everywhere, and scaled as a batch-norm would."""

import hashlib

import numpy as np

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.nodes import Offsets
from tilewright.networks.registry import build
from tilewright.networks.synthetic import Synthetic, seeded_image, synthesise


def digest(network: Synthetic) -> str:
    """Of every weight, scale and bias."""
    total = hashlib.sha256()
    for name, made in network.weights.items():
        total.update(name.encode())
        for array in (made.values, made.scale, made.bias, made.unit):
            total.update(
                np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            )
    return total.hexdigest()


def test_the_same_seed_gives_the_same_weights() -> None:
    graph = build("resnet-8")
    assert digest(synthesise(graph)) == digest(synthesise(graph))
    assert digest(synthesise(graph)) != digest(synthesise(graph, seed=1))


def test_every_machine_gives_the_same_weights() -> None:
    # Computed on x86 with AVX-512, and the same with it disabled in NumPy and its BLAS.
    assert (
        digest(synthesise(build("resnet-8")))
        == "fd439dc0c52a8e6848b3db5834eac7db55a12981abf030c77f8f8e0610b4d1c0"
    )
    assert (
        digest(synthesise(build("se-block")))
        == "a2ed916ef0089cc21df9897ec7d01cdd1aeac825e0d6e68516323595978630a9"
    )


def test_images_are_seeded() -> None:
    shape = FeatureMap(height=20, width=30, channels=3)
    first = seeded_image(shape, 0)
    assert first.shape == (20, 30, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, seeded_image(shape, 0))
    assert not np.array_equal(first, seeded_image(shape, 1))


def test_layers_have_their_scales() -> None:
    net = Builder("net", FeatureMap(height=24, width=24, channels=3))
    x = net.conv(net.input, 8, 3, then=net.relu)
    x = net.depthwise(x, 3, offsets=Offsets.NONE)
    x = net.scale(x)
    network = synthesise(net.graph(net.linear(x, 5)))
    for node in network.graph.nodes:
        if node.name not in network.weights:
            continue
        made = network.weights[node.name]
        input_scale = network.quantisations[node.inputs[0].name].scale
        assert np.array_equal(made.unit, input_scale * made.scale)
        assert made.scale.dtype == made.unit.dtype == np.float32
        assert made.values.dtype == np.int8
        assert made.bias.dtype == np.int32
    assert not network.weights["conv2"].bias.any()
    assert network.weights["scale1"].values.min() >= 64
    assert network.weights["conv1"].values.min() < -64
