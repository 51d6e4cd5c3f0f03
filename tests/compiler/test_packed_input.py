"""Packed rows, element by element, against what their docstring says."""

from dataclasses import replace

import numpy as np
import pytest

from arch.layers import FeatureMap, Window
from compiler.packed_input import PackedInput, packed_shape
from sim.network import TensorSpec
from tests.support.random_maps import (
    DEFAULT_LIMITS,
    random_map,
    random_map_values,
    random_spec,
    random_window,
)
from tests.support.seeds import replayed

SEEDS = (*range(20), replayed())


@pytest.mark.parametrize("seed", SEEDS)
def test_every_element(seed: int) -> None:
    """Replay seed 17: TILEWRIGHT_SEED=17 pytest tests/compiler/test_packed_input.py."""
    rng = np.random.default_rng(seed)
    source = random_spec(rng, "x", random_map(rng, DEFAULT_LIMITS), np.float32(1), 8)
    fmap = source.shape
    window = random_window(rng, fmap, DEFAULT_LIMITS)
    values = random_map_values(rng, source)
    packed = pack(source, window, values)
    rows = np.arange(packed.shape[0]) * window.stride[0] - window.padding[0]
    for y, x, channel in np.ndindex(packed.shape):
        ky, c = divmod(channel, fmap.channels)
        row = rows[y] + ky * window.dilation[0]
        inside = 0 <= row < fmap.height
        assert packed[y, x, channel] == (values[row, x, c] if inside else source.zero_point)


def pack(source: TensorSpec, window: Window, values: np.ndarray) -> np.ndarray:
    shape = packed_shape(source.shape, window)
    spec = replace(source, name="p", shape=shape)
    return PackedInput(source=source, packed=spec, window=window).pack(values)


def test_the_shape_of_a_first_layer() -> None:
    """AlexNet's: 11 kernel rows of 3 channels for each of 55 output rows."""
    window = Window(kernel=(11, 11), stride=(4, 4))
    shape = packed_shape(FeatureMap(height=227, width=227, channels=3), window)
    assert shape == FeatureMap(height=55, width=227, channels=33)
