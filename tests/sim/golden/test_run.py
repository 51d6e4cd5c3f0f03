"""Layers and networks: random layers against the exact reference, wiring, and bad input."""

import re
from dataclasses import replace

import numpy as np
import pytest

from arch.errors import InputError
from arch.layers import FeatureMap, PoolShape, Window
from sim.golden.run import run_layer, run_network
from sim.network import Alias, MaxPool, Network, TensorSpec
from tests.support.exact_reference import exact_layer
from tests.support.random_layers import random_layer
from tests.support.random_maps import SizeLimits
from tests.support.random_networks import random_network

LAYERS = 600
LIMITS = SizeLimits(max_height=8, max_width=8, max_channels=8, max_macs=8000)


@pytest.mark.parametrize(
    ("activation_bits", "weight_bits", "layers"), [(8, 8, LAYERS), (16, 16, 300), (16, 8, 100)]
)
def test_random_layers_equal_exact_rational_arithmetic(
    activation_bits: int, weight_bits: int, layers: int
) -> None:
    limits = replace(LIMITS, activation_bits=activation_bits, weight_bits=weight_bits)
    for seed in range(layers):
        layer, maps = random_layer(np.random.default_rng(seed), limits)
        y = run_layer(layer, *maps)
        assert y.dtype == layer.output.dtype
        differing = int((y != exact_layer(layer, *maps)).sum())
        assert differing == 0, f"random_layer(np.random.default_rng({seed}), {limits})"


def spec(name: str, *, height: int = 2, width: int = 2, channels: int = 1) -> TensorSpec:
    shape = FeatureMap(height=height, width=width, channels=channels)
    return TensorSpec(name=name, shape=shape, signed=True, scale=np.float32(1), zero_point=0)


def doubling(source: TensorSpec, output: TensorSpec) -> MaxPool:
    return MaxPool(
        name=f"to_{output.name}",
        input=source,
        output=output,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=np.float32(2),
        clamp=(-128, 127),
    )


X = spec("x")
IMAGE = np.array([[[1], [2]], [[3], [-4]]], np.int8)


def test_a_network_gives_every_layers_output_by_name() -> None:
    a, b, flat = spec("a"), spec("b"), spec("flat", height=1, width=1, channels=4)
    layers = (doubling(X, a), doubling(a, b), Alias(name="flatten", input=a, output=flat))
    network = Network(name="n", input=X, layers=layers, outputs=(b, flat))
    outputs = run_network(network, IMAGE)
    assert list(outputs) == ["a", "b", "flat"]
    assert outputs["a"].tolist() == [[[2], [4]], [[6], [-8]]]
    assert outputs["b"].tolist() == [[[4], [8]], [[12], [-16]]]
    assert outputs["flat"].tolist() == [[[2, 4, 6, -8]]]


def test_a_layer_must_follow_what_it_reads() -> None:
    a, b = spec("a"), spec("b")
    network = Network(name="n", input=X, layers=(doubling(a, b), doubling(X, a)), outputs=(b,))
    message = "layer to_b reads tensor a before it is made; list the layers in topological order"
    with pytest.raises(InputError, match=f"^{message}$"):
        run_network(network, IMAGE)


def test_a_layer_gets_one_map_for_each_operand() -> None:
    message = "layer to_a must get 1 maps, got 2; give one for each operand"
    with pytest.raises(InputError, match=f"^{message}$"):
        run_layer(doubling(X, spec("a")), IMAGE, IMAGE)


def test_random_branches_meet_in_the_right_order() -> None:
    """Every tensor of a network is what the layer that makes it gives for its operands."""
    for seed in range(50):
        network, image = random_network(np.random.default_rng(seed), LIMITS)
        maps = {network.input.name: image} | run_network(network, image)
        for layer in network.layers:
            expected = exact_layer(layer, *(maps[each.name] for each in layer.inputs))
            assert np.array_equal(maps[layer.output.name], expected), f"seed {seed}"


@pytest.mark.parametrize(
    "image",
    [np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), np.int8), np.zeros((2, 1, 1), np.int8)],
)
def test_an_image_must_have_the_inputs_shape_and_type(
    image: np.ndarray[tuple[int, ...], np.dtype[np.int8]],
) -> None:
    network = Network(name="n", input=X, layers=(), outputs=(X,))
    message = f"tensor x must be int8 of shape (2, 2, 1), got {image.dtype} of shape {image.shape}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run_network(network, image)
