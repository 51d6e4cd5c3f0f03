"""Whole models: the imported network on the golden model against ONNX Runtime.

ONNX Runtime's integer layers follow the same specification, so its bytes must be the same. In
float32 it adds in an order of its own and divides instead of multiplying: that moves a value that
lies within rounding error of a tie, by one step.
"""

from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import QuantType

from compiler.frontend import read_network
from sim.network import Alias, Conv, MaxPool
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import (
    golden_output,
    onnxruntime_output,
    quantised,
    random_net,
)

DIGITS = Path(__file__).parents[2] / "examples/digits"
# Measured over 900 random networks: 24 of 736,752 outputs differ in float32.
FLOAT_MISMATCHES = 1e-3
RANDOM_NETS = 40

OPTIONS: dict[str, dict[str, object]] = {
    "int8": {"activation_type": QuantType.QInt8},
    "uint8": {"activation_type": QuantType.QUInt8},
    "symmetric": {"extra_options": {"ActivationSymmetric": True}},
    "per tensor": {"per_channel": False},
    "weights in pairs": {"extra_options": {"AddQDQPairToWeight": True}},
    "pairs not shared": {"extra_options": {"DedicatedQDQPair": True}},
    "float bias": {"extra_options": {"QuantizeBias": False}},
    "activations kept": {"extra_options": {"QDQKeepRemovableActivations": True}},
}


def test_digits_layers() -> None:
    model = read_network(DIGITS / "digits_int8.onnx")
    kinds = [type(layer) for layer in model.network.layers]
    assert kinds == [Conv, Conv, Conv, MaxPool, Alias, Conv]
    assert (model.input.name, model.input.shape) == ("images", (1, 1, 8, 8))
    assert [(port.name, port.shape) for port in model.outputs] == [("logits", (1, 10))]
    assert model.network.outputs == (model.outputs[0].tensor,)
    assert model.network.outputs[0].name == "logits"


def test_digits_equal_onnxruntime_and_stay_accurate() -> None:
    """All 599 held-out images: equal logits, at least 97 % in float and within a point in int8."""
    test = np.load(DIGITS / "test.npz")
    images, labels = test["images"], test["labels"]
    assert images.shape == (599, 1, 8, 8)
    logits = golden_output(read_network(DIGITS / "digits_int8.onnx"), images)
    assert np.array_equal(logits, onnxruntime_output(DIGITS / "digits_int8.onnx", images))
    in_float = onnxruntime_output(DIGITS / "digits_float.onnx", images)
    float_accuracy = np.mean(in_float.argmax(axis=1) == labels)
    assert float_accuracy >= 0.97
    assert np.mean(logits.argmax(axis=1) == labels) >= float_accuracy - 0.01


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("seed", range(RANDOM_NETS // len(OPTIONS)))
def test_random_networks(seed: int, option: str, tmp_path: Path) -> None:
    """Replay one with ``pytest tests/compiler/test_frontend.py -k 'random and SEED-OPTION'``."""
    rng = np.random.default_rng(1000 * list(OPTIONS).index(option) + seed)
    net = random_net(rng)
    images = rng.normal(size=(16, *net.input_shape[1:])).astype(np.float32)
    path = quantised(net.model(), images[:8], tmp_path / "net.onnx", **OPTIONS[option])
    model = read_network(path)
    outputs = golden_output(model, images)
    assert np.array_equal(outputs, onnxruntime_output(path, images))
    if option == "float bias":  # rounded to an int32 bias by us, but not in float32
        return
    in_float = onnxruntime_output(path, images, integer=False)
    steps = np.rint(np.abs(outputs - in_float) / model.outputs[0].tensor.scale)
    assert steps.max() <= 1
    assert np.count_nonzero(steps) <= max(8, FLOAT_MISMATCHES * steps.size)


@pytest.mark.parametrize("opset", [13, 17, 21, 25])
def test_opsets(opset: int, tmp_path: Path) -> None:
    graph = QdqGraph(opset=opset).qdq().conv().node("Relu").qdq()
    (layer,) = read_network(graph.save(tmp_path)).network.layers
    assert isinstance(layer, Conv)


def test_hostile_names_do_not_reach_the_network(tmp_path: Path) -> None:
    graph = QdqGraph().qdq()
    graph.node("Relu", name="../../x; $(rm)\n").qdq().node("Relu", name="").qdq()
    model = graph.model()
    model.graph.name = "<script>"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    network = read_network(path).network
    names = [network.name, *(layer.name for layer in network.layers)]
    names += [layer.output.name for layer in network.layers]
    assert all(name.replace("_", "").replace(".", "").isalnum() for name in names), names
    assert len(set(names[1:])) >= len(network.layers)
