"""Activations that stay real are refused by name; see test_frontend for what is accepted."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from arch.errors import ModelError
from compiler.frontend import read_network
from tests.support.qdq_graph import QdqGraph

REMEDY = "quantise that tensor too (run quantize_static on the whole model)"


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def refusal_with_output(graph: QdqGraph, tensor: str, folder: Path) -> str:
    """As ``refusal``, with ``tensor`` as a second output."""
    model = graph.model()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = tensor
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    return str(error.value)


def test_the_input_must_be_quantised(tmp_path: Path) -> None:
    assert refusal(QdqGraph().conv().qdq(), tmp_path) == (
        f"input 'x' must go through one QuantizeLinear, got 0 different ones; {REMEDY}"
    )


def test_the_input_must_be_quantised_in_one_way(tmp_path: Path) -> None:
    graph = QdqGraph().qdq(0.5)
    graph.node("Relu").qdq()
    first, graph.tensor = graph.tensor, "x"
    graph.qdq(0.25)
    assert first != graph.tensor
    assert refusal_with_output(graph, first, tmp_path) == (
        f"input 'x' must go through one QuantizeLinear, got 2 different ones; {REMEDY}"
    )


def test_the_output_must_be_quantised(tmp_path: Path) -> None:
    assert refusal(QdqGraph().qdq().conv(), tmp_path) == (
        "output 'conv_out' must come from a DequantizeLinear, got node 'conv' (Conv); "
        "quantise that node's output, or remove the node and compute it on the host"
    )


def test_two_layers_need_quantisation_between(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().node("Relu").node("GlobalAveragePool", name="mean").qdq()
    assert refusal(graph, tmp_path) == (
        "node 'mean' (GlobalAveragePool): its input must be quantised, got the float output of "
        "layer conv; quantise the whole model with quantize_static"
    )


def test_arithmetic_after_an_activation(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().node("MaxPool", kernel_shape=[1, 1])
    graph.node("BatchNormalization", *(graph.constant(n, np.ones(4)) for n in "gbmv"), name="bn")
    assert refusal(graph.qdq(), tmp_path) == (
        "node 'bn' (BatchNormalization): its input must be quantised, got the float output of "
        "layer maxpool4; quantise the whole model with quantize_static"
    )


def test_a_function_after_a_convolution(tmp_path: Path) -> None:
    assert refusal(QdqGraph().qdq().conv().node("Sigmoid", name="gate").qdq(), tmp_path) == (
        "node 'gate' (Sigmoid): its input must be quantised, got the float output of layer conv; "
        "quantise the whole model with quantize_static"
    )


@pytest.mark.parametrize("operator", ["Add", "Mul", "Concat"])
def test_operands_must_be_quantised(operator: str, tmp_path: Path) -> None:
    graph = QdqGraph().qdq()
    shortcut = graph.tensor
    options = {"axis": 1} if operator == "Concat" else {}
    graph.conv(weights=np.ones((3, 3, 1, 1))).node(operator, shortcut, name="join", **options)
    assert refusal(graph.qdq(), tmp_path) == (
        f"node 'join' ({operator}): its inputs must be quantised, got the float output of node "
        "'conv' (Conv); quantise the whole model with quantize_static"
    )


def test_equal_quantizers_of_one_tensor_are_one(tmp_path: Path) -> None:
    """As quantize_static writes them with DedicatedQDQPair."""
    graph = QdqGraph().qdq().conv(weights=np.ones((3, 3, 1, 1)))
    real = graph.tensor
    first, graph.tensor = graph.qdq(2.0, 1).tensor, real
    graph.qdq(2.0, 1).node("Add", first, name="sum")
    model = read_network(graph.qdq(4.0).save(tmp_path))
    assert [layer.name for layer in model.network.layers] == ["conv", "sum"]


def test_many_reshapes_in_a_row(tmp_path: Path) -> None:
    graph = QdqGraph().qdq()
    for index in range(101):
        graph.node("Transpose", name=f"turn{index}", perm=[0, 1, 3, 2])
    assert refusal(graph.qdq(), tmp_path) == (
        "node 'turn0' (Transpose): at most 100 operators may follow one another without a "
        "QuantizeLinear where one of them moves data, got more; simplify the model"
    )


def test_a_float_tensor_with_two_readers(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv()
    graph.raw("Relu", (graph.tensor,), "extra", "extra")
    model = graph.qdq().model()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "extra"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        "output 'extra' must come from a DequantizeLinear, got node 'extra' (Relu); "
        "quantise that node's output, or remove the node and compute it on the host"
    )


def test_a_float_tensor_read_by_two_quantizers(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv()
    real = graph.tensor
    first = graph.qdq(0.5).tensor
    graph.tensor = real
    model = graph.qdq(0.25).model()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = first
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        f"node 'conv' (Conv): an output that is not quantised must have one reader, got 2; {REMEDY}"
    )


def test_scales_must_match_across_the_pair(tmp_path: Path) -> None:
    graph = QdqGraph()
    written = (graph.constant("s", 0.5), graph.constant("z", 1, np.int8))
    graph.node("QuantizeLinear", *written, name="q")
    graph.node("DequantizeLinear", graph.constant("s2", 0.25), "z", name="dq").conv().qdq()
    assert refusal(graph, tmp_path) == (
        "node 'dq' (DequantizeLinear): scale and zero point must equal those of node 'q' "
        "(QuantizeLinear), got 0.25 and 1, not 0.5 and 1; quantise the model again"
    )


def test_eight_bit_tensors_come_from_a_quantizer(tmp_path: Path) -> None:
    graph = QdqGraph()
    parameters = (graph.constant("s", 0.5), graph.constant("z", 0, np.int8))
    graph.node("QuantizeLinear", *parameters, name="q")
    graph.node("Relu", name="raw")
    graph.node("DequantizeLinear", *parameters, name="dq")
    assert refusal(graph, tmp_path) == (
        "node 'dq' (DequantizeLinear): activations must come from a QuantizeLinear, "
        "got 'raw_out'; quantise with quant_format=QuantFormat.QDQ"
    )


def test_the_float_input_has_no_other_reader(tmp_path: Path) -> None:
    graph = QdqGraph()
    first = graph.qdq().tensor
    graph.tensor = "x"
    model = graph.node("Relu").qdq().model()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = first
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        f"tensor 'x' must be quantised before it is used, got the model's input in float; {REMEDY}"
    )


def test_zero_points_may_be_left_out(tmp_path: Path) -> None:
    graph = QdqGraph()
    scale = graph.constant("s", 0.5)
    graph.node("QuantizeLinear", scale).node("DequantizeLinear", scale)
    weights = graph.raw(
        "DequantizeLinear", (graph.constant("w", np.ones((4, 3, 1, 1)), np.int8), "s"), "dq", "dq"
    )
    graph.node("Conv", weights).node("QuantizeLinear", scale).node("DequantizeLinear", scale)
    model = read_network(graph.save(tmp_path))
    for tensor in (model.network.input, *model.network.outputs):
        assert (tensor.signed, tensor.zero_point) == (False, 0)


def test_zero_points_of_an_unknown_tensor_may_be_left_out(tmp_path: Path) -> None:
    graph = QdqGraph()
    scale = graph.constant("s", 0.5)
    graph.node("QuantizeLinear", scale).node("Clip", name="raw")
    assert refusal(graph.node("DequantizeLinear", scale, name="dq"), tmp_path) == (
        "node 'dq' (DequantizeLinear): activations must come from a QuantizeLinear, "
        "got 'raw_out'; quantise with quant_format=QuantFormat.QDQ"
    )


def test_an_eight_bit_output(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().qdq(2.0, -3)
    del graph.nodes[-1]
    graph.tensor = graph.nodes[-1].output[0]
    model = graph.model()
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    imported = read_network(path)
    assert imported.outputs[0].name == graph.tensor
    assert imported.outputs[0].tensor.zero_point == -3


def test_a_quantised_constant_is_no_activation(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().node("Relu").qdq()
    first, graph.tensor = graph.tensor, graph.raw("Constant", (), "c", "c", value_float=np.inf)
    graph.qdq().node("Relu").qdq()
    assert refusal_with_output(graph, first, tmp_path) == (
        "node 'dq6' (DequantizeLinear): activations must be computed from the model's input, got "
        "the constant 'c'; quantise it beforehand, as an initialiser"
    )
