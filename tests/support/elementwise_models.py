"""Single-layer ONNX models of sums, products, tables and moved bytes."""

import numpy as np
import onnx

from sim.network import Add, Concat, Multiply, Slice, Table
from tests.support.layer_graph import MICROSOFT, GraphBuilder, map_value


def qdq_binary_model(layer: Add | Multiply) -> onnx.ModelProto:
    """Add or Mul of two dequantised maps, then QuantizeLinear, then Clip."""
    graph = GraphBuilder()
    graph.dequantise("x", layer.input)
    graph.dequantise("other", layer.other)
    graph.add(_operator(layer), ["x_real", "other_real"], "y_real")
    graph.quantise("y_real", layer.output, layer.clamp)
    return graph.model(*_values(layer))


def qlinear_binary_model(layer: Add | Multiply) -> onnx.ModelProto:
    """ONNX Runtime's own QLinearAdd or QLinearMul, then Clip."""
    graph = GraphBuilder()
    tensors = [
        *("x", *graph.scale_and_zero_point("x", layer.input)),
        *("other", *graph.scale_and_zero_point("other", layer.other)),
        *graph.scale_and_zero_point("y", layer.output),
    ]
    graph.add(f"QLinear{_operator(layer)}", tensors, "unclipped", domain=MICROSOFT)
    graph.clip("unclipped", layer.output, layer.clamp)
    return graph.model(*_values(layer))


def table_model(layer: Table) -> onnx.ModelProto:
    """Gather from the table; ONNX counts negative indices from the end, as bytes do."""
    graph = GraphBuilder()
    graph.add("Cast", ["x"], "index", {"to": onnx.TensorProto.INT32})
    table = graph.constant("table", layer.table.view(layer.output.dtype))
    graph.add("Gather", [table, "index"], "y")
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def concat_model(layer: Concat) -> onnx.ModelProto:
    """Concat of bytes along the channels."""
    graph = GraphBuilder()
    names = [f"x{index}" for index in range(len(layer.inputs))]
    graph.add("Concat", names, "y", {"axis": 1})
    inputs = [map_value(name, spec) for name, spec in zip(names, layer.inputs, strict=True)]
    return graph.model(*inputs, map_value("y", layer.output))


def slice_model(layer: Slice) -> onnx.ModelProto:
    """Slice of bytes along three axes."""
    graph = GraphBuilder()
    shape = layer.output.shape
    y, x, channel = layer.start
    start = np.array([channel, y, x])
    stop = np.add(start, [shape.channels, shape.height, shape.width])
    constants = {"start": start, "stop": stop, "axes": np.array([1, 2, 3])}
    names = [graph.constant(name, value) for name, value in constants.items()]
    graph.add("Slice", ["x", *names], "y")
    return graph.model(map_value("x", layer.input), map_value("y", layer.output))


def _operator(layer: Add | Multiply) -> str:
    return "Add" if isinstance(layer, Add) else "Mul"


def _values(layer: Add | Multiply) -> list[onnx.ValueInfoProto]:
    names = ("x", "other", "y")
    specs = (*layer.inputs, layer.output)
    return [map_value(name, spec) for name, spec in zip(names, specs, strict=True)]
