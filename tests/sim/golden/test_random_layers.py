"""The random layers are what tests rely on: repeatable, varied, and not all saturated."""

import numpy as np

from sim.golden.convolution import accumulate
from sim.golden.run import run_layer
from sim.network import Alias, Bytes, Concat, Conv, HostStep, Slice, Table
from tests.support.random_convolutions import random_conv, random_grouped_conv
from tests.support.random_elementwise import random_add, random_multiply, random_slice
from tests.support.random_layers import KINDS, random_layer
from tests.support.random_maps import SizeLimits
from tests.support.random_networks import NETWORK_KINDS, random_network
from tests.support.random_pools import random_average

SEEDS = range(300)
REQUANTISING = tuple(kind for kind in KINDS if kind not in ("table", "concat", "slice"))


def test_a_seed_gives_the_same_layer_again() -> None:
    for seed in SEEDS[:30]:
        first, maps = random_layer(np.random.default_rng(seed))
        again, maps_again = random_layer(np.random.default_rng(seed))
        assert (first.inputs, first.output) == (again.inputs, again.output)
        assert all(map(np.array_equal, maps, maps_again))
        assert np.array_equal(run_layer(first, *maps), run_layer(again, *maps_again))


def test_outputs_are_spread_over_the_range() -> None:
    saturated = []
    for seed in SEEDS:
        layer, maps = random_layer(np.random.default_rng(seed), kinds=REQUANTISING)
        assert not isinstance(layer, Table | Concat | Slice | Alias | HostStep)
        saturated.append(np.isin(run_layer(layer, *maps), layer.clamp).mean())
    assert np.mean(saturated) < 0.5
    assert np.mean(np.array(saturated) > 0.9) < 0.05


def test_sizes_stay_within_their_limits() -> None:
    limits = SizeLimits(
        max_height=5, max_width=3, max_channels=4, max_kernel=2, max_stride=2, max_dilation=1,
        max_macs=300,
    )  # fmt: skip
    for seed in SEEDS:
        layer, _ = random_conv(np.random.default_rng(seed), limits)
        ifmap, window = layer.shape.ifmap, layer.shape.window
        assert ifmap.height <= 5
        assert ifmap.width <= 3
        assert ifmap.channels <= 4
        assert layer.shape.out_channels <= 4
        assert layer.shape.macs <= 300
        assert max(window.kernel) <= 2
        assert max(window.stride) <= 2
        assert window.dilation == (1, 1)


def test_convolutions_cover_what_is_asked_of_them() -> None:
    layers = [random_conv(np.random.default_rng(seed)) for seed in SEEDS]
    windows = [layer.shape.window for layer, _ in layers]
    assert {stride for window in windows for stride in window.stride} == {1, 2, 3}
    assert {dilation for window in windows for dilation in window.dilation} == {1, 2, 3}
    assert any(window.padding[0] != window.padding[2] for window in windows)
    signs = {(layer.input.signed, layer.output.signed) for layer, _ in layers}
    assert signs == {(False, False), (False, True), (True, False), (True, True)}
    assert any(beyond_float32(layer, x) for layer, (x,) in layers)
    ragged = [
        layer.shape.ifmap.channels % 8 != 0 and layer.shape.out_channels % 8 != 0
        for layer, _ in layers
    ]
    assert np.mean(ragged) > 0.5


def beyond_float32(layer: Conv, x: Bytes) -> bool:
    sums = accumulate(layer, x)
    return bool((sums.astype(np.float32).astype(np.int64) != sums).any())


def test_every_kind_is_drawn() -> None:
    names = {random_layer(np.random.default_rng(seed))[0].name for seed in SEEDS}
    assert names == set(KINDS)
    networks = {random_network(np.random.default_rng(seed))[0].name for seed in SEEDS}
    assert networks == {"one_layer", "branches"}
    assert set(NETWORK_KINDS) - set(KINDS) == {"branches"}


def test_grouped_convolutions_cover_depthwise_and_more() -> None:
    shapes = [random_grouped_conv(np.random.default_rng(seed))[0].shape for seed in SEEDS]
    assert all(shape.groups > 1 for shape in shapes)
    forms = {(shape.group_inputs > 1, shape.group_outputs > 1) for shape in shapes}
    assert forms == {(False, False), (False, True), (True, False), (True, True)}


def test_averages_cover_both_rules_of_padding() -> None:
    layers = [random_average(np.random.default_rng(seed))[0] for seed in SEEDS]
    assert {layer.include_padding for layer in layers} == {False, True}
    assert any(layer.overhang != (0, 0) and layer.include_padding for layer in layers)
    assert any(len(np.unique(layer.taps)) > 1 for layer in layers)


def test_second_operands_are_maps_and_pixels() -> None:
    sums = [random_add(np.random.default_rng(seed))[0] for seed in SEEDS]
    assert {layer.broadcasts for layer in sums} == {False, True}
    products = [random_multiply(np.random.default_rng(seed))[0] for seed in SEEDS]
    assert {layer.broadcasts for layer in products} == {False, True}


def test_slices_cut_every_axis() -> None:
    starts = np.array([random_slice(np.random.default_rng(seed))[0].start for seed in SEEDS])
    assert (starts.max(axis=0) > 0).all()
