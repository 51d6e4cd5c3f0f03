"""Pooling by hand-made cases; random ones are in test_run.py."""

import numpy as np
import pytest

from arch.errors import ShapeError
from arch.layers import FeatureMap, PoolShape, Window
from sim.golden.pooling import global_average_pool, max_pool
from sim.network import GlobalAveragePool, MaxPool, TensorSpec


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


def average(height: int, width: int, multiplier: float) -> GlobalAveragePool:
    pooled = FeatureMap(height=1, width=1, channels=2)
    return GlobalAveragePool(
        name="g",
        input=spec("x", FeatureMap(height=height, width=width, channels=2), -3),
        output=spec("y", pooled, 7),
        multiplier=np.float32(multiplier),
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


def test_each_channel_is_averaged_by_itself() -> None:
    x = np.array([[[-3, 0], [-3, 2]]], np.int8)  # differences 0, 3, 0, 5
    assert global_average_pool(average(1, 2, 0.5), x).tolist() == [[[7, 11]]]
