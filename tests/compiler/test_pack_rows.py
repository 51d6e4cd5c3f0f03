"""The pass that packs a first layer's kernel rows: when it does, what that gives, and when not."""

from dataclasses import replace

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.layers import ConvShape, FeatureMap, Window
from arch.presets import PRESETS
from compiler.place import place_network
from compiler.program import Program
from compiler.schedule import schedule_network
from sim.command.timeline import TimelineSimulator
from sim.network import Conv, HostStep, Network, TensorSpec
from tests.compiler.test_place import execute
from tests.support.random_convolutions import random_conv
from tests.support.random_maps import SizeLimits, of_words, random_map_values
from tests.support.seeds import replayed

LARGE = PRESETS["gemmini16"]
FEW = SizeLimits(max_height=16, max_width=16, max_channels=4, max_kernel=7, max_macs=200_000)
SEEDS = (*range(30), replayed())
IMAGE = FeatureMap(height=64, width=64, channels=3)


def first_layer(window: Window, channels: int = 64, groups: int = 1) -> Conv:
    """A first layer of a network, on an image."""
    shape = ConvShape(ifmap=IMAGE, out_channels=channels, window=window, groups=groups)
    rng = np.random.default_rng(0)
    size = (channels, *window.kernel, IMAGE.channels // groups)
    return Conv(
        name="c",
        input=spec("image", IMAGE),
        output=spec("y", shape.ofmap),
        shape=shape,
        weights=rng.integers(-128, 127, size, np.int8),
        bias=rng.integers(-1000, 1000, channels).astype(np.int32),
        multiplier=np.full(channels, 0.001, np.float32),
        clamp=(-128, 127),
    )


def spec(name: str, shape: FeatureMap) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, signed=False, scale=np.float32(1), zero_point=7)


def network(*layers: Conv, also: tuple[TensorSpec, ...] = ()) -> Network:
    outputs = (*also, *(layer.output for layer in layers))
    return Network(name="n", input=layers[0].input, layers=layers, outputs=outputs)


def cycles(program: Program) -> int:
    return TimelineSimulator(program.config).run(program.commands).cycles


WINDOWS = {
    "AlexNet": Window(kernel=(11, 11), stride=(4, 4), padding=(2, 2, 2, 2)),
    "ResNet": Window(kernel=(7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),
    "MobileNet": Window(kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)),
    "VGG": Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_first_layers_take_fewer_tiles_of_weights(name: str) -> None:
    """Near the ratio of the tiles: one run of all taps, against one a kernel row."""
    window = WINDOWS[name]
    made = network(first_layer(window))
    packed = place_network(made, LARGE)
    plain = place_network(made, LARGE, without=["pack-rows"])
    assert (packed.packing is None, plain.packing is None) == (False, True)
    rows, columns = window.kernel
    ratio = -(-rows * columns * 3 // 16) / (rows * -(-columns * 3 // 16))
    assert cycles(packed) < cycles(plain) * (ratio + 1) / 2
    assert packed.layers[0].layer.macs == plain.layers[0].layer.macs
    assert set(packed.maps) == {"c.input", "y"}
    assert set(plain.maps) == {"image", "y"}


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_first_layers(seed: int, config: AcceleratorConfig) -> None:
    """Replay seed 17: TILEWRIGHT_SEED=17 pytest tests/compiler/test_pack_rows.py."""
    rng = np.random.default_rng(seed)
    layer, (x,) = random_conv(rng, of_words(FEW, config))
    made = network(layer)
    plain = place_network(made, config, without=["pack-rows"])
    packed = place_network(made, config)
    assert np.array_equal(execute(packed, x), execute(plain, x))


def test_many_random_first_layers_are_packed() -> None:
    layers = [random_conv(np.random.default_rng(seed), FEW)[0] for seed in range(30)]
    packed = [place_network(network(each), LARGE).packing is not None for each in layers]
    assert sum(packed) >= 8


@pytest.mark.parametrize(
    "window",
    [
        Window(kernel=(1, 7), padding=(0, 3, 0, 3)),
        Window(kernel=(3, 1), padding=(1, 0, 1, 0), stride=(3, 1)),
    ],
    ids=["one row", "one column"],
)
def test_one_dimension(window: Window) -> None:
    made = network(first_layer(window))
    program = place_network(made, LARGE)
    assert (program.packing is None) == (window.kernel[0] == 1)


def test_full_rows_are_not_packed() -> None:
    """16 channels fill the array's rows as they are."""
    image = spec("image", replace(IMAGE, channels=16))
    layer = first_layer(WINDOWS["VGG"])
    shape = replace(layer.shape, ifmap=image.shape)
    wide = replace(layer, input=image, shape=shape, weights=np.zeros((64, 3, 3, 16), np.int8))
    assert place_network(network(wide), LARGE).packing is None


def test_groups_are_not_packed() -> None:
    assert place_network(network(first_layer(WINDOWS["VGG"], 66, 3)), LARGE).packing is None


def test_an_input_that_is_read_twice_is_not_packed() -> None:
    one = first_layer(WINDOWS["VGG"])
    other = replace(one, name="d", output=replace(one.output, name="z"))
    program = place_network(network(one, other), LARGE)
    assert program.packing is None
    assert "image" in program.maps


def test_an_input_that_is_an_output_is_not_packed() -> None:
    layer = first_layer(WINDOWS["VGG"])
    program = place_network(network(layer, also=(layer.input,)), LARGE)
    assert program.packing is None
    memory = program.image.copy()
    x = random_map_values(np.random.default_rng(0), layer.input)
    program.write_map(memory, layer.input, x)
    assert np.array_equal(program.read_map(memory, layer.input), x)


@pytest.mark.parametrize("later", ["y", "image"])
def test_a_part_of_a_network_packs_what_it_alone_reads(later: str) -> None:
    layer = first_layer(WINDOWS["VGG"])
    source = {"y": layer.output, "image": layer.input}[later]
    made = replace(source, name="made")
    step = HostStep(name="h", input=source, output=made, operator="LRN", model=b"")
    whole = replace(network(layer), layers=(layer, step), outputs=(layer.output, made))
    (program,) = schedule_network(whole, LARGE).programs
    assert (program.packing is not None) == (later == "y")
