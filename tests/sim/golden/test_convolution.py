"""Convolution by hand-made cases; random ones are in test_run.py."""

from dataclasses import replace

import numpy as np
import pytest

from arch.errors import CompileError
from arch.layers import ConvShape, FeatureMap, Window
from sim.golden.convolution import accumulate, convolve
from sim.network import Conv, TensorSpec


def conv(
    *, window: Window, size: int, channels: int = 1, zero_point: int = 0, weight: int = 1
) -> Conv:
    """A convolution to one uint8 channel, all weights alike, multiplier 1."""
    ifmap = FeatureMap(height=size, width=size, channels=channels)
    shape = ConvShape(ifmap=ifmap, out_channels=1, window=window)
    scale = np.float32(1)
    return Conv(
        name="c",
        input=TensorSpec(name="x", shape=ifmap, signed=False, scale=scale, zero_point=zero_point),
        output=TensorSpec(name="y", shape=shape.ofmap, signed=False, scale=scale, zero_point=0),
        shape=shape,
        weights=np.full((1, *window.kernel, channels), weight, np.int8),
        bias=np.zeros(1, np.int32),
        multiplier=np.ones(1, np.float32),
        clamp=(0, 255),
    )


def counting(size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.arange(size * size, dtype=np.uint8).reshape(size, size, 1)


def test_padding_is_the_zero_point_and_adds_nothing() -> None:
    layer = conv(window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)), size=2, zero_point=10)
    x = np.full((2, 2, 1), 11, np.uint8)
    assert accumulate(layer, x)[..., 0].tolist() == [[4, 4], [4, 4]]


def test_each_side_has_its_own_padding() -> None:
    layer = conv(window=Window(kernel=(2, 2), padding=(1, 0, 0, 1)), size=2)
    assert accumulate(layer, counting(2))[..., 0].tolist() == [[1, 1], [6, 4]]


def test_strides_and_dilations_differ_by_axis() -> None:
    layer = conv(window=Window(kernel=(2, 2), stride=(2, 1), dilation=(1, 2)), size=4)
    # Taps (0, 0), (0, 2), (1, 0), (1, 2) of 0..15 in rows of four.
    assert accumulate(layer, counting(4))[..., 0].tolist() == [[12, 16], [44, 48]]


def test_weights_are_indexed_out_kernel_in() -> None:
    layer = conv(window=Window(kernel=(1, 2)), size=2, channels=2)
    weights = np.array([[[[1, 2], [3, 4]]]], np.int8)
    x = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    sums = accumulate(replace(layer, weights=weights), x)
    assert sums[..., 0].tolist() == [[0 * 1 + 1 * 2 + 2 * 3 + 3 * 4], [4 + 5 * 2 + 6 * 3 + 7 * 4]]


def grouped(groups: int, outputs: int, weights: list[int]) -> Conv:
    """A 1x1 convolution of a 1x1 map of four channels."""
    layer = conv(window=Window(kernel=(1, 1)), size=1, channels=4)
    shape = replace(layer.shape, out_channels=outputs, groups=groups)
    return replace(
        layer,
        shape=shape,
        output=replace(layer.output, shape=shape.ofmap),
        weights=np.array(weights, np.int8).reshape(outputs, 1, 1, 4 // groups),
        bias=np.zeros(outputs, np.int32),
        multiplier=np.ones(outputs, np.float32),
    )


def test_a_group_sees_its_own_channels_alone() -> None:
    x = np.array([1, 2, 3, 4], np.uint8).reshape(1, 1, 4)
    two_groups = grouped(2, 4, [1, 0, 0, 1, 1, 1, 10, 0])
    assert accumulate(two_groups, x)[0, 0].tolist() == [1, 2, 3 + 4, 30]
    depthwise = grouped(4, 4, [1, 2, 3, 4])
    assert accumulate(depthwise, x)[0, 0].tolist() == [1, 4, 9, 16]
    with_multiplier = grouped(4, 8, [1, -1, 1, -2, 1, -3, 1, -4])
    assert accumulate(with_multiplier, x)[0, 0].tolist() == [1, -1, 2, -4, 3, -9, 4, -16]


def test_bias_and_clamp() -> None:
    layer = conv(window=Window(kernel=(1, 1)), size=2)
    layer = replace(layer, bias=np.array([-1], np.int32), clamp=(1, 2))
    assert convolve(layer, counting(2))[..., 0].tolist() == [[1, 1], [1, 2]]


def test_a_sum_beyond_int32_is_an_error() -> None:
    layer = conv(window=Window(kernel=(1, 1)), size=1, weight=127)
    x = np.full((1, 1, 1), 255, np.uint8)
    fits = replace(layer, bias=np.array([2**31 - 1 - 255 * 127], np.int32))
    assert int(accumulate(fits, x)[0, 0, 0]) == 2**31 - 1
    overflows = replace(layer, bias=fits.bias + np.int32(1))
    with pytest.raises(CompileError, match=r"^layer c: sums must fit .* got 2147483648; "):
        accumulate(overflows, x)


def test_long_sums_are_exact() -> None:
    channels = 60_000  # 1,943,100,000 in all: far beyond float32's 24 bits
    layer = conv(window=Window(kernel=(1, 1)), size=1, channels=channels, weight=127)
    layer = replace(layer, bias=np.ones(1, np.int32))
    x = np.full((1, 1, channels), 255, np.uint8)
    assert int(accumulate(layer, x)[0, 0, 0]) == channels * 255 * 127 + 1
