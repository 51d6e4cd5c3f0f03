"""Layers that move bytes."""

import re

import numpy as np
import pytest

from arch.errors import ModelError
from arch.layers import FeatureMap
from sim.golden.movement import concatenate, reshape, slice_map
from sim.network import Alias, Concat, Slice, TensorSpec


def spec(name: str, height: int, width: int, channels: int, scale: float = 1.0) -> TensorSpec:
    shape = FeatureMap(height=height, width=width, channels=channels)
    return TensorSpec(name=name, shape=shape, signed=True, scale=np.float32(scale), zero_point=0)


X = np.arange(24, dtype=np.int8).reshape(2, 3, 4)


def test_maps_lie_side_by_side_along_the_channels() -> None:
    inputs = (spec("a", 1, 2, 1), spec("b", 1, 2, 2))
    layer = Concat(name="c", inputs=inputs, output=spec("y", 1, 2, 3))
    maps = (np.array([[[1], [2]]], np.int8), np.array([[[3, 4], [5, 6]]], np.int8))
    y = concatenate(layer, maps)
    assert y.tolist() == [[[1, 3, 4], [2, 5, 6]]]
    assert y.dtype == np.int8
    assert layer.input == inputs[0]


def test_operands_are_quantised_as_the_output() -> None:
    inputs = (spec("a", 1, 1, 1), spec("b", 1, 1, 1, scale=0.5))
    layer = Concat(name="c", inputs=inputs, output=spec("y", 1, 1, 2))
    message = (
        "layer c: tensor b must be quantised as y, got scale 0.5 and zero point 0; "
        "requantise it first"
    )
    maps = (np.zeros((1, 1, 1), np.int8), np.zeros((1, 1, 1), np.int8))
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        concatenate(layer, maps)


def test_a_slice_is_a_box() -> None:
    layer = Slice(name="s", input=spec("x", 2, 3, 4), output=spec("y", 1, 2, 2), start=(1, 1, 2))
    assert slice_map(layer, X).tolist() == [[[18, 19], [22, 23]]]


@pytest.mark.parametrize("start", [(2, 0, 0), (0, 0, 3), (0, -1, 0)])
def test_a_slice_lies_within_its_input(start: tuple[int, int, int]) -> None:
    layer = Slice(name="s", input=spec("x", 2, 3, 4), output=spec("y", 1, 1, 2), start=start)
    stop = (start[0] + 1, start[1] + 1, start[2] + 2)
    message = f"layer s: a slice must lie within its input (2, 3, 4), got {start} to {stop}"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        slice_map(layer, X)


def test_a_slice_keeps_its_quantisation() -> None:
    output = spec("y", 1, 1, 1, scale=2.0)
    layer = Slice(name="s", input=spec("x", 2, 3, 4), output=output, start=(0, 0, 0))
    with pytest.raises(ModelError, match=r"^layer s: tensor x must be quantised as y, got "):
        slice_map(layer, X)


def test_an_alias_keeps_the_bytes() -> None:
    layer = Alias(name="r", input=spec("x", 2, 3, 4), output=spec("y", 1, 1, 24))
    assert reshape(layer, X).ravel().tolist() == list(range(24))
