"""Functions of one number, against ONNX Runtime for every byte."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
from compiler.operators import FUNCTIONS
from sim.network import Conv, MaxPool, Table
from tests.support.exact_models import assert_exact
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import golden_output, onnxruntime_output

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "Celu": [{"alpha": 2.0}],
    "Elu": [{}, {"alpha": 0.5}],
    "Gelu": [{}, {"approximate": "tanh"}],
    "HardSigmoid": [{}, {"alpha": 0.25, "beta": 0.25}],
    "LeakyRelu": [{}, {"alpha": 0.3}],
    "Selu": [{}],
    "ThresholdedRelu": [{"alpha": 2.0}],
}
# Not defined for every number that a byte may mean; ONNX leaves open what a NaN is quantised to.
PARTIAL = {"Log", "Sqrt"}
CASES = [(name, options) for name in sorted(FUNCTIONS) for options in OPTIONS.get(name, [{}])]


def every_byte() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """An input whose quantised form holds each byte once."""
    return np.arange(-128, 128, dtype=np.float32).reshape(1, 256) * np.float32(0.0625)


def function(name: str, options: dict[str, Any], scale: float, dtype: type) -> QdqGraph:
    graph = QdqGraph(shape=(1, 256), opset=22).qdq(0.0625, 0)
    slope = [graph.constant("slope", [0.2])] if name == "PRelu" else []
    return graph.node(name, *slope, **options).qdq(scale, 3, dtype)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_functions(name: str, options: dict[str, Any], dtype: type, tmp_path: Path) -> None:
    graph = function(name, options, 0.03, dtype)
    path = graph.save(tmp_path)
    model = read_network(path)
    assert [type(layer) for layer in model.network.layers] == [Table]
    x = every_byte()
    if name in PARTIAL:
        x = np.abs(x)
    assert np.array_equal(golden_output(model, x), onnxruntime_output(path, x, integer=False))


@pytest.mark.parametrize("name", sorted(PARTIAL))
def test_what_is_not_defined_is_zero(name: str, tmp_path: Path) -> None:
    path = function(name, {}, 0.03, np.int8).save(tmp_path)
    assert golden_output(read_network(path), np.full((1, 256), -1, np.float32)).tolist() == [
        [0.0] * 256
    ]


def test_infinity_saturates(tmp_path: Path) -> None:
    path = function("Log", {}, 0.03, np.int8).save(tmp_path)
    output = golden_output(read_network(path), np.zeros((1, 256), np.float32))
    assert np.unique(output).tolist() == [np.float32(-131 * np.float32(0.03))]


def test_a_chain_is_one_table(tmp_path: Path) -> None:
    """HardSwish in pieces: x * clip(x + 3, 0, 6) / 6 but for the product."""
    graph = QdqGraph().qdq(0.0625, 9)
    graph.node("Add", graph.constant("three", 3.0))
    graph.node("Clip", graph.constant("zero", 0.0), graph.constant("six", 6.0))
    graph.node("Div", graph.constant("eight", [[8.0]])).node("Relu")
    (layer,) = assert_exact(graph.qdq(2.0**-7, -128), tmp_path).network.layers
    assert isinstance(layer, Table)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("constant_first", [False, True])
def test_arithmetic_with_a_number(operator: str, constant_first: bool, tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5, 9)
    constant = graph.weights("c", 3, 0.5)
    inputs = (constant, graph.tensor) if constant_first else (graph.tensor, constant)
    graph.tensor = graph.raw(operator, inputs, "result", "arithmetic")
    (layer,) = assert_exact(graph.qdq(1.0), tmp_path).network.layers
    assert isinstance(layer, Table)


def test_a_number_divided(tmp_path: Path) -> None:
    """1 / 0 saturates."""
    graph = QdqGraph().qdq(0.5, 0)
    graph.tensor = graph.raw("Div", (graph.constant("one", 1.0), graph.tensor), "y", "reciprocal")
    assert_exact(graph.qdq(0.0625), tmp_path)


def test_a_number_of_more_axes_gives_the_output_its_axes(tmp_path: Path) -> None:
    graph = QdqGraph(shape=(1, 6)).qdq(0.5)
    graph.node("Mul", graph.constant("two", np.full((1, 1, 1, 1), 2.0))).qdq(0.5)
    model = assert_exact(graph, tmp_path)
    assert model.outputs[0].shape == (1, 1, 1, 6)


def test_a_pooling_follows_a_table(tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5).node("Neg").node("MaxPool", kernel_shape=[2, 2]).qdq(0.5, 5)
    layers = assert_exact(graph, tmp_path).network.layers
    assert [type(layer) for layer in layers] == [Table, MaxPool]


def test_clamps_alone_are_no_table(tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5).node("Relu")
    graph.node("Clip", "", graph.constant("six", 6.0))
    layers = assert_exact(graph.qdq(0.25), tmp_path).network.layers
    assert [type(layer) for layer in layers] == [MaxPool]


def test_silu_is_a_table_and_a_product(tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5).conv().qdq(0.0625)
    x = graph.tensor
    graph.node("Sigmoid").qdq(2.0**-8, -128).node("Mul", x).qdq(0.0625)
    kinds = [type(layer).__name__ for layer in assert_exact(graph, tmp_path).network.layers]
    assert kinds == [Conv.__name__, "Table", "Multiply"]


STEP = 2.0**-12
JUMPS = {"Ceil", "Floor", "Round", "Sign", "ThresholdedRelu", "Log", "Reciprocal"}
"""Functions that no straight lines follow."""
SCALES = {"Exp": 2.0**-4}


def wide_function(name: str, options: dict[str, Any], dtype: type) -> tuple[QdqGraph, Any]:
    """A function from 16 bits to 16, and an input that holds every number once."""
    limits, zero_point = np.iinfo(dtype), 0 if dtype is np.int16 else 1 << 15
    graph = QdqGraph(shape=(1, 1 << 16), opset=22).qdq(STEP, zero_point, dtype)
    slope = [graph.constant("slope", [0.2])] if name == "PRelu" else []
    scale = SCALES.get(name, 2.0**-12)
    graph.node(name, *slope, name="f", **options).qdq(scale, zero_point, dtype)
    q = np.arange(limits.min, limits.max + 1) - zero_point
    return graph, (q.astype(np.float32) * np.float32(STEP)).reshape(1, -1)


@pytest.mark.parametrize("name", sorted({*FUNCTIONS} - JUMPS))
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_functions_of_16_bits(name: str, dtype: type, tmp_path: Path) -> None:
    """Exact at every 256th input, and nowhere more than 256 steps off."""
    graph, x = wide_function(name, OPTIONS.get(name, [{}])[0], dtype)
    path = graph.save(tmp_path)
    model = read_network(path)
    (layer,) = model.network.layers
    assert isinstance(layer, Table)
    if name in PARTIAL:
        x = np.abs(x)
    steps = golden_output(model, x) - onnxruntime_output(path, x, integer=False)
    steps = steps.ravel() / layer.output.scale
    assert not steps[::256].any()
    assert np.abs(steps).max() <= 256


@pytest.mark.parametrize("name", sorted(JUMPS - {"Log"}))
def test_jumps_of_16_bits_are_refused(name: str, tmp_path: Path) -> None:
    graph, _ = wide_function(name, OPTIONS.get(name, [{}])[0], np.int16)
    with pytest.raises(ModelError) as caught:
        read_network(graph.save(tmp_path))
    assert re.fullmatch(
        rf"node 'f' \({name}\): at 16 bits a function must lie within 256 steps of the lines "
        r"between its values at every 256th input, got \d+ steps; quantise the model with 8-bit "
        "activations, or use a smoother function",
        str(caught.value),
    )
