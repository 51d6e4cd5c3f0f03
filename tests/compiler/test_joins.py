"""Sums, products and concatenations of two tensors, exactly as ONNX Runtime computes them."""

from pathlib import Path

import numpy as np
import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
from sim.network import Add, Alias, Concat, Conv, Layer, MaxPool, Multiply
from tests.support.exact_models import assert_exact
from tests.support.qdq_graph import QdqGraph


def kinds(layers: tuple[Layer, ...]) -> list[type]:
    return [type(layer) for layer in layers]


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def two_branches(scale: float = 0.25, zero_point: int = -3) -> tuple[QdqGraph, str]:
    """A map of scale 0.5 and zero point 3, and its ReLU of another quantisation."""
    graph = QdqGraph().qdq(0.5, 3)
    first = graph.tensor
    return graph.node("Relu").qdq(scale, zero_point), first


def pixel(graph: QdqGraph) -> QdqGraph:
    """The largest value of each channel."""
    return graph.node("GlobalMaxPool").qdq(1.0, 5)


@pytest.mark.parametrize("operator", ["Add", "Mul"])
@pytest.mark.parametrize("scale", [1.0, 8.0, 0.125])
def test_two_maps(operator: str, scale: float, tmp_path: Path) -> None:
    graph, first = two_branches()
    model = assert_exact(graph.node(operator, first).qdq(scale, 7), tmp_path)
    assert kinds(model.network.layers) == [MaxPool, Add if operator == "Add" else Multiply]


@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_a_map_with_itself(operator: str, tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5, 3)
    assert_exact(graph.node(operator, graph.tensor).qdq(16.0, 7), tmp_path)


@pytest.mark.parametrize("operator", ["Add", "Mul"])
@pytest.mark.parametrize("pixel_first", [False, True])
def test_one_pixel_for_all(operator: str, pixel_first: bool, tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5, 3)
    whole = graph.tensor
    single = pixel(graph).tensor
    if pixel_first:
        graph.node(operator, whole)
    else:
        graph.tensor = whole
        graph.node(operator, single)
    layer = assert_exact(graph.qdq(4.0, 7), tmp_path).network.layers[-1]
    assert isinstance(layer, Add | Multiply)
    assert layer.broadcasts
    assert layer.input.shape.height == 6


def test_a_pixel_of_fewer_axes(tmp_path: Path) -> None:
    """[1, 8, 3] and [3], whose channels are last."""
    graph = QdqGraph(shape=(1, 8, 3)).qdq(0.5)
    whole = graph.node("MatMul", graph.weights("w", np.eye(3), 0.5)).qdq(0.25).tensor
    graph.node("ReduceMean", axes=[1]).qdq(0.125)
    graph.node("Reshape", graph.constant("s", [3], np.int64))
    single, graph.tensor = graph.tensor, whole
    model = assert_exact(graph.node("Mul", single).qdq(8.0), tmp_path)
    assert model.network.layers[-1].input.shape.channels == 3


def test_a_relu_after_a_sum_is_its_clamp(tmp_path: Path) -> None:
    graph, first = two_branches()
    model = assert_exact(graph.node("Add", first).node("Relu").qdq(1.0, 7), tmp_path)
    last = model.network.layers[-1]
    assert isinstance(last, Add)
    assert last.clamp == (7, 127)


def test_a_pooling_after_a_sum(tmp_path: Path) -> None:
    graph, first = two_branches()
    graph.node("Add", first).node("MaxPool", kernel_shape=[2, 2])
    assert kinds(assert_exact(graph.qdq(1.0, 7), tmp_path).network.layers) == [
        MaxPool, Add, MaxPool,
    ]  # fmt: skip


def test_shuffled_operands_are_brought_in_order(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 6, 2, 3)).qdq(0.5, 3)
    first = graph.tensor
    graph.node("Reshape", graph.constant("a", [1, 2, 3, 2, 3], np.int64))
    graph.node("Transpose", perm=[0, 2, 1, 3, 4])
    graph.node("Reshape", graph.constant("b", [1, 6, 2, 3], np.int64))
    model = assert_exact(graph.node("Add", first).qdq(1.0), tmp_path)
    assert kinds(model.network.layers) == [Conv, Add]


def test_operands_shuffled_alike_stay(tmp_path: Path) -> None:
    """Two flattened maps: the same order, whatever it is."""
    graph, first = two_branches()
    graph.node("Flatten")
    graph.raw("Flatten", (first,), "flat", "flatten")
    model = assert_exact(graph.node("Add", "flat").qdq(1.0), tmp_path)
    assert kinds(model.network.layers) == [MaxPool, Add]


@pytest.mark.parametrize("zero_point", [3, -3])
def test_concatenation(zero_point: int, tmp_path: Path) -> None:
    """Without a copy where quantisations agree, behind a requantisation where not."""
    graph, first = two_branches(0.5, 3)
    model = assert_exact(graph.node("Concat", first, axis=1).qdq(0.5, zero_point), tmp_path)
    alike = [MaxPool, Concat]
    assert kinds(model.network.layers) == (
        alike if zero_point == 3 else [MaxPool, *[MaxPool] * 2, Concat]
    )


def test_a_relu_after_a_concatenation(tmp_path: Path) -> None:
    graph, first = two_branches(0.5, 3)
    graph.node("Concat", first, axis=-3).node("Relu").qdq(0.5, 3)
    assert kinds(assert_exact(graph, tmp_path).network.layers) == [MaxPool, Concat, MaxPool]


def test_rows_are_concatenated_along_their_channels(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 7, 3)).qdq(0.5)
    weights = graph.weights("w", np.arange(-6, 6).reshape(3, 4), 0.25)
    first = graph.node("MatMul", weights, name="fc").qdq(0.5).tensor
    graph.node("Relu").qdq(0.5).node("Concat", first, axis=2).qdq(0.5)
    assert assert_exact(graph, tmp_path).network.outputs[0].shape.channels == 8


REFUSALS = [
    (
        "Concat",
        {"axis": 2},
        "node 'join' (Concat): maps must be joined along their channels, got axis 2 of shape "
        "[1, 3, 6, 5]; join them along axis 1",
    ),
]


@pytest.mark.parametrize(("operator", "options", "message"), REFUSALS)
def test_refusals(operator: str, options: dict[str, int], message: str, tmp_path: Path) -> None:
    graph, first = two_branches()
    assert refusal(graph.node(operator, first, name="join", **options).qdq(), tmp_path) == message


def test_broadcasting_along_other_axes(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 6, 6)).qdq(0.5)
    first = graph.tensor
    graph.node("MaxPool", kernel_shape=[1, 6]).qdq(0.5)
    assert refusal(graph.node("Mul", first, name="join").qdq(), tmp_path) == (
        "node 'join' (Mul): both inputs must have one shape, or one of them one value for each "
        "channel [1, C, 1, 1], got [1, 3, 6, 6] and [1, 3, 6, 1]; reshape them before"
    )


def test_a_transposed_operand(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 3, 6, 6)).qdq(0.5)
    first = graph.tensor
    graph.node("Transpose", perm=[0, 1, 3, 2])
    assert refusal(graph.node("Add", first, name="join").qdq(), tmp_path) == (
        "node 'join' (Add): both inputs must lie in memory in one order, got one of them "
        "transposed; export the model without the Transpose before it"
    )


@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_scales_beyond_all_multipliers(operator: str, tmp_path: Path) -> None:
    graph, first = two_branches(0.5)
    shown = "1.38778e-17" if operator == "Add" else "6.93889e-18"
    assert refusal(graph.node(operator, first, name="join").qdq(2.0**55), tmp_path) == (
        f"node 'join' ({operator}): input scales over output scale must be 2^-40 to 2^24, got "
        f"{shown}; quantise again with other calibration data"
    )


def test_reshaped_operands_share_a_map(tmp_path: Path) -> None:
    """[1, 4, 2, 3] and [1, 4, 6] of the same bytes: an alias makes them one shape."""
    graph = QdqGraph(shape=(1, 4, 2, 3)).qdq(0.5)
    graph.node("Reshape", graph.constant("s", [1, 4, 6], np.int64))
    first = graph.tensor
    graph.conv(weights=np.ones((4, 4, 1))).qdq(2.0)
    model = assert_exact(graph.node("Add", first).qdq(2.0), tmp_path)
    assert kinds(model.network.layers) == [Conv, Add]
    graph.node("MaxPool", kernel_shape=[2])
    assert Alias in kinds(assert_exact(graph.qdq(2.0), tmp_path).network.layers)
