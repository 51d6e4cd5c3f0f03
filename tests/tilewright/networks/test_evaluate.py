"""Nodes without weights: the description's own evaluation against ONNX Runtime."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest

from arch.layers import FeatureMap
from tilewright.networks.builder import Builder
from tilewright.networks.emit_onnx import float_model
from tilewright.networks.evaluate import dequantise, evaluate, quantise
from tilewright.networks.nodes import Tensor
from tilewright.networks.ranges import Quantisation
from tilewright.networks.synthetic import Synthetic

INPUT = FeatureMap(height=9, width=7, channels=6)

CASES: dict[str, Callable[[Builder, Tensor], Tensor]] = {
    "relu": lambda net, x: net.relu(x),
    "relu6": lambda net, x: net.relu6(x),
    "sigmoid": lambda net, x: net.sigmoid(x),
    "tanh": lambda net, x: net.tanh(x),
    "hard sigmoid": lambda net, x: net.hard_sigmoid(x),
    "hard swish": lambda net, x: net.hard_swish(x),
    "silu": lambda net, x: net.silu(x),
    "negate": lambda net, x: net.negate(x),
    "lrn": lambda net, x: net.normalise(x, 3, alpha=0.1, bias=2.0),
    "max pool": lambda net, x: net.max_pool(x, (3, 2), (2, 1), 1),
    "max pool, sizes rounded up": lambda net, x: net.max_pool(x, 2, 2, ceil=True),
    "average pool": lambda net, x: net.average_pool(x, (3, 2), (2, 1), (1, 0, 0, 1)),
    "average pool with padding": lambda net, x: net.average_pool(
        x, (3, 2), (2, 1), (1, 0, 0, 1), include_padding=True
    ),
    "global average pool": lambda net, x: net.global_average_pool(x),
    "add": lambda net, x: net.add(x, net.relu(x)),
    "multiply by a pixel": lambda net, x: net.multiply(x, net.global_average_pool(x)),
    "concat": lambda net, x: net.concat(net.relu(x), x, net.negate(x)),
    "slice of channels": lambda net, x: net.split(x, 2)[1],
    "slice": lambda net, x: net.slice(x, (2, 1, 3), FeatureMap(height=6, width=6, channels=2)),
    "shuffle": lambda net, x: net.shuffle(x, 3),
}


@pytest.mark.parametrize("case", CASES)
def test_as_onnx_runtime(case: str) -> None:
    net = Builder("net", INPUT)
    graph = net.graph(CASES[case](net, net.input))
    model = float_model(Synthetic(graph=graph, seed=0, weights={}, quantisations={}))
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(0).normal(scale=3, size=(9, 7, 6))

    maps = {"input": x}
    for node in graph.nodes:
        maps[node.name] = evaluate(node, [maps[tensor.name] for tensor in node.inputs])
        shape = node.output.shape
        assert maps[node.name].shape == (shape.height, shape.width, shape.channels)

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"input": x.transpose(2, 0, 1)[None].astype(np.float32)})
    np.testing.assert_allclose(
        maps[graph.output.name].transpose(2, 0, 1)[None], expected, rtol=1e-5, atol=1e-5
    )


def test_codes_round_half_to_even_and_saturate() -> None:
    quantisation = Quantisation(scale=np.float32(0.5), zero_point=10)
    real = np.array([0.25, 0.75, -0.25, 1000.0, -1000.0, -5.0])
    codes = quantise(real, quantisation)
    assert codes.tolist() == [10, 12, 10, 255, 0, 0]
    assert dequantise(codes, quantisation).tolist() == [0.0, 1.0, 0.0, 122.5, -5.0, -5.0]
