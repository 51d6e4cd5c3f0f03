"""The random layers are what tests rely on: repeatable, varied, and not all saturated."""

import numpy as np

from sim.golden.convolution import accumulate
from sim.golden.run import run_layer
from sim.network import Conv
from tests.support.random_layers import SizeLimits, random_conv, random_layer

SEEDS = range(300)


def test_a_seed_gives_the_same_layer_again() -> None:
    for seed in SEEDS[:30]:
        first, x = random_layer(np.random.default_rng(seed))
        again, x_again = random_layer(np.random.default_rng(seed))
        assert first.input == again.input
        assert first.output == again.output
        assert np.array_equal(x, x_again)
        assert np.array_equal(run_layer(first, x), run_layer(again, x_again))


def test_outputs_are_spread_over_the_range() -> None:
    layers = [random_layer(np.random.default_rng(seed)) for seed in SEEDS]
    saturated = [np.isin(run_layer(layer, x), layer.clamp).mean() for layer, x in layers]
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
    assert any(beyond_float32(layer, x) for layer, x in layers)
    ragged = [
        layer.shape.ifmap.channels % 8 != 0 and layer.shape.out_channels % 8 != 0
        for layer, _ in layers
    ]
    assert np.mean(ragged) > 0.5


def beyond_float32(
    layer: Conv, x: np.ndarray[tuple[int, ...], np.dtype[np.int8 | np.uint8]]
) -> bool:
    sums = accumulate(layer, x)  # type: ignore[arg-type]
    return bool((sums.astype(np.float32).astype(np.int64) != sums).any())
