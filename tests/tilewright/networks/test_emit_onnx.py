"""Built-in networks as ONNX models: valid, of the described shapes, alive when run."""

from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, shape_inference

from tilewright.networks.emit_onnx import float_model, quantised_model
from tilewright.networks.evaluate import dequantise
from tilewright.networks.nodes import NetworkGraph, Tensor
from tilewright.networks.registry import NETWORKS, build
from tilewright.networks.synthetic import Synthetic, seeded_image, synthesise
from tilewright.networks.totals import count

# More weights than that take long: those run in `make soak`.
_MANY_WEIGHTS = 2_600_000
# Of a map's values at its limits: fewer than one in ten.
_SATURATED = 0.1


def weights(name: str) -> int:
    return count(build(name, size=NETWORKS[name].smallest)).weights


SMALL = [name for name in NETWORKS if weights(name) <= _MANY_WEIGHTS]
LARGE = [name for name in NETWORKS if name not in SMALL]


@cache
def small(name: str) -> Synthetic:
    return synthesise(build(name, size=NETWORKS[name].smallest))


def image(network: Synthetic, seed: int) -> NDArray[np.float32]:
    graph = network.graph
    codes = seeded_image(graph.input.shape, seed)
    real = dequantise(codes, network.quantisations[graph.input.name])
    return real.transpose(2, 0, 1)[None].astype(np.float32)


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # As written: no rewriting into other operators.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results: list[NDArray[Any]] = session.run(None, {"input": x})
    return results


def check_valid(model: onnx.ModelProto, graph: NetworkGraph) -> None:
    """ONNX's checker passes, and infers for every tensor the described shape."""
    onnx.checker.check_model(model, full_check=True)
    inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }
    for tensor in (node.output for node in graph.nodes):
        # The last operator of a float model gives the result under its own name.
        if tensor.name in shapes:
            assert shapes[tensor.name] in ([1, *chw(tensor)], [1, tensor.shape.channels])
    assert set(shapes).issuperset(node.name for node in graph.nodes[:-1])


def chw(tensor: Tensor) -> list[int]:
    return [tensor.shape.channels, tensor.shape.height, tensor.shape.width]


def check_alive(network: Synthetic, model: onnx.ModelProto) -> None:
    """On an image that the scales were not made on, no map is saturated or constant."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    quantised = [name for name in network.quantisations if name != network.graph.input.name]
    for name in quantised:
        info = helper.make_tensor_value_info(f"{name}.q", TensorProto.UINT8, None)
        watched.graph.output.append(info)
    (first, *_), (second, *maps) = (run(watched, image(network, seed)) for seed in (0, 1))
    for name, codes in zip(quantised, maps, strict=True):
        check_map(name, codes, network.quantisations[name].zero_point)
    assert not np.array_equal(first, second), "the result does not depend on the image"
    assert len(np.unique(second)) >= min(second.size, 64) // 2


def check_map(name: str, codes: NDArray[np.uint8], zero_point: int) -> None:
    # A lower limit near 0 is a function's own least value: a ReLU's, or a SiLU's.
    low = np.mean(codes == 0) if zero_point > 64 else 0.0
    assert max(low, np.mean(codes == 255)) < _SATURATED, name
    assert len(np.unique(codes)) >= min(codes.size, 16) // 4, name


@pytest.mark.parametrize("name", SMALL)
def test_quantised_models(name: str) -> None:
    model = quantised_model(small(name))
    check_valid(model, small(name).graph)
    check_alive(small(name), model)


@pytest.mark.parametrize("name", SMALL)
def test_float_models_compute_nearly_the_same(name: str) -> None:
    network = small(name)
    model = float_model(network)
    check_valid(model, network.graph)
    assert not any("quantize" in node.op_type.lower() for node in model.graph.node)
    x = image(network, 0)
    (real,), (quantised,) = run(model, x), run(quantised_model(network), x)
    assert real.shape == quantised.shape
    assert np.corrcoef(real.ravel(), quantised.ravel())[0, 1] > 0.8


@pytest.mark.soak
@pytest.mark.parametrize("name", LARGE)
def test_large_models(name: str) -> None:
    network = synthesise(build(name, size=NETWORKS[name].smallest))
    model = quantised_model(network)
    check_valid(model, network.graph)
    check_valid(float_model(network), network.graph)
    check_alive(network, model)


def test_models_are_made_alike() -> None:
    first, second = (quantised_model(synthesise(build("se-block"))) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
    assert [item.version for item in first.opset_import] == [17]
    assert first.graph.doc_string == "synthetic weights, seed 0"


@pytest.mark.parametrize("name", SMALL)
def test_names_are_clean(name: str) -> None:
    graph = quantised_model(small(name)).graph
    names = [node.name for node in graph.node]
    assert len({text.lower() for text in names}) == len(names)
    for text in (*names, *(tensor.name for tensor in graph.initializer)):
        assert text.replace(".", "").replace("_", "").isalnum()


def test_quantised_operators_stand_between_q_and_dq() -> None:
    graph = quantised_model(small("se-block")).graph
    makers = {node.output[0]: node.op_type for node in graph.node}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Relu", "QuantizeLinear", "DequantizeLinear"):
            continue
        sources = {makers[name] for name in node.input if name not in constants}
        assert sources == {"DequantizeLinear"}, node.name
