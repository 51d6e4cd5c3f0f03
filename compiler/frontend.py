"""The compiler's front end: a quantised ONNX file becomes an integer network, pass by pass."""

from dataclasses import dataclass
from pathlib import Path

from arch.errors import ModelError
from compiler.graph import Graph, build_graph
from compiler.integer_operators import expand_integer_operators
from compiler.layout import Layout, map_shape
from compiler.names import SafeNames
from compiler.onnx_file import check_model, read_onnx
from compiler.ports import InputPort, OutputPort
from compiler.quantised import lower
from compiler.segments import Segments, cut
from compiler.shapes import fix_input, infer_shapes
from compiler.simplify import simplify
from compiler.support import check_operators, check_rules
from compiler.values import Build, Value
from sim.network import Layer, Network

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
    outputs: tuple[OutputPort, ...]
    tensors: dict[str, Value]


def read_network(path: Path) -> ImportedModel:
    """The quantised network in an ONNX file, QDQ or of integer operators.

    Raises ``ModelError``, one line that names the node, the rule, the value and the remedy, for
    anything unreadable or unsupported.
    """
    model = read_onnx(path)
    check_operators(model)
    model = fix_input(expand_integer_operators(model))
    check_model(model)
    graph = build_graph(infer_shapes(model))
    graph = simplify(graph)
    check_rules(graph)
    return _lower_all(graph, cut(graph))


def _lower_all(graph: Graph, segments: Segments) -> ImportedModel:
    build = Build()
    shape, axis = graph.shape(graph.input), _channel_axis(graph)
    tensor = build.tensor(graph.input, map_shape(shape, axis), segments.entry_quantisation)
    entry = Value(tensor=tensor, layout=Layout.with_channels(shape, axis))
    values = dict.fromkeys(segments.entries, entry)
    for segment in segments.segments:
        values[segment.target] = lower(graph, segment, values, build)
    if not build.layers:
        raise ModelError("the model must have at least one layer, got none; nothing would run")
    _check_width(build.layers)
    shown = {name: values[exit_] for name, exit_ in segments.exits.items()}
    network = Network(
        name=SafeNames().make(graph.name),
        input=tensor,
        layers=tuple(build.layers),
        outputs=tuple(value.tensor for value in shown.values()),
    )
    return ImportedModel(
        network=network,
        input=InputPort(name=graph.input, layout=entry.layout, tensor=tensor),
        outputs=tuple(
            OutputPort(name=name, layout=value.layout, tensor=value.tensor)
            for name, value in shown.items()
        ),
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


def _channel_axis(graph: Graph) -> int:
    """Which axis of the input is the channels: the last of [1, M, K], where rows are multiplied."""
    reads = (node.operator for node in graph.nodes)
    first = next((each for each in reads if each in _CHANNELS_FIRST | _ROWS), "Conv")
    return 2 if first in _ROWS and len(graph.shape(graph.input)) == 3 else 1
