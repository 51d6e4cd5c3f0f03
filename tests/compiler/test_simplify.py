import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from compiler.graph import Graph, build_graph
from compiler.shapes import fix_input, infer_shapes
from compiler.simplify import simplify
from tests.support.qdq_graph import QdqGraph


def simplified(graph: QdqGraph) -> Graph:
    return simplify(build_graph(infer_shapes(fix_input(graph.model()))))


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


def test_identity_and_dropout_leave_the_graph() -> None:
    graph = QdqGraph().qdq().node("Identity").node("Relu").node("Dropout", name="drop")
    graph.nodes[-1].output.append("mask")
    result = simplified(graph.qdq().node("Identity", name="last"))
    pair = ["QuantizeLinear", "DequantizeLinear"]
    assert operators(result) == [*pair, "Relu", *pair]
    assert result.outputs == {"last_out": result.nodes[-1].output}


def test_unused_nodes_and_constants_leave_the_graph() -> None:
    graph = QdqGraph().qdq()
    graph.raw("Relu", (graph.tensor,), "dead", "dead_relu")
    graph.constant("dead_constant", 1.0)
    result = simplified(graph.node("Relu").qdq())
    assert "dead_relu" not in [node.name for node in result.nodes]
    assert "dead_constant" not in result.constants


def test_constant_nodes_become_constants() -> None:
    graph = QdqGraph().qdq()
    value = numpy_helper.from_array(np.array(-1.5, np.float32))
    graph.nodes.append(helper.make_node("Constant", [], ["low"], value=value))
    graph.nodes.append(helper.make_node("Constant", [], ["high"], value_float=2.5))
    result = simplified(graph.node("Clip", "low", "high").qdq())
    assert "Constant" not in operators(result)
    assert result.constants["low"] == np.float32(-1.5)
    assert result.constants["high"] == np.float32(2.5)
    assert result.constants["high"].dtype == np.float32


@pytest.mark.parametrize(
    ("scale", "zero_point", "expected"),
    [
        (0.5, 3, [[3, 5, 3], [-128, 127, 9]]),
        ([0.5, 2.0], [0, 1], [[0, 2, 0], [-128, 101, 3]]),
    ],
)
def test_quantised_constants(scale: object, zero_point: object, expected: list[list[int]]) -> None:
    """Half to even: 0.25 / 0.5 and -0.25 / 0.5 round to 0, and 3 / 2 to 2."""
    values = np.array([[0.25, 1.0, -0.25], [-300.0, 200.0, 3.0]])
    graph = QdqGraph(shape=(1, 3)).qdq()
    inputs = (
        graph.constant("f", values),
        graph.constant("s", scale),
        graph.constant("z", zero_point, np.int8),
    )
    graph.raw("QuantizeLinear", inputs, "w_q", "quantise", axis=0)
    graph.raw("DequantizeLinear", ("w_q", "s", "z"), "w", "dequantise", axis=0)
    result = simplified(graph.node("Gemm", "w", transB=1).qdq())
    made: NDArray[np.int8] = result.constants["w_q"]
    assert made.dtype == np.int8
    assert made.tolist() == expected
