"""Fourth step: the graph is cut where activations are 8-bit.

A segment is what lies between one DequantizeLinear and the next QuantizeLinear: a chain of
operators that ONNX defines on real numbers, and that becomes one or a few integer layers.
"""

from dataclasses import dataclass

from arch.errors import ModelError
from compiler.graph import Graph, Node
from compiler.names import printable
from compiler.quantisation import Quantisation, activation_quantisation, real_constant

_QUANTISE_TOO = "quantise that tensor too (run quantize_static on the whole model)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """``nodes`` read 8-bit tensor ``source`` and make ``target``, quantised as ``quantisation``.

    ``name`` is how the user knows the target: the model's output, or the tensor before quantising.
    """

    name: str
    source: str
    nodes: tuple[Node, ...]
    quantisation: Quantisation
    quantizer: Node

    @property
    def target(self) -> str:
        """The 8-bit tensor that the segment makes."""
        return self.quantizer.output


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """The whole graph in segments, in topological order.

    ``entries`` are the 8-bit tensors that quantise the model's input, all alike; ``exits`` gives
    for each output of the model the 8-bit tensor that it dequantises.
    """

    entries: tuple[str, ...]
    entry_quantisation: Quantisation
    segments: tuple[Segment, ...]
    exits: dict[str, str]


def cut(graph: Graph) -> Segments:
    """The segments of a graph that passed the support rules.

    Raises ``ModelError`` where activations stay real: the input, an output, or a tensor that more
    than one node reads.
    """
    quantizers = [node for node in graph.nodes if node.operator == "QuantizeLinear"]
    entries = [node for node in quantizers if node.input(0) == graph.input]
    others = [node for node in quantizers if node.input(0) != graph.input]
    exits = {name: _exit(graph, name, tensor) for name, tensor in graph.outputs.items()}
    shown = {tensor: name for name, tensor in exits.items()}
    return Segments(
        entries=tuple(node.output for node in entries),
        entry_quantisation=_entry_quantisation(graph, entries),
        segments=tuple(
            _segment(graph, node, shown.get(node.output, node.input(0))) for node in others
        ),
        exits=exits,
    )


def _entry_quantisation(graph: Graph, entries: list[Node]) -> Quantisation:
    found = [activation_quantisation(graph, node) for node in entries]
    if not found or any(item != found[0] for item in found):
        raise ModelError(
            f"input '{printable(graph.input)}' must go through one QuantizeLinear, "
            f"got {len(found)} different ones; {_QUANTISE_TOO}"
        )
    return found[0]


def _segment(graph: Graph, quantizer: Node, name: str) -> Segment:
    chain: list[Node] = []
    tensor = quantizer.input(0)
    while (node := _producer(graph, tensor)).operator != "DequantizeLinear":
        chain.append(node)
        _check_single_reader(graph, node)
        tensor = _activation_input(graph, node)
    return Segment(
        name=name,
        source=_dequantised(graph, node),
        nodes=tuple(reversed(chain)),
        quantisation=activation_quantisation(graph, quantizer),
        quantizer=quantizer,
    )


def _producer(graph: Graph, tensor: str) -> Node:
    node = graph.producer(tensor)
    if node is None:
        what = "the model's input" if tensor == graph.input else "a constant"
        raise ModelError(
            f"tensor '{printable(tensor)}' must be quantised before it is used, "
            f"got {what} in float; {_QUANTISE_TOO}"
        )
    return node


def _activation_input(graph: Graph, node: Node) -> str:
    """The input that is no constant parameter."""
    if node.operator == "Add" and real_constant(graph, node.input(0)) is not None:
        return node.input(1)
    return node.input(0)


def _check_single_reader(graph: Graph, node: Node) -> None:
    readers = len(graph.consumers(node.output))
    readers += list(graph.outputs.values()).count(node.output)
    if readers != 1:
        raise ModelError(
            f"{node.label}: an output that is not quantised must have one reader, "
            f"got {readers}; {_QUANTISE_TOO}"
        )


def _dequantised(graph: Graph, node: Node) -> str:
    """The 8-bit tensor that a DequantizeLinear of activations reads."""
    quantizer = graph.producer(node.input(0))
    if quantizer is None or quantizer.operator != "QuantizeLinear":
        raise ModelError(
            f"{node.label}: activations must come from a QuantizeLinear, "
            f"got '{printable(node.input(0))}'; quantise with quant_format=QuantFormat.QDQ"
        )
    written = activation_quantisation(graph, quantizer)
    read = activation_quantisation(graph, node)
    if written != read:
        raise ModelError(
            f"{node.label}: scale and zero point must equal those of {quantizer.label}, got "
            f"{read.scale:g} and {read.zero_point}, not {written.scale:g} and "
            f"{written.zero_point}; quantise the model again"
        )
    return quantizer.output


def _exit(graph: Graph, name: str, tensor: str) -> str:
    node = graph.producer(tensor)
    if node is not None and node.operator == "QuantizeLinear":
        return node.output
    if node is None or node.operator != "DequantizeLinear":
        maker = node.label if node is not None else "the model's input or a constant"
        raise ModelError(
            f"output '{printable(name)}' must come from a DequantizeLinear, got {maker}; "
            "quantise that node's output, or remove the node and compute it on the host"
        )
    return _dequantised(graph, node)
