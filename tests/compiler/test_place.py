"""Placed layers: executed command by command, they give the golden model's bytes."""

from dataclasses import replace

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from arch.mapping import Mapping, Order
from arch.presets import PRESETS
from compiler.fusion import LayerShape, Operand
from compiler.place import place_network
from compiler.program import Program
from compiler.tiling import map_layer
from sim.command.functional import Storage
from sim.golden.run import run_network
from sim.network import Bytes, Layer, Network
from tests.support.random_convolutions import random_conv
from tests.support.random_maps import SizeLimits, of_words
from tests.support.random_networks import random_network

LARGE = SizeLimits(max_height=20, max_width=20, max_channels=70, max_macs=3_000_000)


def one_layer(layer: Layer) -> Network:
    return Network(name="one", input=layer.input, layers=(layer,), outputs=(layer.output,))


def execute(program: Program, x: Bytes) -> np.ndarray:
    memory = program.image.copy()
    program.write_map(memory, program.network.input, x)
    storage = Storage(program.config, memory)
    for command in program.commands:
        storage.apply(command)
    return program.read_map(memory, program.network.outputs[0])


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("seed", range(40))
def test_random_layers(seed: int, config: AcceleratorConfig) -> None:
    limits = of_words(LARGE, config)
    network, x = random_network(np.random.default_rng(seed), limits)
    program = place_network(network, config)
    golden = run_network(network, x)[network.outputs[0].name]
    mappings = [placed.mapping for placed in program.layers]
    assert np.array_equal(execute(program, x), golden), mappings


def conv(channels: int, out_channels: int, size: int, kernel: int) -> ConvShape:
    return ConvShape(
        ifmap=FeatureMap(height=size, width=size, channels=channels),
        out_channels=out_channels,
        window=Window(kernel=(kernel, kernel)),
    )


def map_conv(name: str, shape: ConvShape, config: AcceleratorConfig) -> Mapping:
    """The mapping of a convolution alone."""
    window = PoolShape(ifmap=shape.ofmap, window=Window(kernel=(1, 1)))
    whole = LayerShape(conv=shape, window=window, operand=Operand.NONE)
    return map_layer(name, whole, config).mapping


def test_layer_that_fits_no_tiling() -> None:
    with pytest.raises(CompileError) as caught:
        map_conv("conv9", conv(1000, 8, 40, 30), PRESETS["tiny"])
    assert str(caught.value) == (
        "conv9: 4 input channels of one output pixel must fit the activation buffer beside one "
        "bank of outputs: they take 3600 bytes, 3072 are there, short by 528; raise "
        "activation_buffer_bytes"
    )


def test_channels_are_taken_in_blocks_where_they_do_not_fit_together() -> None:
    mapping = map_conv("conv", conv(1000, 8, 5, 3), PRESETS["tiny"])
    assert mapping.channel_block * 9 <= 3 * PRESETS["tiny"].activation_bank_bytes
    assert mapping.channel_block % 4 == 0


def test_reduction_is_split_where_its_weights_do_not_fit() -> None:
    mapping = map_conv("conv", conv(512, 512, 14, 3), PRESETS["small"])
    tiles = np.prod(mapping.split)
    assert tiles * 64 * 2 <= PRESETS["small"].weight_buffer_bytes
    # A split of an outer loop leaves the inner ones whole, so that a part's weights are contiguous.
    assert mapping.split[1:] == (1, 192) or mapping.split[0] == mapping.split[1] == 1


def test_weights_that_fit_are_loaded_once() -> None:
    mapping = map_conv("conv", conv(16, 16, 40, 3), PRESETS["small"])
    assert mapping.order in Order
    assert mapping.split == (3, 1, 6)


def test_accumulator_that_could_overflow() -> None:
    layer, _ = random_conv(np.random.default_rng(3))
    bias = np.full(layer.shape.out_channels, 2**31 - 1, np.int32)
    with pytest.raises(CompileError, match="an accumulator must hold any sum: the bound is"):
        place_network(one_layer(replace(layer, bias=bias)), PRESETS["small"])
