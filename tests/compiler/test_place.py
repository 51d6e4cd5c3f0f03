"""Placed layers: executed command by command, they give the golden model's bytes."""

from dataclasses import replace

import numpy as np
import pytest

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window
from arch.mapping import Mapping, Order
from arch.presets import PRESETS
from compiler.fusion import LayerShape, Operand
from compiler.place import place_network
from compiler.program import Program
from compiler.report import layer_reports
from compiler.tiling import map_layer
from sim.command.functional import Storage
from sim.golden.run import run_network
from sim.network import Bytes, Layer, Network
from tests.support.random_convolutions import random_conv
from tests.support.random_maps import DEFAULT_LIMITS, SizeLimits, of_words
from tests.support.random_networks import random_network
from tests.support.random_pools import average_of_shape

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


def map_pool(
    ifmap: FeatureMap, window: Window, operand: Operand, config: AcceleratorConfig
) -> Mapping:
    """The mapping of a pooling, maybe with a second operand."""
    shape = PoolShape(ifmap=ifmap, window=window)
    return map_layer("p", LayerShape(conv=None, window=shape, operand=operand), config).mapping


def test_a_window_that_fits_is_not_taken_in_parts() -> None:
    ifmap = FeatureMap(height=56, width=56, channels=32)
    whole = Window(kernel=(56, 56))
    assert map_pool(ifmap, whole, Operand.NONE, PRESETS["gemmini16"]).window == (56, 56)


@pytest.mark.parametrize(
    ("size", "config"), [((112, 112), "gemmini16"), ((112, 112), "small"), ((60, 60), "tiny")]
)
def test_a_window_is_taken_in_blocks_of_rows(size: tuple[int, int], config: str) -> None:
    ifmap = FeatureMap(height=size[0], width=size[1], channels=32)
    mapping = map_pool(ifmap, Window(kernel=size), Operand.NONE, PRESETS[config])
    assert mapping.window[0] < size[0]
    assert mapping.window[1] == size[1]
    assert (mapping.tile_height, mapping.tile_width, mapping.tile_groups) == (1, 1, 1)


@pytest.mark.parametrize(
    ("size", "channels", "config"),
    # A row of four channels takes 8,000 bytes; the other is longer than a loop.
    [((2, 2000), 32, "tiny"), ((1, LOOP_LIMIT + 1), 1, "gemmini16")],
)
def test_a_row_that_is_too_long_is_taken_in_parts(
    size: tuple[int, int], channels: int, config: str
) -> None:
    ifmap = FeatureMap(height=size[0], width=size[1], channels=channels)
    mapping = map_pool(ifmap, Window(kernel=size), Operand.NONE, PRESETS[config])
    assert mapping.window[0] == 1
    assert mapping.window[1] < size[1]


def test_the_report_says_which_part_of_a_window_is_taken() -> None:
    layer, _ = average_of_shape(
        np.random.default_rng(0),
        "pool",
        PoolShape(
            ifmap=FeatureMap(height=40, width=40, channels=6), window=Window(kernel=(40, 40))
        ),
        False,
        (0, 0),
        DEFAULT_LIMITS,
    )
    (report,) = layer_reports(place_network(one_layer(layer), PRESETS["tiny"]))
    assert report.tile == "1x1x4, window 8x40"


def test_a_sum_that_finds_too_few_banks() -> None:
    two_banks = PRESETS["tiny"].model_copy(update={"activation_banks": 2})
    ifmap = FeatureMap(height=4, width=4, channels=4)
    with pytest.raises(CompileError) as caught:
        map_pool(ifmap, Window(kernel=(1, 1)), Operand.MAP, two_banks)
    assert str(caught.value) == (
        "p: inputs, second operands and outputs must each have a bank of the activation buffer, "
        "got 2 banks; raise activation_banks"
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
