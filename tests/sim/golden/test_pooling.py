"""Pooling by hand-made cases; random ones are in test_run.py."""

from dataclasses import replace

import numpy as np
import pytest

from arch.errors import ShapeError
from arch.layers import FeatureMap, PoolShape, Window
from sim.golden.pooling import average_pool, max_pool, window_sums
from sim.multipliers import average_multiplier
from sim.network import AveragePool, MaxPool, TensorSpec


def spec(name: str, shape: FeatureMap, zero_point: int) -> TensorSpec:
    return TensorSpec(
        name=name, shape=shape, signed=True, scale=np.float32(1), zero_point=zero_point
    )


def pool(window: Window, size: int, *, multiplier: float = 1.0, zero_points: int = 0) -> MaxPool:
    ifmap = FeatureMap(height=size, width=size, channels=1)
    shape = PoolShape(ifmap=ifmap, window=window)
    return MaxPool(
        name="p",
        input=spec("x", ifmap, zero_points),
        output=spec("y", shape.ofmap, zero_points),
        shape=shape,
        multiplier=np.float32(multiplier),
        clamp=(-128, 127),
    )


def average(
    window: Window, size: int, *, include_padding: bool, overhang: tuple[int, int] = (0, 0)
) -> AveragePool:
    """Of a square map of zero point -3, to scale 1/4 and zero point 7."""
    ifmap = FeatureMap(height=size, width=size, channels=1)
    shape = PoolShape(ifmap=ifmap, window=window)
    return AveragePool(
        name="a",
        input=spec("x", ifmap, -3),
        output=replace(spec("y", shape.ofmap, 7), scale=np.float32(0.25)),
        shape=shape,
        include_padding=include_padding,
        overhang=overhang,
        clamp=(-128, 127),
    )


def test_padding_never_wins() -> None:
    layer = pool(Window(kernel=(2, 2), padding=(1, 1, 1, 1)), 2)
    x = np.array([[-128, -7], [-9, -5]], np.int8).reshape(2, 2, 1)
    assert max_pool(layer, x)[..., 0].tolist() == [[-128, -7, -7], [-9, -5, -5], [-9, -5, -5]]


def test_strides_and_dilations() -> None:
    layer = pool(Window(kernel=(2, 2), stride=(1, 2), dilation=(2, 1)), 4)
    x = np.arange(16, 0, -1, dtype=np.int8).reshape(4, 4, 1)
    assert max_pool(layer, x)[..., 0].tolist() == [[16, 14], [12, 10]]


def test_the_maximum_is_requantised_around_the_zero_points() -> None:
    layer = pool(Window(kernel=(1, 1)), 1, multiplier=0.5, zero_points=-100)
    assert max_pool(layer, np.full((1, 1, 1), -95, np.int8)).tolist() == [[[-98]]]  # rne(2.5) = 2


def test_a_window_of_padding_alone_is_an_error() -> None:
    window = Window(kernel=(2, 1), dilation=(2, 1), padding=(1, 0, 1, 0))
    with pytest.raises(
        ShapeError, match=r"^layer p: every window of a max pool must hold an input"
    ):
        max_pool(pool(window, 1), np.zeros((1, 1, 1), np.int8))


EDGES = Window(kernel=(2, 3), padding=(1, 1, 0, 1))


def test_taps_that_count() -> None:
    outside = average(EDGES, 2, include_padding=False)
    assert outside.taps.tolist() == [[2, 2], [4, 4]]
    assert average(EDGES, 2, include_padding=True).taps.tolist() == [[6, 6], [6, 6]]


def test_what_hangs_over_never_counts() -> None:
    """ONNX: kernel 3, stride 2, padding 1 and ceil_mode on 6 pixels, along each axis."""
    window = Window(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 2, 2))
    rounded = average(window, 6, include_padding=True, overhang=(1, 1))
    assert rounded.taps[0].tolist() == [9, 9, 9, 6]
    assert rounded.taps[3].tolist() == [6, 6, 6, 4]
    assert average(window, 6, include_padding=False).taps[3].tolist() == [2, 3, 3, 1]


def test_dilated_taps() -> None:
    window = Window(kernel=(2, 1), dilation=(2, 1), padding=(1, 0, 1, 0))
    assert average(window, 3, include_padding=False).taps.tolist() == [[1] * 3, [2] * 3, [1] * 3]


@pytest.mark.parametrize("seed", range(40))
def test_taps_are_those_that_one_would_count(seed: int) -> None:
    """Replay: the seed is in the test's name."""
    rng = np.random.default_rng(seed)
    size, kernel, stride, dilation = (int(rng.integers(1, most)) for most in (9, 5, 4, 4))
    before, after = (int(n) for n in rng.integers(0, 4, 2))
    after += max(0, (kernel - 1) * dilation + 1 - size - before - after)
    overhang = int(rng.integers(0, after + 1))
    window = Window(
        kernel=(kernel, 1),
        stride=(stride, 1),
        dilation=(dilation, 1),
        padding=(before, 0, after, 0),
    )
    for include_padding in (False, True):
        first, end = (-before, size + after - overhang) if include_padding else (0, size)
        layer = average(window, size, include_padding=include_padding, overhang=(overhang, 0))
        starts = [row * stride - before for row in range(layer.shape.ofmap.height)]
        counts = [
            sum(first <= start + tap * dilation < end for tap in range(kernel)) for start in starts
        ]
        assert layer.taps.tolist() == [[count] * size for count in counts]
        assert layer.tap_counts == tuple(sorted(set(counts)))


def test_padding_adds_nothing_to_an_average() -> None:
    x = np.array([[-3, 0], [-1, 5]], np.int8).reshape(2, 2, 1)  # differences 0, 3, 2, 8
    layer = average(EDGES, 2, include_padding=False)
    assert window_sums(layer, x)[..., 0].tolist() == [[3, 3], [13, 13]]
    # Means 1.5 and 3.25 in steps of a quarter, and the zero point.
    assert average_pool(layer, x)[..., 0].tolist() == [[13, 13], [20, 20]]
    layer = average(EDGES, 2, include_padding=True)
    assert average_pool(layer, x)[..., 0].tolist() == [[9, 9], [16, 16]]  # 0.5 and 2.1667


def test_each_window_has_the_multiplier_of_its_taps() -> None:
    layer = average(EDGES, 2, include_padding=False)
    expected = average_multiplier(np.float32(1), np.float32(0.25), 2)
    assert layer.multiplier(2) == expected == np.float32(2)


def test_each_channel_is_averaged_by_itself() -> None:
    ifmap = FeatureMap(height=1, width=2, channels=2)
    shape = PoolShape(ifmap=ifmap, window=Window(kernel=(1, 2)))
    layer = AveragePool(
        name="g",
        input=spec("x", ifmap, -3),
        output=spec("y", shape.ofmap, 7),
        shape=shape,
        include_padding=False,
        clamp=(-128, 127),
    )
    x = np.array([[[-3, 0], [-3, 2]]], np.int8)  # differences 0, 3, 0, 5
    assert average_pool(layer, x).tolist() == [[[7, 11]]]


def test_a_window_without_taps_is_an_error() -> None:
    window = Window(kernel=(2, 1), dilation=(2, 1), padding=(1, 0, 1, 0))
    with pytest.raises(
        ShapeError, match=r"^layer a: every window of an average pool must hold an input"
    ):
        average_pool(average(window, 1, include_padding=False), np.zeros((1, 1, 1), np.int8))
