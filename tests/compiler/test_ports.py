import numpy as np
import pytest

from arch.errors import InputError
from arch.layers import FeatureMap
from compiler.layout import Layout
from compiler.ports import InputPort, OutputPort
from sim.network import TensorSpec

CHW = Layout.with_channels((1, 3, 1, 2), 1)


def spec(*, signed: bool = True, zero_point: int = 0) -> TensorSpec:
    shape = FeatureMap(height=1, width=2, channels=3)
    return TensorSpec(
        name="t", shape=shape, signed=signed, scale=np.float32(0.5), zero_point=zero_point
    )


def port(*, signed: bool = True, zero_point: int = 0) -> InputPort:
    return InputPort(name="x", layout=CHW, tensor=spec(signed=signed, zero_point=zero_point))


def test_quantise_rounds_half_to_even_and_saturates() -> None:
    images = np.array([0.25, 0.75, -0.25, -0.75, 1e38, -1e38], np.float32).reshape(1, 3, 1, 2)
    # channels-first in, channels-last out
    assert port(zero_point=10).quantise(images).tolist() == [[[[10, 10, 127], [12, 8, -128]]]]
    assert port(signed=False, zero_point=1).quantise(images).tolist() == [
        [[[1, 1, 255], [3, 0, 0]]]
    ]
    assert port(signed=False).quantise(images).dtype == np.uint8


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((2, 3, 2, 1), np.float32),
            "images must be float32 [N, 3, 1, 2], got float32 [2, 3, 2, 1]; "
            "convert and reshape them",
        ),
        (
            np.zeros((2, 3, 1, 2)),
            "images must be float32 [N, 3, 1, 2], got float64 [2, 3, 1, 2]; "
            "convert and reshape them",
        ),
        (
            np.full((2, 3, 1, 2), np.nan, np.float32),
            "images must be finite, got nan; remove such values",
        ),
    ],
)
def test_wrong_images(images: np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as error:
        port().quantise(images)
    assert str(error.value) == message


def test_outputs_go_back_to_channels_first() -> None:
    tensor = spec(zero_point=1)
    maps = np.arange(6, dtype=np.int8).reshape(1, 1, 2, 3)
    output = OutputPort(name="y", layout=CHW, tensor=tensor)
    assert output.quantised(maps).tolist() == [[[[0, 3]], [[1, 4]], [[2, 5]]]]
    assert output.dequantise(maps).tolist() == [[[[-0.5, 1.0]], [[0.0, 1.5]], [[0.5, 2.0]]]]
    assert output.dequantise(maps).dtype == np.float32


def test_a_flattened_map_comes_back_in_the_order_of_onnx() -> None:
    layout = CHW.reshaped((1, 6))
    assert layout is not None
    output = OutputPort(name="y", layout=layout, tensor=spec())
    maps = np.arange(6, dtype=np.int8).reshape(1, 1, 2, 3)
    assert output.quantised(maps).tolist() == [[0, 3, 1, 4, 2, 5]]


def test_rows_come_with_their_channels_last() -> None:
    rows = InputPort(name="x", layout=Layout.with_channels((1, 2, 3), 2), tensor=spec())
    images = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert rows.quantise(images).tolist() == [[[[0, 2, 4], [6, 8, 10]]]]
