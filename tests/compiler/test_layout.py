"""Layouts against NumPy, which moves the elements that a layout only describes."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.layers import FeatureMap
from compiler.layout import Layout

SHAPES = st.lists(st.sampled_from([1, 1, 2, 3, 4, 6]), min_size=2, max_size=4).map(tuple)


def numbered(layout: Layout) -> np.ndarray:
    """The tensor whose elements are their own places in memory."""
    places = np.arange(prod(layout.sizes))
    return layout.from_memory(places).reshape(layout.shape)


@given(SHAPES, st.integers(0, 3))
def test_channels_lie_innermost(shape: tuple[int, ...], axis: int) -> None:
    axis %= len(shape)
    layout = Layout.with_channels(shape, axis)
    assert layout.shape == shape
    order = [*(each for each in range(len(shape)) if each != axis), axis]
    inner = np.arange(prod(shape)).reshape([shape[each] for each in order])
    assert np.array_equal(numbered(layout), inner.transpose(np.argsort(order)))


@given(SHAPES, st.data())
def test_transposing_and_reshaping_as_numpy_does(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    layout = Layout.with_channels(shape, 1)
    values = numbered(layout)
    for _ in range(4):
        permutation = tuple(data.draw(st.permutations(range(values.ndim))))
        layout, values = layout.transposed(permutation), values.transpose(permutation)
        assert np.array_equal(numbered(layout), values)
        target = tuple(data.draw(st.permutations([*values.shape, 1])))
        if data.draw(st.booleans()):
            target = (*target[:-2], target[-2] * target[-1])
        reshaped = layout.reshaped(target)
        if reshaped is not None:
            layout, values = reshaped, values.reshape(target)
            assert np.array_equal(numbered(layout), values)


@given(SHAPES, st.integers(2, 3))
def test_memory_and_back(shape: tuple[int, ...], images: int) -> None:
    layout = Layout.with_channels((1, *shape), 1)
    values = np.arange(images * prod(shape)).reshape(images, *shape)
    memory = layout.to_memory(values)
    assert np.array_equal(layout.from_memory(memory).reshape(values.shape), values)


def test_a_scalar_has_no_axis() -> None:
    scalar = Layout(sizes=(), axes=())
    assert Layout.with_channels((), 1) == scalar
    assert Layout.with_channels((1, 1), 1).reshaped(()) == scalar
    assert scalar.shape == ()


def test_equal_orders_are_equal_layouts() -> None:
    layout = Layout.with_channels((1, 6, 2, 3), 1)
    apart = layout.reshaped((1, 2, 3, 2, 3))
    assert apart is not None
    assert apart != layout
    assert apart.reshaped((1, 6, 2, 3)) == layout
    assert Layout.with_channels((1, 4, 3), 2).reshaped((1, 2, 2, 3)) == Layout.with_channels(
        (1, 2, 2, 3), 3
    )


def test_a_map_is_viewed_with_its_channels() -> None:
    view = Layout.with_channels((1, 6, 2, 3), 1).view(1)
    assert view is not None
    assert (view.shape, view.in_order) == (FeatureMap(height=2, width=3, channels=6), True)
    assert view.order().tolist() == list(range(6))
    assert Layout.with_channels((1, 6, 2, 3), 1).view(2) is None
    line = Layout.with_channels((1, 6, 5), 1).view(1)
    assert line is not None
    assert line.shape == FeatureMap(height=1, width=5, channels=6)
    rows = Layout.with_channels((4, 5), 1).view(-1)
    assert rows is not None
    assert rows.shape == FeatureMap(height=1, width=4, channels=5)


def test_a_patch_embedding_moves_no_byte() -> None:
    """[1, C, H, W] to [1, H * W, C], as before a Transformer."""
    flat = Layout.with_channels((1, 6, 2, 3), 1).reshaped((1, 6, 6))
    assert flat is not None
    tokens = flat.transposed((0, 2, 1))
    assert tokens == Layout.with_channels((1, 6, 6), 2)


def test_a_channel_shuffle_is_an_order_of_channels() -> None:
    apart = Layout.with_channels((1, 6, 2, 3), 1).reshaped((1, 2, 3, 2, 3))
    assert apart is not None
    shuffled = apart.transposed((0, 2, 1, 3, 4)).reshaped((1, 6, 2, 3))
    assert shuffled is not None
    view = shuffled.view(1)
    assert view is not None
    assert not view.in_order
    # Channel 0 of memory is the shuffled tensor's 0, channel 1 its 2 ...
    assert view.order().tolist() == [0, 2, 4, 1, 3, 5]


def test_a_flattened_map_is_a_permuted_vector() -> None:
    vector = Layout.with_channels((1, 2, 1, 3), 1).reshaped((1, 6))
    assert vector is not None
    view = vector.view(1)
    assert view is not None
    assert view.shape == FeatureMap(height=1, width=1, channels=6)
    assert not view.in_order
    assert view.order().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("target", [(1, 4, 9), (1, 9, 2, 3)])
def test_axes_that_cut_across(target: tuple[int, ...]) -> None:
    assert Layout.with_channels((1, 6, 2, 3), 1).reshaped(target) is None
