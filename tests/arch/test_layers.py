"""Shapes of layers."""

from typing import Any

import pytest

from arch.errors import ShapeError
from arch.layers import ConvShape, FeatureMap, PoolShape, Window


def test_first_layer_of_resnet50() -> None:
    shape = ConvShape(
        ifmap=FeatureMap(height=224, width=224, channels=3),
        out_channels=64,
        window=Window(kernel=(7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),
    )
    assert shape.ofmap == FeatureMap(height=112, width=112, channels=64)
    assert shape.weights == 9408
    assert shape.macs == 118_013_952


def test_dilation_and_uneven_padding() -> None:
    window = Window(kernel=(3, 2), dilation=(2, 3), padding=(1, 0, 2, 1))
    assert window.extent == (5, 4)
    shape = PoolShape(ifmap=FeatureMap(height=6, width=5, channels=7), window=window)
    assert shape.ofmap == FeatureMap(height=5, width=3, channels=7)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": (0, 1)}, "a window's kernel must be at least 1, got (0, 1)"),
        ({"kernel": (1, 1), "stride": (1, 0)}, "a window's stride must be at least 1, got (1, 0)"),
        (
            {"kernel": (1, 1), "padding": (0, 0, -1, 0)},
            "a window's padding must not be negative, got (0, 0, -1, 0)",
        ),
    ],
)
def test_impossible_windows(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Window(**fields)
    assert str(caught.value) == message


def test_window_larger_than_its_input() -> None:
    with pytest.raises(ShapeError) as caught:
        PoolShape(ifmap=FeatureMap(height=2, width=2, channels=1), window=Window(kernel=(3, 3)))
    assert str(caught.value) == ("a window of extent (3, 3) is larger than the padded input (2, 2)")


def test_empty_map() -> None:
    with pytest.raises(ShapeError) as caught:
        FeatureMap(height=1, width=0, channels=1)
    assert str(caught.value) == "a feature map's width must be at least 1, got 0"
