"""Operators that the host runs: the front end's models of them against ONNX Runtime."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantFormat

from arch.errors import ModelError
from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.frontend import read_network
from compiler.ports import OutputPort, ResultPort
from sim.golden.run import run_network, run_results
from sim.network import HostStep
from tests.support.host_models import random_host_model
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import FloatNet, golden_output, onnxruntime_output, quantised

SEEDS = range(60)


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


def start() -> QdqGraph:
    return QdqGraph().qdq().conv().qdq(4.0, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_network_is_onnx_runtimes_to_the_bit(seed: int, tmp_path: Path) -> None:
    """Replay: pytest tests/compiler/test_host.py -k 'onnx_runtimes_to_the_bit and [SEED]'."""
    drawn = random_host_model(seed, tmp_path)
    model = read_network(drawn.path)
    found = golden_output(model, drawn.images)
    expected = onnxruntime_output(drawn.path, drawn.images, integer=False)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), f"seed {seed}"
    assert np.array_equal(found, expected), f"seed {seed}"
    traffic = compile_file(drawn.path, PRESETS["tiny"]).schedule.host_traffic()
    assert " ".join(each.kind for each in traffic).split() == drawn.host


def test_the_random_networks_have_everything(tmp_path: Path) -> None:
    drawn = Counter[str]()
    for seed in SEEDS:
        drawn.update(random_host_model(seed, tmp_path).host)
    assert min(drawn[name] for name in ("LRN", "Softmax", "LogSoftmax", "ArgMax")) >= 10


def test_attributes_and_opset_are_the_files(tmp_path: Path) -> None:
    graph = start().node("LRN", size=5, alpha=0.3, beta=0.5, bias=1.5).qdq(0.1, -4)
    (_, step) = read_network(graph.save(tmp_path)).network.layers
    assert isinstance(step, HostStep)
    model = onnx.load_from_string(step.model)
    onnx.checker.check_model(model)
    (node,) = [node for node in model.graph.node if node.op_type == "LRN"]
    assert {item.name: helper.get_attribute_value(item) for item in node.attribute} == {
        "size": 5,
        "alpha": pytest.approx(0.3),
        "beta": 0.5,
        "bias": 1.5,
    }
    assert model.opset_import[0].version == 17
    assert step.operator == "LRN"
    assert step.input.shape == step.output.shape
    assert (step.output.scale, step.output.zero_point) == (np.float32(0.1), -4)


def test_several_results_of_one_map(tmp_path: Path) -> None:
    graph = start().node("GlobalAveragePool").qdq(2.0).node("Flatten")
    graph.raw("Softmax", (graph.tensor,), "probabilities", "softmax", axis=1)
    graph.raw("ArgMax", ("probabilities",), "class", "argmax", axis=1, keepdims=0)
    model = graph.model()
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in (
            ("class", TensorProto.INT64),
            ("probabilities", TensorProto.FLOAT),
            (graph.tensor, TensorProto.FLOAT),
        )
    )
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    imported = read_network(path)
    assert [type(port) for port in imported.outputs] == [ResultPort, ResultPort, OutputPort]
    assert [(port.name, port.shape) for port in imported.outputs] == [
        ("class", (1,)),
        ("probabilities", (1, 4)),
        ("flatten9_out", (1, 4)),
    ]
    assert [port.classes for port in imported.outputs] == [4, 4, 4]
    image = np.random.default_rng(0).normal(size=(1, 3, 6, 5)).astype(np.float32) * 8
    (image_q,) = imported.input.quantise(image)
    maps = run_network(imported.network, image_q)
    results = run_results(imported.network, image_q, maps)
    assert list(results) == ["class", "probabilities"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": image})
    last = imported.outputs[2].dequantise(maps[imported.outputs[2].tensor.name][None])
    for found, other in zip((*results.values(), last), expected, strict=True):
        assert np.array_equal(found, other)


def test_rows_of_tokens_and_a_softmax_in_any_order_of_memory(tmp_path: Path) -> None:
    graph = start()
    shape = graph.constant("shape", [1, 4, 12], np.int64)
    graph.node("Reshape", shape).node("Transpose", perm=[0, 2, 1])
    graph.node("Softmax", axis=1).qdq(0.01, -100).node("Transpose", perm=[0, 2, 1])
    path = graph.save(tmp_path)
    images = np.random.default_rng(1).normal(size=(3, 3, 6, 5)).astype(np.float32)
    found = golden_output(read_network(path), images)
    assert found.shape == (3, 4, 12)
    assert np.array_equal(found, onnxruntime_output(path, images, integer=False))


def alexnet_like() -> FloatNet:
    net = FloatNet(np.random.default_rng(3), (1, 3, 12, 12))
    net.conv(8, (3, 3), pads=[1, 1, 1, 1]).add("Relu").add("LRN", size=5, alpha=1e-2, bias=2.0)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).infer()
    net.conv(6, (3, 3)).add("Relu").add("LRN", size=3)
    net.add("Flatten").infer().gemm(5)
    return net.add("Softmax", axis=1)


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_network_from_onnx_runtimes_quantiser(form: QuantFormat, tmp_path: Path) -> None:
    images = np.random.default_rng(4).normal(size=(6, 3, 12, 12)).astype(np.float32)
    path = quantised(alexnet_like().model(), images, tmp_path / "net.onnx", quant_format=form)
    model = read_network(path)
    kinds = [layer.operator for layer in model.network.layers if isinstance(layer, HostStep)]
    kinds += [result.operator for result in model.network.results]
    assert kinds == ["LRN", "LRN", "Softmax"]
    found = golden_output(model, images)
    expected = onnxruntime_output(path, images, integer=False)
    # The quantised classifier may differ by a step (docs/numbers.md).
    assert np.abs(found - expected).max() < 0.05
    assert np.mean(found.argmax(axis=1) == expected.argmax(axis=1)) == 1.0


def test_an_argmax_of_bytes(tmp_path: Path) -> None:
    """What ONNX Runtime's quantiser writes beside integer operators."""
    weights = np.random.default_rng(0).integers(-9, 9, (4, 3, 3, 3))
    graph = QdqGraph().qdq().conv(weights=weights).qdq(4.0, 3)
    quantiser = graph.nodes[-2]
    graph.tensor, graph.elements = quantiser.output[0], TensorProto.INT64
    del graph.nodes[-1]
    path = graph.node("ArgMax", axis=1).save(tmp_path)
    images = np.random.default_rng(1).normal(size=(3, 3, 6, 5)).astype(np.float32) * 8
    found = golden_output(read_network(path), images)
    assert np.array_equal(found, onnxruntime_output(path, images, integer=False))
    assert len(np.unique(found)) > 1


def test_a_float_operand_is_refused(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().node("Softmax", name="top", axis=1)
    assert refusal(graph, tmp_path) == (
        "node 'top' (Softmax): its inputs must be quantised, got the float output of node 'conv' "
        "(Conv); quantise the whole model with quantize_static"
    )
    assert refusal(QdqGraph().qdq().conv().node("LRN", name="norm", size=3).qdq(), tmp_path) == (
        "node 'norm' (LRN): its input must be quantised, got the float output of layer conv; "
        "quantise the whole model with quantize_static"
    )


def test_an_index_in_between_is_refused(tmp_path: Path) -> None:
    graph = start().node("ArgMax", name="best", axis=1).node("Relu", name="relu")
    graph.elements = TensorProto.INT64
    assert refusal(graph, tmp_path) == (
        "output 'relu_out' must come from a DequantizeLinear, got node 'relu' (Relu); "
        "quantise that node's output, or remove the node and compute it on the host"
    )


def test_an_axis_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(start().node("Softmax", name="top", axis=4), tmp_path).startswith(
        "the model's shapes do not fit together ("
    )


def test_the_old_softmax_of_integer_operators_is_refused(tmp_path: Path) -> None:
    graph = start()
    quantiser = graph.nodes[-2]
    del graph.nodes[-1]
    graph.tensor = quantiser.output[0]
    parameters = (*quantiser.input[1:3], *quantiser.input[1:3])
    graph.node("QLinearSoftmax", *parameters, name="top", domain="com.microsoft", opset=12)
    assert refusal(graph, tmp_path) == (
        "node 'top' (QLinearSoftmax): the attribute opset must be at least 13, got 12; "
        "convert the model with onnx.version_converter before quantising"
    )
