"""Slices, splits and reshapes, exactly as ONNX Runtime computes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
from sim.network import Alias, AveragePool, Concat, Conv, MaxPool, Slice
from tests.support.exact_models import assert_exact
from tests.support.qdq_graph import QdqGraph


def kinds(graph: QdqGraph, folder: Path) -> list[type]:
    return [type(layer) for layer in assert_exact(graph, folder).network.layers]


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def cut(graph: QdqGraph, **numbers: list[int]) -> QdqGraph:
    """A Slice of the last activation: ``starts``, ``ends``, ``axes``."""
    index = len(graph.constants)
    names = [graph.constant(f"{k}{index}", v, np.int64) for k, v in numbers.items()]
    return graph.node("Slice", *names)


BIG = 2**62


@pytest.mark.parametrize(
    ("numbers", "start", "size"),
    [
        ({"starts": [1], "ends": [3], "axes": [1]}, (0, 0, 1), (6, 5, 2)),
        ({"starts": [-2], "ends": [BIG], "axes": [-1]}, (0, 3, 0), (6, 2, 3)),
        ({"starts": [-100], "ends": [-4], "axes": [2]}, (0, 0, 0), (2, 5, 3)),
        ({"starts": [2, 1], "ends": [4, 9], "axes": [2, 3]}, (2, 1, 0), (2, 4, 3)),
        ({"starts": [0, 2, 1, 1], "ends": [1, 3, 3, 3]}, (1, 1, 2), (2, 2, 1)),
    ],
)
def test_slices(
    numbers: dict[str, list[int]],
    start: tuple[int, int, int],
    size: tuple[int, int, int],
    tmp_path: Path,
) -> None:
    (layer,) = assert_exact(cut(QdqGraph().qdq(), **numbers).qdq(), tmp_path).network.layers
    assert isinstance(layer, Slice)
    assert layer.start == start
    shape = layer.output.shape
    assert (shape.height, shape.width, shape.channels) == size


def test_a_slice_of_everything_is_none(tmp_path: Path) -> None:
    graph = cut(QdqGraph().qdq(), starts=[0], ends=[BIG], axes=[1]).node("Relu").qdq()
    assert kinds(graph, tmp_path) == [MaxPool]


def test_a_slice_of_rows(tmp_path: Path) -> None:
    """The first of [1, 7, 3], as a Transformer's class token."""
    graph = QdqGraph(shape=(1, 7, 3)).qdq()
    graph.node("MatMul", graph.weights("w", np.eye(3), 1.0)).qdq()
    cut(graph, starts=[0], ends=[1], axes=[1])
    graph.node("Reshape", graph.constant("s", [1, 3], np.int64)).qdq()
    assert kinds(graph, tmp_path) == [Conv, Slice]


@pytest.mark.parametrize("quantised", [False, True])
def test_a_split_and_its_parts_again(quantised: bool, tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 5, 3, 3)).qdq()
    sizes = graph.constant("sizes", [2, 3], np.int64)
    parts = split(graph, ["left", "right"], sizes)
    names = []
    for part in parts:
        graph.tensor = part
        names.append(graph.qdq().tensor if quantised else part)
    graph.tensor = names[1]
    graph.node("Concat", names[0], axis=1)
    assert kinds(graph.qdq(), tmp_path) == [Slice, Slice, Concat]


def split(graph: QdqGraph, names: list[str], *sizes: str, **attributes: Any) -> list[str]:
    graph.raw("Split", (graph.tensor, *sizes), names[0], "split", axis=1, **attributes)
    graph.nodes[-1].output.extend(names[1:])
    return names


@pytest.mark.parametrize(("opset", "channels"), [(13, 6), (18, 6), (18, 7)])
def test_a_split_in_equal_parts(opset: int, channels: int, tmp_path: Path) -> None:
    """Of seven channels, the last part has one less."""
    graph = QdqGraph(shape=(1, channels, 3, 3), opset=opset).qdq()
    attributes = {"num_outputs": 2} if opset == 18 else {}
    graph.tensor = split(graph, ["left", "right"], **attributes)[1]
    (layer,) = assert_exact(graph.qdq(), tmp_path).network.layers
    assert isinstance(layer, Slice)
    assert layer.start == (0, 0, -(-channels // 2))


def test_channel_shuffle(tmp_path: Path) -> None:
    """A convolution of one group takes its weights in the shuffled order; a pooling cannot."""
    graph = QdqGraph(shape=(1, 6, 2, 3)).qdq()
    graph.node("Reshape", graph.constant("a", [1, 2, 3, 2, 3], np.int64)).qdq()
    graph.node("Transpose", perm=[0, 2, 1, 3, 4]).qdq()
    graph.node("Reshape", graph.constant("b", [1, 6, 2, 3], np.int64)).qdq()
    shuffled = graph.tensor
    weights = np.arange(-12, 12).reshape(4, 6, 1, 1)
    assert kinds(graph.conv(weights=weights).qdq(32.0), tmp_path) == [Conv]
    graph.tensor = shuffled
    layers = assert_exact(graph.node("MaxPool", kernel_shape=[2, 2]).qdq(), tmp_path).network.layers
    assert [type(layer) for layer in layers] == [Conv, MaxPool]
    moved = layers[0]
    assert isinstance(moved, Conv)
    assert moved.weights.sum() == 6
    assert np.array_equal(moved.multiplier, np.ones(6, np.float32))


def test_a_shuffle_is_made_once(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 6, 2, 3)).qdq()
    graph.node("Reshape", graph.constant("a", [1, 3, 2, 2, 3], np.int64))
    graph.node("Transpose", perm=[0, 2, 1, 3, 4])
    graph.node("Reshape", graph.constant("b", [1, 6, 2, 3], np.int64)).qdq()
    shuffled = graph.tensor
    first = graph.node("MaxPool", kernel_shape=[1, 1]).qdq().tensor
    graph.tensor = shuffled
    graph.node("AveragePool", kernel_shape=[1, 1]).qdq().node("Concat", first, axis=1)
    assert kinds(graph.qdq(), tmp_path) == [Conv, MaxPool, AveragePool, Concat]


def test_a_patch_embedding_costs_nothing(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 4, 6)).qdq()
    graph.conv(weights=np.arange(-24, 24).reshape(4, 3, 2, 2), strides=[2, 2]).qdq(8.0)
    graph.node("Reshape", graph.constant("s", [1, 4, 6], np.int64)).qdq(8.0)
    graph.node("Transpose", perm=[0, 2, 1]).qdq(8.0)
    graph.node("MatMul", graph.weights("m", np.arange(-8, 8).reshape(4, 4))).qdq(64.0)
    model = assert_exact(graph, tmp_path)
    assert [type(layer) for layer in model.network.layers] == [Conv, Conv]
    assert model.outputs[0].shape == (1, 6, 4)


def test_squeeze_and_unsqueeze(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 1, 6)).qdq()
    axes = graph.constant("axes", [2], np.int64)
    graph.node("Squeeze", axes).conv(weights=np.ones((2, 3, 3))).qdq(4.0)
    graph.node("Unsqueeze", axes).node("MaxPool", kernel_shape=[1, 2]).qdq(4.0)
    assert kinds(graph, tmp_path) == [Conv, MaxPool]


def test_a_reshaped_map_becomes_an_alias_where_its_form_matters(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 4, 6)).qdq()
    graph.node("Reshape", graph.constant("s", [1, 3, 6, 4], np.int64))
    assert kinds(graph.node("MaxPool", kernel_shape=[2, 3]).qdq(), tmp_path) == [Alias, MaxPool]


def test_channels_last_in_and_out(tmp_path: Path) -> None:
    """A Transpose of the input or output is the host's: it moves no byte on the machine."""
    graph = QdqGraph(shape=(1, 3, 4, 6)).qdq()
    graph.node("Transpose", perm=[0, 2, 3, 1]).qdq().node("Relu").qdq()
    model = assert_exact(graph, tmp_path)
    assert model.outputs[0].shape == (1, 4, 6, 3)


def test_a_transpose_before_the_first_quantizer(tmp_path: Path) -> None:
    """As exporters of channels-last models write it: images lie in memory as they come."""
    graph = QdqGraph(shape=(1, 4, 6, 3)).node("Transpose", perm=[0, 3, 1, 2]).qdq()
    model = assert_exact(graph.conv().qdq(4.0).node("Flatten"), tmp_path)
    assert [type(layer) for layer in model.network.layers] == [Conv]
    assert model.input.shape == (1, 4, 6, 3)
    shape = model.network.input.shape
    assert (shape.height, shape.width, shape.channels) == (4, 6, 3)


def test_a_transposition_that_moves_bytes(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 4, 6)).qdq().node("Transpose", perm=[0, 1, 3, 2])
    assert refusal(graph.node("MaxPool", name="pool", kernel_shape=[2, 2]).qdq(), tmp_path) == (
        "node 'pool' (MaxPool): its input of shape [1, 3, 6, 4] must have its channels side by side"
        " in memory, got it transposed; export the model without the Transpose before it"
    )


def test_more_axes_than_a_map_has(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 4, 6)).qdq()
    graph.node("Reshape", graph.constant("s", [1, 3, 4, 3, 2], np.int64))
    message = refusal(cut(graph, starts=[1], ends=[2], axes=[3]).qdq(), tmp_path)
    assert message == (
        "node 'slice3' (Slice): at most two axes beside the channels may be cut, got "
        "[1, 3, 4, 3, 2] to [1, 3, 4, 1, 2]; reshape the tensor to a map before"
    )


def test_too_many_channels_to_shuffle(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 5000, 1, 1)).qdq()
    graph.node("Reshape", graph.constant("a", [1, 2, 2500, 1, 1], np.int64))
    graph.node("Transpose", perm=[0, 2, 1, 3, 4])
    graph.node("Reshape", graph.constant("b", [1, 5000, 1, 1], np.int64))
    assert refusal(graph.node("GlobalMaxPool", name="pool").qdq(), tmp_path) == (
        "node 'pool' (GlobalMaxPool): at most 4096 channels may be brought in order, got 5000; "
        "remove the Transpose or Flatten before it"
    )


def test_too_many_shuffles(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 4096, 1, 1)).qdq()
    for index in range(5):
        graph.node("Reshape", graph.constant(f"a{index}", [1, 2, 2048, 1, 1], np.int64))
        graph.node("Transpose", perm=[0, 2, 1, 3, 4])
        graph.node("Reshape", graph.constant(f"b{index}", [1, 4096, 1, 1], np.int64))
        graph.node("MaxPool", name=f"pool{index}", kernel_shape=[1, 1]).qdq(0.5 + index)
    assert refusal(graph, tmp_path) == (
        "node 'pool4' (MaxPool): shuffles of channels may take at most 67108864 weights, got "
        "83886080; remove the Transpose before it"
    )
