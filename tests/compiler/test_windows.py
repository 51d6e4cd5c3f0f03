"""Windows of convolutions and poolings, against ONNX Runtime's own output sizes and values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.frontend import read_network
from sim.network import AveragePool, Conv, MaxPool
from tests.support.exact_models import assert_exact
from tests.support.qdq_graph import QdqGraph


def padding(folder: Path, size: int, **attributes: Any) -> tuple[int, int, int, int]:
    graph = QdqGraph(shape=(1, 3, size, size)).qdq().conv(**attributes).qdq()
    (layer,) = read_network(graph.save(folder)).network.layers
    assert isinstance(layer, Conv)
    return layer.shape.window.padding


@pytest.mark.parametrize(
    ("size", "attributes", "expected"),
    [
        (6, {}, (0, 0, 0, 0)),
        (6, {"pads": [1, 0, 2, 3]}, (1, 0, 2, 3)),
        (6, {"auto_pad": "VALID"}, (0, 0, 0, 0)),
        (6, {"auto_pad": "SAME_UPPER"}, (1, 1, 1, 1)),
        # ceil(6 / 2) = 3 outputs need 2 * 2 + 3 = 7 pixels: one more than there are
        (6, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (0, 0, 1, 1)),
        (6, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 1, 0, 0)),
        (7, {"auto_pad": "SAME_LOWER", "strides": [3, 2]}, (1, 1, 1, 1)),
        (6, {"auto_pad": "SAME_UPPER", "dilations": [2, 1]}, (2, 1, 2, 1)),
        (5, {"auto_pad": "SAME_UPPER", "strides": [5, 5]}, (0, 0, 0, 0)),
    ],
)
def test_padding(
    size: int,
    attributes: dict[str, Any],
    expected: tuple[int, int, int, int],
    tmp_path: Path,
) -> None:
    assert padding(tmp_path, size, **attributes) == expected


def test_the_kernel_is_that_of_the_weights(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv(weights=np.ones((2, 3, 1, 4))).qdq()
    (layer,) = read_network(graph.save(tmp_path)).network.layers
    assert isinstance(layer, Conv)
    assert layer.shape.window.kernel == (1, 4)


@pytest.mark.parametrize(
    ("size", "attributes", "expected", "overhang"),
    [
        # kernel 3, stride 2 on 6 pixels: windows at 0, 2, and at 4 one pixel too far
        (6, {"ceil_mode": 1}, (0, 0, 1, 1), (1, 1)),
        (6, {"ceil_mode": 1, "pads": [1, 1, 1, 1]}, (1, 1, 2, 2), (1, 1)),
        (5, {"ceil_mode": 1, "pads": [1, 0, 0, 0]}, (1, 0, 1, 0), (1, 0)),
        (6, {"ceil_mode": 0, "pads": [1, 1, 1, 1]}, (1, 1, 1, 1), (0, 0)),
        # A window may not begin in the padding behind.
        (6, {"ceil_mode": 1, "pads": [0, 0, 2, 2], "strides": [6, 6]}, (0, 0, 2, 2), (0, 0)),
    ],
)
@pytest.mark.parametrize("include", [0, 1])
def test_sizes_rounded_up(
    size: int,
    attributes: dict[str, Any],
    expected: tuple[int, int, int, int],
    overhang: tuple[int, int],
    include: int,
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]} | attributes
    graph = QdqGraph(shape=(1, 3, size, size), opset=22).qdq()
    (layer,) = assert_exact(graph.node("MaxPool", **options).qdq(), tmp_path).network.layers
    assert isinstance(layer, MaxPool)
    assert layer.shape.window.padding == expected
    graph = QdqGraph(shape=(1, 3, size, size), opset=22).qdq()
    graph.node("AveragePool", **(options | {"count_include_pad": include})).qdq()
    (average,) = read_network(graph.save(tmp_path)).network.layers
    assert isinstance(average, AveragePool)
    assert (average.shape.window.padding, average.overhang) == (expected, overhang)
    assert average.include_padding == bool(include)


@pytest.mark.parametrize("include", [0, 1])
def test_averages(include: int, tmp_path: Path) -> None:
    """A 2x2 window has 1, 2 or 4 taps: every mean is exact."""
    graph = QdqGraph().qdq(0.5, 3)
    options: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [1, 2], "pads": [1, 1, 1, 0]}
    graph.node("AveragePool", **options, count_include_pad=include).qdq(0.25, -5)
    assert_exact(graph, tmp_path)


@pytest.mark.parametrize(
    ("operator", "shape", "attributes"),
    [
        ("GlobalAveragePool", (1, 3, 4, 8), {}),
        ("ReduceMean", (1, 3, 4, 8), {"axes": [2, 3]}),
        ("ReduceMean", (1, 3, 4, 8), {"axes": [-1, -2], "keepdims": 0}),
        ("ReduceMean", (1, 3, 8), {"axes": [2]}),
        ("GlobalMaxPool", (1, 3, 4, 8), {}),
        ("GlobalAveragePool", (1, 3, 8), {}),
    ],
)
def test_poolings_of_whole_maps(
    operator: str, shape: tuple[int, ...], attributes: dict[str, Any], tmp_path: Path
) -> None:
    scale = 1.0 if "Max" in operator else 0.125
    graph = QdqGraph(shape=shape).qdq(0.5, 3).node(operator, **attributes).qdq(scale, -5)
    (layer,) = assert_exact(graph, tmp_path).network.layers
    assert isinstance(layer, MaxPool if "Max" in operator else AveragePool)
    assert layer.output.shape.elements == 3


def test_axes_of_a_mean_as_an_input(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 4, 8), opset=18).qdq(0.5)
    graph.node("ReduceMean", graph.constant("axes", [2, 3], np.int64), keepdims=0).qdq(0.125)
    assert_exact(graph, tmp_path)


@pytest.mark.parametrize("group", [1, 3])
def test_lines_are_maps_of_height_one(group: int, tmp_path: Path) -> None:
    """A dilated 1-D convolution with uneven padding, and 1-D poolings behind."""
    graph = QdqGraph(shape=(1, 3, 20)).qdq()
    rng = np.random.default_rng(5)
    weights = rng.integers(-9, 9, (6, 3 // group, 4))
    graph.conv(weights=weights, pads=[5, 1], dilations=[2], strides=[1], group=group).qdq(4.0)
    graph.node("MaxPool", kernel_shape=[3], strides=[2], pads=[0, 1]).qdq(4.0)
    graph.node("AveragePool", kernel_shape=[2]).qdq(2.0)
    model = assert_exact(graph, tmp_path)
    conv = model.network.layers[0]
    assert isinstance(conv, Conv)
    assert conv.shape.window.kernel == (1, 4)
    assert conv.shape.window.padding == (0, 5, 0, 1)
    assert conv.shape.ifmap.height == 1


@pytest.mark.parametrize("groups", [3, 1])
@pytest.mark.parametrize("outputs", [3, 6])
def test_groups(groups: int, outputs: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    weights = rng.integers(-9, 9, (outputs, 3 // groups, 3, 2))
    graph = QdqGraph().qdq(0.5, 3).conv(weights=weights, group=groups, pads=[1, 0, 1, 1]).qdq(4.0)
    (layer,) = assert_exact(graph, tmp_path).network.layers
    assert isinstance(layer, Conv)
    assert layer.shape.groups == groups
