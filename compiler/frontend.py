"""The compiler's front end: a quantised ONNX file becomes an integer network, pass by pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arch.errors import ModelError
from compiler.graph import Graph, build_graph
from compiler.host import host_result
from compiler.input_shape import InputShape
from compiler.integer_operators import expand_integer_operators
from compiler.layout import Layout, map_shape
from compiler.movement import moved, relaid
from compiler.names import SafeNames
from compiler.onnx_file import check_model, read_onnx
from compiler.operators import HOST
from compiler.ports import InputPort, OutputPort, ResultPort
from compiler.quantised import lower
from compiler.segments import Operand, Segments, Step, cut
from compiler.shapes import fix_input, infer_shapes
from compiler.simplify import simplify
from compiler.support import check_operators, check_quantised, check_rules
from compiler.values import Build, Value
from sim.network import HostStep, Layer, Network

# What reads a tensor [1, a, b] as channels first, and what reads it as rows.
_CHANNELS_FIRST = {"AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool", "MaxPool"}
_ROWS = {"MatMul"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportedModel:
    """The network that runs on the machine, and what the host does at its ends.

    ``tensors`` says of the 8-bit tensors in the ONNX file where the network holds them.
    """

    network: Network
    input: InputPort
    outputs: tuple[OutputPort | ResultPort, ...]
    tensors: dict[str, Value]


# Numbers in a file may be anything. What leaves float32 is refused by a rule, not told by NumPy.
@np.errstate(all="ignore")
def read_network(path: Path, shape: InputShape | None = None) -> ImportedModel:
    """The quantised network in an ONNX file, QDQ or of integer operators.

    ``shape`` fixes symbolic dimensions of the input. Raises ``ModelError``, one line that names the
    node, the rule, the value and the remedy, for anything unreadable or unsupported, and
    ``InputError`` for a ``shape`` that is not the input's.
    """
    model = read_onnx(path)
    check_quantised(model)
    check_operators(model)
    model = fix_input(expand_integer_operators(model), shape)
    check_model(model)
    graph = build_graph(infer_shapes(model))
    graph = simplify(graph)
    check_rules(graph)
    return _lower_all(graph, cut(graph))


def _lower_all(graph: Graph, segments: Segments) -> ImportedModel:
    build = Build()
    shape, axis = graph.shape(graph.input), _channel_axis(graph, segments)
    tensor = build.tensor(graph.input, map_shape(shape, axis), segments.entry_quantisation)
    entry = Value(tensor=tensor, layout=Layout.with_channels(shape, axis))
    values = {
        name: _moved_all(graph, steps, entry, build, name)
        for name, steps in segments.entries.items()
    }
    for segment in segments.segments:
        values[segment.target] = lower(graph, segment, values, build)
    if all(isinstance(layer, HostStep) for layer in build.layers):
        raise ModelError(
            "the model must have at least one layer for the machine, got none; nothing would run"
        )
    _check_width(build.layers)
    outputs = tuple(
        _output(graph, name, exit_, values, build) for name, exit_ in segments.exits.items()
    )
    network = Network(
        name=SafeNames().make(graph.name),
        input=tensor,
        layers=tuple(build.layers),
        outputs=tuple(port.tensor for port in outputs),
        results=tuple(port.result for port in outputs if isinstance(port, ResultPort)),
    )
    return ImportedModel(
        network=network,
        input=InputPort(name=graph.input, layout=entry.layout, tensor=tensor),
        outputs=outputs,
        tensors=values,
    )


def _check_width(layers: list[Layer]) -> None:
    """One machine has one word."""
    first = layers[0].input
    for layer in layers:
        for spec in (*layer.inputs, layer.output):
            if spec.bits != first.bits:
                raise ModelError(
                    f"all activations must have one width, got {first.bits} bits in tensor "
                    f"{first.name} and {spec.bits} in {spec.name}; quantise all with one "
                    "activation_type"
                )


def _output(
    graph: Graph, name: str, exit_: Operand, values: dict[str, Value], build: Build
) -> OutputPort | ResultPort:
    value = values[exit_.source]
    if not any(step.node.operator in HOST for step in exit_.steps):
        value = _moved_all(graph, exit_.steps, value, build, name)
        return OutputPort(name=name, layout=value.layout, tensor=value.tensor)
    safe = build.layer_names.make(name)
    return ResultPort(name=name, result=host_result(graph, exit_.steps, value, safe))


def _moved_all(graph: Graph, steps: Sequence[Step], value: Value, build: Build, name: str) -> Value:
    for step in steps:
        value = moved(graph, step, value, build, name)
    return value


def _channel_axis(graph: Graph, segments: Segments) -> int:
    """Which axis of the input is the channels: that which a Transpose brings to the front, else
    the last of [1, M, K] where rows are multiplied."""
    shape = graph.shape(graph.input)
    steps = next((steps for steps in segments.entries.values() if steps), ())
    for axis in range(1, len(shape)):
        layout: Layout | None = Layout.with_channels(shape, axis)
        for step in steps:
            layout = None if layout is None else relaid(graph, step, layout)
        if steps and layout is not None and layout == Layout.with_channels(layout.shape, 1):
            return axis
    reads = (node.operator for node in graph.nodes)
    first = next((each for each in reads if each in _CHANNELS_FIRST | _ROWS), "Conv")
    return 2 if first in _ROWS and len(shape) == 3 else 1
