"""Random float networks, quantised by onnxruntime: input for tests of the compiler's front end."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from compiler.frontend import ImportedModel
from sim.golden.run import run_network

Floats = NDArray[np.float32]


class Reader(CalibrationDataReader):
    """Feeds images one by one to the calibration."""

    def __init__(self, images: Floats) -> None:
        self._feeds: Iterator[dict[str, Floats]] = ({"x": image[None]} for image in images)

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._feeds, None)


@dataclass
class FloatNet:
    """A float network under construction: each method appends one operator."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    tensor: str = "x"
    input_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.input_shape = self.shape

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def random(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant((self.rng.normal(size=shape) * scale).astype(np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> "FloatNet":
        output = f"t{len(self.nodes)}"
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, [self.tensor, *inputs], [output], name, **attributes)
        )
        self.tensor = output
        return self

    def conv(self, channels: int, kernel: tuple[int, int], **attributes: Any) -> "FloatNet":
        weights = self.random(channels, self.shape[1], *kernel, scale=0.4)
        inputs = (weights, self.random(channels)) if self.rng.random() < 0.8 else (weights,)
        self.add("Conv", *inputs, kernel_shape=list(kernel), **attributes)
        return self.infer()

    def grouped_conv(
        self, channels: int, kernel: tuple[int, int], groups: int, **attributes: Any
    ) -> "FloatNet":
        weights = self.random(channels, self.shape[1] // groups, *kernel, scale=0.6)
        self.add(
            "Conv", weights, self.random(channels), kernel_shape=list(kernel), group=groups,
            **attributes,
        )  # fmt: skip
        return self.infer()

    def split(self, sizes: str, parts: int) -> list[str]:
        """The names of the parts along the channels."""
        names = [f"t{len(self.nodes)}_{part}" for part in range(parts)]
        name = f"split{len(self.nodes)}"
        self.nodes.append(helper.make_node("Split", [self.tensor, sizes], names, name, axis=1))
        return names

    def slice(self, tensor: str, axis: int, start: int, stop: int) -> str:
        """The name of a part of ``tensor``."""
        self.tensor = tensor
        numbers = (start, stop, axis)
        constants = [self.constant(np.array([number], np.int64)) for number in numbers]
        return self.add("Slice", *constants).tensor

    def batch_norm(self) -> "FloatNet":
        channels = self.shape[1]
        variance = self.constant(self.rng.uniform(0.5, 2, channels).astype(np.float32))
        parameters = [self.random(channels) for _ in range(3)]
        return self.add("BatchNormalization", *parameters, variance)

    def gemm(self, outputs: int) -> "FloatNet":
        inputs = self.shape[1]
        if self.rng.random() < 0.5:
            self.add("Gemm", self.random(outputs, inputs), self.random(outputs), transB=1)
        else:
            self.add("Gemm", self.random(inputs, outputs), self.random(outputs))
        return self.infer()

    def infer(self) -> "FloatNet":
        """Refresh ``shape``, the shape of the last tensor."""
        self.shape = shape_of(self.model(), self.tensor)
        return self

    def model(self, opset: int = 17, batch: int | str = 1) -> onnx.ModelProto:
        shape = [batch, *self.input_shape[1:]]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.tensor, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )


def shape_of(model: onnx.ModelProto, tensor: str) -> tuple[int, ...]:
    """The inferred shape of a tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    for item in (*graph.value_info, *graph.output):
        if item.name == tensor:
            return tuple(dim.dim_value for dim in item.type.tensor_type.shape.dim)
    raise KeyError(tensor)


def quantised(model: onnx.ModelProto, images: Floats, path: Path, **options: object) -> Path:
    """``path``, where the quantised model was written; batch-norm is folded first."""
    logging.disable(logging.WARNING)
    try:
        plain, folded = path.with_suffix(".float.onnx"), path.with_suffix(".folded.onnx")
        onnx.save(model, plain)
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        settings: dict[str, object] = {
            "quant_format": QuantFormat.QDQ,
            "per_channel": True,
            "activation_type": QuantType.QInt8,
            "weight_type": QuantType.QInt8,
            # All of them: by default, functions such as HardSwish stay float.
            "op_types_to_quantize": sorted({node.op_type for node in onnx.load(folded).graph.node}),
        }
        quantize_static(folded, path, Reader(images), **(settings | options))
    finally:
        logging.disable(logging.NOTSET)
    return path


def golden_output(model: ImportedModel, images: Floats) -> Floats:
    """First output of the imported model for each image, as the golden model computes it."""
    port = model.outputs[0]
    runs = (run_network(model.network, image) for image in model.input.quantise(images))
    return np.concatenate([port.dequantise(maps[port.tensor.name][None]) for maps in runs])


def onnxruntime_output(path: Path, images: Floats, *, integer: bool = True) -> Floats:
    """First output of the model for each image, as ONNX Runtime computes it.

    Its optimiser makes integer layers of the QDQ pairs; with ``integer`` false it is off, and
    every layer is computed in float32.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # CPUs without VNNI would add pairs of products in saturating 16 bits.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not integer:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def random_net(rng: np.random.Generator) -> FloatNet:
    """One to three convolutions with what may follow them, then perhaps a classifier head."""
    shape = (1, *(int(n) for n in (rng.integers(1, 6), rng.integers(6, 13), rng.integers(6, 13))))
    net = FloatNet(rng, shape)
    for _ in range(rng.integers(1, 4)):
        _add_block(net, rng)
    head = rng.integers(4)
    if head == 0:
        return net
    if head == 1:
        net.add("GlobalAveragePool").infer()
    if rng.random() < 0.5:
        net.add("Flatten").infer()
    else:
        net.add("Reshape", net.constant(np.array([1, -1]))).infer()
    net.gemm(int(rng.integers(2, 12)))
    if head == 3:
        net.add("Relu").gemm(5)
    return net


def _add_block(net: FloatNet, rng: np.random.Generator) -> None:
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    strides = [int(n) for n in rng.integers(1, 3, 2)]
    if rng.random() < 0.3:
        padding: dict[str, object] = {"auto_pad": str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))}
    else:
        pads = [int(rng.integers(0, kernel[axis % 2] + 1)) for axis in range(4)]
        padding = {"pads": pads, "dilations": [int(n) for n in rng.integers(1, 3, 2)]}
    size = net.shape[2:]
    if min(size) < 5:
        kernel, strides, padding = (1, 1), [1, 1], {}
    net.conv(int(rng.integers(1, 14)), kernel, strides=strides, **padding)
    if rng.random() < 0.4:
        net.batch_norm()
    activation = rng.integers(3)
    if activation == 1:
        net.add("Relu")
    elif activation == 2:
        bounds = (np.float32(rng.uniform(-2, 0)), np.float32(rng.uniform(1, 6)))
        net.add("Clip", *(net.constant(np.array(bound)) for bound in bounds))
    if rng.random() < 0.4 and min(net.shape[2:]) >= 3:
        net.add("MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]).infer()
