import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from arch.errors import ModelError
from compiler.graph import build_graph
from compiler.shapes import fix_input, infer_shapes
from tests.support.qdq_graph import QdqGraph


def test_nodes_constants_and_shapes() -> None:
    graph = build_graph(
        infer_shapes(fix_input(QdqGraph().qdq().conv(strides=[2, 1]).qdq().model()))
    )
    conv = next(node for node in graph.nodes if node.operator == "Conv")
    assert conv.label == "node 'conv' (Conv)"
    assert conv.integers("strides", ()) == (2, 1)
    assert conv.integers("pads", (9,)) == (9,)
    assert (conv.integer("group", 1), conv.number("x", 2.0), conv.text("auto_pad", "a")) == (
        1,
        2,
        "a",
    )
    assert conv.input(7) == ""
    assert graph.shape(conv.output) == (1, 4, 2, 3)
    assert graph.shape("w_q") == (4, 3, 3, 3)
    assert graph.constants["w_q"].dtype == np.int8
    weights = graph.producer("w")
    assert weights is not None
    assert weights.operator == "DequantizeLinear"
    assert graph.consumers("w") == (conv,)
    assert (graph.input, graph.outputs) == ("x", {"dq4_out": "dq4_out"})


def test_initialisers_may_be_listed_as_inputs() -> None:
    model = QdqGraph().qdq().conv().qdq().model()
    model.graph.input.append(helper.make_tensor_value_info("w_q", TensorProto.INT8, [4, 3, 3, 3]))
    assert build_graph(infer_shapes(fix_input(model))).input == "x"


def test_two_inputs() -> None:
    model = QdqGraph().qdq().conv().qdq().model()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(ModelError) as error:
        build_graph(infer_shapes(fix_input(model)))
    assert str(error.value) == (
        "a model must have one input, got 2; "
        "split the model, or turn the other inputs into initialisers"
    )


def test_a_constant_shorter_than_its_shape() -> None:
    model = QdqGraph().qdq().conv().qdq().model()
    tensor = next(item for item in model.graph.initializer if item.name == "w_q")
    inferred = infer_shapes(fix_input(model))
    tensor = next(item for item in inferred.graph.initializer if item.name == "w_q")
    tensor.raw_data = tensor.raw_data[:-1]
    with pytest.raises(ModelError) as error:
        build_graph(inferred)
    assert str(error.value) == (
        "constant 'w_q' must hold as many numbers as its shape [4, 3, 3, 3] says; "
        "export the model again"
    )


def test_a_constant_of_an_unknown_type() -> None:
    graph = onnx.GraphProto(
        initializer=[onnx.numpy_helper.from_array(np.zeros(2, np.float64), "d\n")]
    )
    with pytest.raises(ModelError) as error:
        build_graph(onnx.ModelProto(graph=graph))
    assert str(error.value) == (
        "constant 'd?' must be one of BOOL, FLOAT, INT16, INT32, INT64, INT8, UINT16, UINT8, "
        "got DOUBLE; quantise to int8 from a float32 model"
    )
