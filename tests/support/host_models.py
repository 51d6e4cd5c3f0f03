"""Random quantised networks with operators that the host runs: in between, at the end, or both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sim.network import TensorSpec
from tests.support.qdq_graph import QdqGraph

AT_END = ("Softmax", "LogSoftmax", "ArgMax", "Softmax ArgMax", "Softmax quantised", "none")
IN_BETWEEN = ("LRN", "LRN MaxPool", "LRN LRN", "Softmax", "LogSoftmax", "none")


@dataclass(frozen=True)
class HostModel:
    """A model file, images for it, and the operators that the host runs in it, in order."""

    path: Path
    images: NDArray[np.float32]
    host: list[str]


def random_host_model(seed: int, folder: Path, images: int = 2) -> HostModel:
    """A convolution, what the host runs in between, a convolution, what it runs at the end."""
    rng = np.random.default_rng(seed)
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(4, 9)), int(rng.integers(4, 9)))
    opset = int(rng.choice([13, 17, 21]))
    graph = QdqGraph(shape=shape, opset=opset)
    dtype = np.int8 if rng.random() < 0.5 else np.uint8
    _qdq(graph, rng, -4, dtype)
    between, end = str(rng.choice(IN_BETWEEN)), str(rng.choice(AT_END))
    if between == end == "none":
        between = "LRN"
    channels = int(rng.integers(2, 20))
    _conv(graph, rng, "first", shape[1], channels)
    _qdq(graph, rng, -4, dtype)
    _between(graph, rng, between, dtype)
    classes = int(rng.integers(2, 12))
    _conv(graph, rng, "second", channels, classes)
    _qdq(graph, rng, -4, dtype)
    _at_end(graph, rng, end, dtype)
    path = folder / f"host{seed}.onnx"
    path.write_bytes(graph.model().SerializeToString())
    host = [name for name in f"{between} {end}".split() if name in HOST_NAMES]
    values = rng.normal(size=(images, *shape[1:])).astype(np.float32)
    return HostModel(path=path, images=values, host=host)


HOST_NAMES = ("LRN", "Softmax", "LogSoftmax", "ArgMax")


def _between(graph: QdqGraph, rng: np.random.Generator, kind: str, dtype: type) -> None:
    for operator in kind.split():
        if operator == "none":
            continue
        if operator == "LRN":
            size, bias = int(rng.choice([1, 3, 5])), float(rng.uniform(0.5, 2))
            graph.node("LRN", size=size, alpha=float(rng.uniform(1e-4, 1)), bias=bias)
        elif operator == "MaxPool":
            graph.node("MaxPool", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 1, 1, 0])
        else:
            graph.node(operator, axis=int(rng.choice([1, 2, 3, -1, -3])))
        if kind != "LRN MaxPool" or operator == "MaxPool":
            _qdq(graph, rng, -4 if operator == "LogSoftmax" else -7, dtype)


def _at_end(graph: QdqGraph, rng: np.random.Generator, kind: str, dtype: type) -> None:
    if rng.random() < 0.6:
        graph.node("GlobalAveragePool")
        _qdq(graph, rng, -4, dtype)
        if rng.random() < 0.7:
            graph.node("Flatten")
    for operator in kind.split():
        if operator == "quantised":
            _qdq(graph, rng, -8, dtype)
        elif operator == "ArgMax":
            last = int(rng.random() < 0.3)
            graph.elements = TensorProto.INT64
            graph.node("ArgMax", axis=1, keepdims=int(rng.random() < 0.5), select_last_index=last)
        elif operator != "none":
            graph.node(operator, axis=1)


def _conv(graph: QdqGraph, rng: np.random.Generator, name: str, inputs: int, outputs: int) -> None:
    kernel = int(rng.choice([1, 3]))
    values = rng.integers(-127, 127, (outputs, inputs, kernel, kernel), endpoint=True)
    weights = graph.weights(name, values, scale=2.0**-6)
    graph.node("Conv", weights, name=f"{name}_conv", pads=[kernel // 2] * 4)


def _qdq(graph: QdqGraph, rng: np.random.Generator, exponent: int, dtype: type) -> None:
    """Scales are powers of 2, with which ONNX Runtime's convolutions in float32 are exact."""
    low, high = (-20, 20) if dtype is np.int8 else (100, 140)
    scale = 2.0 ** (exponent + int(rng.integers(-1, 2)))
    graph.qdq(scale, int(rng.integers(low, high)), dtype)


def identity_model(spec: TensorSpec) -> bytes:
    """An ONNX file that gives a map back, for tests of all but the model of a step."""
    shape = (spec.shape.height, spec.shape.width, spec.shape.channels)
    kind = helper.np_dtype_to_tensor_dtype(spec.dtype)
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "host", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
