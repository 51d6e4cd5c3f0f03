"""Depthwise convolutions in front of 1x1 ones: what is fused, in which order it is done, and where
its constants lie."""

from collections.abc import Callable

import numpy as np
import pytest

from arch.commands import Engine, PostMode
from arch.config import AcceleratorConfig
from arch.layers import FeatureMap
from arch.presets import PRESETS
from compiler.constants import alone, block_words, parameter_blocks
from compiler.program import Program
from sim.network import Conv, Network
from tests.support.machines import CONFIGS
from tests.support.pass_networks import (
    NAMES,
    add,
    compiled,
    conv,
    cost,
    kinds,
    network,
    spec,
    table,
)

GEMMINI16 = PRESETS["gemmini16"]
UNEVEN = CONFIGS["uneven"]
CHANNELS = 64
IMAGE = spec("image", FeatureMap(height=12, width=10, channels=CHANNELS))


def depthwise(*, kernel: int = 3) -> Conv:
    return conv("d", IMAGE, CHANNELS, kernel=kernel, groups=CHANNELS)


def separable(*, kernel: int = 3) -> Network:
    first = depthwise(kernel=kernel)
    return network(first, conv("p", first.output, 70, kernel=1))


def is_depthwise(values: dict[str, int]) -> bool:
    return values.get("mode") == PostMode.PRODUCTS


def test_both_run_as_one_layer_with_the_same_bytes_and_fewer_cycles() -> None:
    source = spec("image", FeatureMap(height=28, width=28, channels=CHANNELS))
    first = conv("d", source, CHANNELS, groups=CHANNELS)
    made = network(first, conv("p", first.output, 8 * CHANNELS, kernel=1))
    fused = compiled(made, config=GEMMINI16)
    plain = compiled(made, "fuse-depthwise", config=GEMMINI16)
    assert kinds(fused) == ["Conv+Conv"]
    assert kinds(plain) == ["Conv", "Conv"]
    # Most of the depthwise convolution hides behind the other one.
    pixels = first.output.shape.height * first.output.shape.width
    array = pixels * 8 * CHANNELS * CHANNELS // (GEMMINI16.rows * GEMMINI16.cols)
    assert cost(fused)[0] < 1.15 * array
    assert cost(plain)[0] > 1.25 * array
    macs = [sum(placed.layer.macs for placed in each.layers) for each in (fused, plain)]
    assert macs[0] == macs[1]


def with_a_reader_of_its_map() -> Network:
    first = depthwise()
    second = conv("p", first.output, CHANNELS, kernel=1)
    return network(first, second, add("a", first.output, second.output))


def with_its_map_as_an_output() -> Network:
    first = depthwise()
    return network(first, conv("p", first.output, kernel=1), also=(first.output,))


def before_a_wide_kernel() -> Network:
    first = depthwise()
    return network(first, conv("p", first.output))


def with_two_outputs_a_channel() -> Network:
    first = conv("d", IMAGE, 2 * CHANNELS, groups=CHANNELS)
    return network(first, conv("p", first.output, kernel=1))


@pytest.mark.parametrize(
    ("made", "config"),
    [
        (lambda: separable(kernel=5), UNEVEN),
        (separable, PRESETS["small"]),
        (with_a_reader_of_its_map, UNEVEN),
        (with_its_map_as_an_output, UNEVEN),
        (before_a_wide_kernel, UNEVEN),
        (with_two_outputs_a_channel, UNEVEN),
    ],
    ids=["5x5", "no multipliers", "reader", "output", "3x3", "multiplier"],
)
def test_others_stay_layers(made: Callable[[], Network], config: AcceleratorConfig) -> None:
    assert "Conv+Conv" not in "/".join(kinds(compiled(made(), config=config)))


def test_the_1x1_convolution_may_be_grouped() -> None:
    first = depthwise()
    made = network(first, conv("p", first.output, kernel=1, groups=2))
    assert kinds(compiled(made, config=UNEVEN)) == ["Conv+Conv"]


def test_a_sum_behind_it_is_fused_as_well() -> None:
    source = spec("image", FeatureMap(height=28, width=28, channels=8 * CHANNELS))
    first = conv("d", source, 8 * CHANNELS, groups=8 * CHANNELS)
    second = conv("p", first.output, 8 * CHANNELS, kernel=1)
    made = network(first, second, add("a", source, second.output))
    assert kinds(compiled(made, config=GEMMINI16)) == ["Conv+Conv+Add"]


def test_alone_it_is_faster_in_the_post_processor() -> None:
    """With what the post-processor does behind it: a second operand, a table."""
    source = spec("image", FeatureMap(height=28, width=28, channels=CHANNELS))
    first = conv("d", source, CHANNELS, groups=CHANNELS)
    both = add("a", source, first.output)
    last = table("t", both.output)
    for layers in ((first,), (first, both), (first, both, last)):
        made = network(*layers)
        fast = compiled(made, config=GEMMINI16)
        (placed,) = fast.layers
        assert placed.layer.in_post
        assert work_of(fast) == ["products"] * len(work_of(fast))
        slow = compiled(made, "fuse-depthwise", config=GEMMINI16)
        assert cost(fast)[0] < 0.7 * cost(slow)[0]


def test_the_next_tile_is_made_while_the_array_sums_the_present_one() -> None:
    """Between the sums of each tile and their draining stand the next tile's products."""
    program = compiled(separable(), *(set(NAMES) - {"fuse-depthwise"}), config=UNEVEN)
    (placed,) = program.layers
    groups = -(-CHANNELS // UNEVEN.cols)
    columns = -(-70 // UNEVEN.cols)
    order = work_of(program)
    tiles, rest = divmod(order.count("products"), groups)
    assert rest == 0
    assert tiles == -(-placed.layer.output.shape.height // placed.mapping.tile_height) > 2
    assert order[:groups] == ["products"] * groups
    # One turn of the array and the drain after it, for each group of columns of each tile.
    ahead = order[groups:]
    per_tile = columns * 2 + groups
    for tile in range(tiles - 1):
        turns = ahead[tile * per_tile : (tile + 1) * per_tile]
        assert turns.count("products") == groups
        assert turns[0] == "sums"
        assert turns[-1] == "drain"
        assert [each for each in turns if each != "products"] == ["sums", "drain"] * columns
        at = [number for number, each in enumerate(turns) if each == "products"]
        assert all(turns[number - 1] in ("sums", "products") for number in at)
    assert ahead[(tiles - 1) * per_tile :] == ["sums", "drain"] * columns


def work_of(program: Program) -> list[str]:
    """What array and post-processor do, in the order of the program."""
    names = []
    for step in program.steps:
        if step.engine is Engine.EXECUTE:
            names.append("sums")
        elif step.engine is Engine.POST:
            names.append("products" if is_depthwise(step.pattern.fields) else "drain")
    return names


@pytest.mark.parametrize("name", ["gemmini16", "uneven"])
def test_constants(name: str) -> None:
    """Columns as in every block, then what padding reads as, then the kernel row by row, of each
    the rightmost weights of all columns first."""
    config, layer = CONFIGS[name], depthwise()
    blocks = parameter_blocks(alone(layer), config)
    groups = -(-CHANNELS // config.cols)
    words = block_words(alone(layer), config)
    assert blocks.shape == (groups, words * config.bus_bytes)
    assert words == config.parameter_block_words + 1 + 3 * config.tap_words
    start = config.parameter_block_words * config.bus_bytes
    assert (blocks[:, start].view(np.int8) == layer.input.zero_point).all()
    for channel in range(CHANNELS):
        block, column = blocks[channel // config.cols], channel % config.cols
        rows = block[start + config.bus_bytes :].view(np.int8).reshape(3, -1)
        kernel = rows[:, : 3 * config.cols].reshape(3, 3, config.cols)[:, ::-1, column]
        assert np.array_equal(kernel, layer.weights[channel, :, :, 0])
        bias, multiplier = block[8 * column : 8 * column + 8].view(np.int32)
        sum_of_weights = int(layer.weights[channel].astype(np.int64).sum())
        assert bias == layer.bias[channel] - layer.input.zero_point * sum_of_weights
        assert np.int32(multiplier).view(np.float32) == layer.multiplier[channel]
