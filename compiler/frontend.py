"""The compiler's front end: an ONNX QDQ file becomes an integer network, pass by pass."""

from dataclasses import dataclass
from pathlib import Path

from arch.errors import ModelError
from compiler.graph import Graph, build_graph
from compiler.names import SafeNames
from compiler.onnx_file import check_model, read_onnx
from compiler.ports import InputPort, OutputPort
from compiler.quantised import Names, Value, feature_map, lower, tensor_spec
from compiler.segments import Segments, cut
from compiler.shapes import fix_input, infer_shapes
from compiler.simplify import simplify
from compiler.support import check_operators, check_rules
from sim.network import Layer, Network


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportedModel:
    """The network that runs on the machine, and what the host does at its ends."""

    network: Network
    input: InputPort
    outputs: tuple[OutputPort, ...]


def read_network(path: Path) -> ImportedModel:
    """The quantised network in an ONNX QDQ file.

    Raises ``ModelError``, one line that names the node, the rule, the value and the remedy, for
    anything unreadable or unsupported.
    """
    model = read_onnx(path)
    check_operators(model)
    model = fix_input(model)
    check_model(model)
    graph = build_graph(infer_shapes(model))
    graph = simplify(graph)
    check_rules(graph)
    return _lower_all(graph, cut(graph))


def _lower_all(graph: Graph, segments: Segments) -> ImportedModel:
    names = Names(layers=SafeNames(), tensors=SafeNames())
    shape = feature_map(graph.shape(graph.input))
    tensor = tensor_spec(names.tensors.make(graph.input), shape, segments.entry_quantisation)
    values = {name: Value(tensor=tensor, order=shape) for name in segments.entries}
    layers: list[Layer] = []
    for segment in segments.segments:
        made, values[segment.target] = lower(graph, segment, values[segment.source], names)
        layers += made
    if not layers:
        raise ModelError("the model must have at least one layer, got none; nothing would run")
    network = Network(
        name=SafeNames().make(graph.name),
        input=tensor,
        layers=tuple(layers),
        outputs=tuple(values[exit_].tensor for exit_ in segments.exits.values()),
    )
    return ImportedModel(
        network=network,
        input=InputPort(name=graph.input, shape=graph.shape(graph.input), tensor=tensor),
        outputs=tuple(
            OutputPort(
                name=name,
                shape=graph.shape(graph.outputs[name]),
                tensor=values[exit_].tensor,
                order=values[exit_].order,
            )
            for name, exit_ in segments.exits.items()
        ),
    )
