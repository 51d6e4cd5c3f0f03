"""A network's words against the machine's: refused with a way out, or exact."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import QuantType

from arch.errors import CompileError
from arch.presets import PRESETS
from compiler.frontend import read_network
from compiler.place import place_network
from sim.golden.run import run_network
from sim.network import Network
from tests.compiler.test_place import execute
from tests.support.machines import CONFIGS
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import FloatNet, golden_output, onnxruntime_output, quantised


def network(folder: Path, activation: type, weight: type, opset: int = 21) -> Network:
    """A convolution between maps of these types."""
    values = np.random.default_rng(1).integers(-100, 100, (4, 3, 3, 3))
    graph = QdqGraph(opset=opset).qdq(scale=2.0**-10, zero_point=100, dtype=activation)
    graph.node("Conv", graph.weights("w", values, scale=2.0**-8, dtype=weight), name="conv")
    return read_network(graph.qdq(scale=2.0**-6, dtype=activation).save(folder)).network


@pytest.mark.parametrize(
    ("words", "config", "message"),
    [
        (
            (np.uint16, np.int8),
            "small",
            "the model has 16-bit activations (tensor x), config small has 8: "
            "use a configuration with activation_bits = 16",
        ),
        (
            (np.int8, np.int8),
            "small16",
            "the model has 8-bit activations (tensor x), config small16 has 16: "
            "use a configuration with activation_bits = 8",
        ),
        (
            (np.int16, np.int16),
            "uneven16",
            "conv: weights must fit the machine's 8 bits, got 16: "
            "use a configuration with weight_bits = 16",
        ),
    ],
)
def test_words_that_do_not_fit(
    words: tuple[type, type], config: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        place_network(network(tmp_path, *words), CONFIGS[config])


@pytest.mark.parametrize("activation", [np.int16, np.uint16])
@pytest.mark.parametrize("weight", [np.int8, np.int16])
def test_narrower_weights_are_exact(activation: type, weight: type, tmp_path: Path) -> None:
    made = network(tmp_path, activation, weight)
    assert made.input.dtype == activation
    shape = made.input.shape
    size = (shape.height, shape.width, shape.channels)
    low, high = made.input.limits
    x: Any = np.random.default_rng(2).integers(low, high, size, endpoint=True).astype(activation)
    golden = run_network(made, x)[made.outputs[0].name]
    assert np.unique(golden).size > 20
    assert np.array_equal(execute(place_network(made, PRESETS["small16"]), x), golden)


def test_16_bits_of_an_older_opset(tmp_path: Path) -> None:
    """ONNX Runtime's own QuantizeLinear had them before ONNX's."""
    values = np.random.default_rng(1).integers(-100, 100, (4, 3, 3, 3))
    graph = QdqGraph(opset=17).qdq(dtype=np.uint16)
    graph.node("Conv", graph.weights("w", values, dtype=np.int16), name="conv")
    graph.qdq(dtype=np.uint16)
    for node in graph.nodes:
        if node.op_type != "Conv":
            node.domain = "com.microsoft"
    assert read_network(graph.save(tmp_path)).network.input.bits == 16


@pytest.mark.parametrize("activation", [QuantType.QInt16, QuantType.QUInt16])
@pytest.mark.parametrize(
    ("weight", "config"), [(QuantType.QInt16, "small16"), (QuantType.QInt8, "uneven16")]
)
def test_a_network_that_onnx_runtime_quantised(
    activation: QuantType, weight: QuantType, config: str, tmp_path: Path
) -> None:
    """Command by command as the golden model, and within two steps of ONNX Runtime's float32."""
    rng = np.random.default_rng(3)
    net = FloatNet(rng, (1, 3, 12, 12)).conv(8, (3, 3), pads=[1, 1, 1, 1]).add("Relu")
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).infer()
    net.conv(10, (3, 3), strides=[2, 2]).add("Relu").add("GlobalAveragePool").infer()
    net.add("Flatten").infer().gemm(5)
    images = rng.normal(size=(6, 3, 12, 12)).astype(np.float32)
    path = quantised(
        net.model(),
        images,
        tmp_path / "net.onnx",
        activation_type=activation,
        weight_type=weight,
        extra_options={"WeightSymmetric": True},
    )
    model = read_network(path)
    steps = golden_output(model, images) - onnxruntime_output(path, images, integer=False)
    assert np.abs(steps / model.outputs[0].tensor.scale).max() < 2.5
    program = place_network(model.network, CONFIGS[config])
    x: Any = model.input.quantise(images[:1])[0]
    golden = run_network(model.network, x)[model.network.outputs[0].name]
    assert np.array_equal(execute(program, x), golden)
