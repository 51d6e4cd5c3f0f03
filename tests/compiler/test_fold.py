"""Biases and batch-norm. The models have input scale 0.5 and weight scale 0.25: unit 0.125."""

from pathlib import Path

import numpy as np
import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
from sim.network import Conv
from tests.support.qdq_graph import QdqGraph

WEIGHTS = np.arange(-4, 4).reshape(4, 2, 1, 1)


def start() -> QdqGraph:
    return QdqGraph(shape=(1, 2, 3, 3)).qdq(0.5, 3)


def only_layer(graph: QdqGraph, folder: Path) -> Conv:
    (layer,) = read_network(graph.qdq(2.0, -1).save(folder)).network.layers
    assert isinstance(layer, Conv)
    return layer


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        only_layer(graph, folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, -1.0, 0.0625, 0.1875], [8, -8, 0, 2]),  # ties to even
        ([0.19, 1e6, -1e-9, 3.0], [2, 8_000_000, 0, 24]),
        (0.5, [4, 4, 4, 4]),
    ],
)
def test_a_float_bias_rounds_half_to_even(
    values: object, expected: list[int], tmp_path: Path
) -> None:
    graph = start()
    layer = only_layer(graph.conv(graph.constant("b", values), weights=WEIGHTS), tmp_path)
    assert layer.bias.tolist() == expected
    assert layer.bias.dtype == np.int32


@pytest.mark.parametrize(
    ("scale", "factor"), [(0.125, 1), (0.125 * (1 + 2**-23), 1), (0.5, 4), ([0.125] * 4, 1)]
)
def test_an_int32_bias_is_kept_exactly(scale: object, factor: int, tmp_path: Path) -> None:
    values = np.array([2**28 + 1, -(2**28) - 1, 0, 7])
    graph = start()
    bias = graph.weights("b", values, scale, dtype=np.int32, axis=0)
    layer = only_layer(graph.conv(bias, weights=WEIGHTS), tmp_path)
    assert layer.bias.tolist() == (values * factor).tolist()


def test_an_int32_bias_of_another_scale(tmp_path: Path) -> None:
    graph = start()
    bias = graph.weights("b", [1, 2, 3, 4], 0.1, dtype=np.int32, axis=0)
    assert refusal(graph.conv(bias, weights=WEIGHTS), tmp_path) == (
        "node 'conv' (Conv): the scale of an int32 bias must be input scale times weight scale, "
        "got 0.8 times that; quantise the model again"
    )


@pytest.mark.parametrize(("value", "shown"), [(3e8, "2.4e+09"), (np.nan, "nan"), (-np.inf, "-inf")])
def test_a_bias_beyond_int32(value: float, shown: str, tmp_path: Path) -> None:
    graph = start()
    assert refusal(graph.conv(graph.constant("b", value), weights=WEIGHTS), tmp_path) == (
        "node 'conv' (Conv): the bias must fit int32 in units of input scale times weight scale, "
        f"got {shown}; quantise again with larger weight scales"
    )


def test_an_added_constant_joins_the_bias(tmp_path: Path) -> None:
    graph = start()
    graph.conv(graph.constant("b", [1.0, 2.0, 3.0, 4.0]), weights=WEIGHTS)
    graph.node("Add", graph.constant("more", np.reshape([0.5, 0, 0, -0.5], (4, 1, 1))))
    layer = only_layer(graph, tmp_path)
    assert layer.bias.tolist() == [12, 16, 24, 28]


def test_the_constant_of_an_add_may_come_first(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 2)).qdq()
    graph.node("MatMul", graph.weights("w", [[1, 2, 3], [4, 5, 6]]), name="fc")
    graph.raw("Add", (graph.constant("b", [1.0, 2.0, 3.0]), graph.tensor), "sum", "add")
    graph.tensor = "sum"
    layer = only_layer(graph, tmp_path)
    assert layer.bias.tolist() == [8, 16, 24]
    assert layer.weights.tolist() == [[[[1, 4]]], [[[2, 5]]], [[[3, 6]]]]


def batch_norm(gamma: list[float], weights: object = WEIGHTS, variance: float = 3.0) -> QdqGraph:
    graph = start()
    graph.conv(graph.constant("bias", [1.0, 2.0, 3.0, 4.0]), weights=np.asarray(weights))
    parameters = [
        graph.constant("gamma", gamma),
        graph.constant("beta", [0.0, 1.0, 2.0, 3.0]),
        graph.constant("mean", [1.0, 1.0, 1.0, 1.0]),
        graph.constant("variance", [variance] * 4),
    ]
    return graph.node("BatchNormalization", *parameters, name="bn", epsilon=1.0)


def test_batch_norm_folds_into_scale_sign_and_bias(tmp_path: Path) -> None:
    """Gain gamma / sqrt(3 + 1); bias (b - mean) * gain + beta in units of 0.125 * |gain|."""
    layer = only_layer(batch_norm([2.0, -2.0, 0.0, 1.0]), tmp_path)
    assert layer.multiplier.tolist() == [0.0625, 0.0625, 0.0625, 0.03125]
    assert layer.weights.reshape(4, 2).tolist() == [[-4, -3], [2, 1], [0, 0], [2, 3]]
    assert layer.bias.tolist() == [0, 0, 16, 72]


def test_a_negative_gain_needs_room_for_the_sign(tmp_path: Path) -> None:
    weights = np.full((4, 2, 1, 1), -128)
    assert refusal(batch_norm([-1.0] * 4, weights), tmp_path) == (
        "node 'bn' (BatchNormalization): a negative gain needs weights above -128, got -128; "
        "run onnxruntime.quantization.preprocess before quantising, which folds it"
    )


@pytest.mark.parametrize(("variance", "shown"), [(-1.0, "inf"), (-2.0, "nan")])
def test_an_impossible_variance(variance: float, shown: str, tmp_path: Path) -> None:
    assert refusal(batch_norm([1.0] * 4, variance=variance), tmp_path) == (
        "node 'bn' (BatchNormalization): scale / sqrt(variance + epsilon) must be finite, "
        f"got {shown}; train again with a positive epsilon"
    )


@pytest.mark.parametrize(
    ("operator", "constant", "multiplier", "bias"),
    [
        ("Mul", [2.0, 4.0, 1.0, 0.5], [0.125, 0.25, 0.0625, 0.03125], [8, 16, 24, 32]),
        ("Div", [0.5, 0.25, 1.0, 2.0], [0.125, 0.25, 0.0625, 0.03125], [8, 16, 24, 32]),
        ("Sub", [1.0, 1.0, 1.0, 1.0], [0.0625] * 4, [0, 8, 16, 24]),
    ],
)
def test_arithmetic_with_a_constant_of_each_channel(
    operator: str,
    constant: list[float],
    multiplier: list[float],
    bias: list[int],
    tmp_path: Path,
) -> None:
    graph = start()
    graph.conv(graph.constant("b", [1.0, 2.0, 3.0, 4.0]), weights=WEIGHTS)
    graph.node(operator, graph.constant("c", np.reshape(constant, (1, 4, 1, 1))))
    layer = only_layer(graph, tmp_path)
    assert layer.multiplier.tolist() == multiplier
    assert layer.bias.tolist() == bias


def test_a_convolution_subtracted_from_a_constant(tmp_path: Path) -> None:
    graph = start().conv(weights=WEIGHTS)
    graph.tensor = graph.raw("Sub", (graph.constant("one", 1.0), graph.tensor), "y", "minus")
    layer = only_layer(graph, tmp_path)
    assert np.array_equal(layer.weights, -WEIGHTS.reshape(4, 1, 1, 2))
    assert layer.bias.tolist() == [8] * 4


def test_batch_norm_alone_is_a_depthwise_convolution(tmp_path: Path) -> None:
    """Weights of 127 stand for the gain; the bias counts 127ths of it."""
    graph = start()
    parameters = ([2.0, -0.5], [1.0, 0.0], [0.0, 1.0], [3.0, 3.0])
    names = [graph.constant(f"p{index}", values) for index, values in enumerate(parameters)]
    layer = only_layer(graph.node("BatchNormalization", *names, epsilon=1.0), tmp_path)
    assert layer.shape.groups == 2
    assert layer.weights.ravel().tolist() == [127, -127]
    # Gains 1 and -1/4; 1 / (0.5 / 127), and 1/4 / (0.125 / 127).
    assert layer.bias.tolist() == [254, 254]
    assert np.allclose(layer.multiplier, np.array([0.25, 0.0625]) / 127, rtol=1e-6)


def test_arithmetic_of_rows_alone_is_depthwise_too(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 5, 3)).qdq(0.5)
    graph.node("MatMul", graph.weights("w", np.eye(3), 1.0)).qdq(0.5)
    graph.node("Mul", graph.constant("gain", [1.0, 2.0, 4.0])).node("Relu").qdq(1.0)
    layers = read_network(graph.save(tmp_path)).network.layers
    last = layers[-1]
    assert isinstance(last, Conv)
    assert (last.shape.groups, last.clamp) == (3, (0, 127))


def test_weights_with_a_zero_point(tmp_path: Path) -> None:
    graph = start()
    weights = graph.weights("w", WEIGHTS + 128, 0.25, 128, np.uint8)
    layer = only_layer(graph.node("Conv", weights, name="conv"), tmp_path)
    assert np.array_equal(layer.weights, WEIGHTS.reshape(4, 1, 1, 2))
