"""Fourth step: the graph is cut where activations are 8-bit.

A segment is what lies between DequantizeLinear and the next QuantizeLinear: a chain of operators
that ONNX defines on real numbers, and that becomes one or a few integer layers. The first of the
chain may read several 8-bit tensors.
"""

from dataclasses import dataclass

from arch.errors import ModelError
from compiler.graph import Graph, Node
from compiler.names import printable
from compiler.operators import HOST, JOINS, LAYOUT, MOVES
from compiler.quantisation import Quantisation, activation_quantisation, is_constant

_MAX_STEPS = 100
_QUANTISE_TOO = "quantise that tensor too (run quantize_static on the whole model)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One operator on the way, and which of its outputs the next one reads."""

    node: Node
    tensor: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Operand:
    """An 8-bit tensor and the operators that only move its elements before they are used."""

    source: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """``steps`` read the ``operands`` and make ``target``, quantised as ``quantisation``.

    ``name`` is how the user knows the target: the model's output, or the tensor before quantising.
    Only the first step may read more than one operand.
    """

    name: str
    operands: tuple[Operand, ...]
    steps: tuple[Step, ...]
    quantisation: Quantisation
    quantizer: Node

    @property
    def target(self) -> str:
        """The 8-bit tensor that the segment makes."""
        return self.quantizer.output


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """The whole graph in segments, in topological order.

    ``entries`` are the 8-bit tensors that quantise the model's input, all alike, and what moves its
    elements before; ``exits`` gives
    for each output of the model the 8-bit tensor that it dequantises, or what the host makes of
    one.
    """

    entries: dict[str, tuple[Step, ...]]
    entry_quantisation: Quantisation
    segments: tuple[Segment, ...]
    exits: dict[str, Operand]


def cut(graph: Graph) -> Segments:
    """The segments of a graph that passed the support rules.

    Raises ``ModelError`` where activations stay real: the input, an output, an operand of a sum,
    product or concatenation, or a tensor that more than one node reads.
    """
    quantizers = [
        node
        for node in graph.nodes
        if node.operator == "QuantizeLinear" and node.input(0) not in graph.constants
    ]
    entries = {node.output: _entry_steps(graph, node) for node in quantizers}
    others = [node for node in quantizers if entries[node.output] is None]
    exits = {name: _exit(graph, name, tensor) for name, tensor in graph.outputs.items()}
    shown = {exit_.source: name for name, exit_ in exits.items() if not exit_.steps}
    return Segments(
        entries={name: steps for name, steps in entries.items() if steps is not None},
        entry_quantisation=_entry_quantisation(
            graph, [node for node in quantizers if entries[node.output] is not None]
        ),
        segments=tuple(
            _segment(graph, node, shown.get(node.output, node.input(0))) for node in others
        ),
        exits=exits,
    )


def _entry_steps(graph: Graph, quantizer: Node) -> tuple[Step, ...] | None:
    """What moves the elements of the model's input before ``quantizer``; None for another tensor.

    Quantising each element before or after is the same.
    """
    steps: list[Step] = []
    tensor = quantizer.input(0)
    while tensor != graph.input:
        node = graph.producer(tensor)
        if node is None or node.operator not in LAYOUT:
            return None
        steps.append(Step(node=node, tensor=tensor))
        _check_length(node, steps)
        tensor = node.input(0)
    return tuple(reversed(steps))


def _entry_quantisation(graph: Graph, entries: list[Node]) -> Quantisation:
    found = [activation_quantisation(graph, node) for node in entries]
    if not found or any(item != found[0] for item in found):
        raise ModelError(
            f"input '{printable(graph.input)}' must go through one QuantizeLinear, "
            f"got {len(found)} different ones; {_QUANTISE_TOO}"
        )
    return found[0]


def _segment(graph: Graph, quantizer: Node, name: str) -> Segment:
    chain: list[Step] = []
    tensor = quantizer.input(0)
    operands: tuple[Operand, ...] = ()
    while not operands:
        node = _producer(graph, tensor)
        if node.operator == "DequantizeLinear":
            operands = (Operand(source=_dequantised(graph, node), steps=()),)
            break
        chain.append(Step(node=node, tensor=tensor))
        if node.operator in MOVES:
            _check_length(node, chain)
        else:
            _check_single_reader(graph, node, tensor)
        inputs = _activations(graph, node)
        if len(inputs) > 1:
            _check_joins(node, len(inputs))
            operands = tuple(_operand(graph, node, each) for each in inputs)
        tensor = inputs[0]
    return Segment(
        name=name,
        operands=operands,
        steps=tuple(reversed(chain)),
        quantisation=activation_quantisation(graph, quantizer),
        quantizer=quantizer,
    )


def _check_joins(node: Node, inputs: int) -> None:
    if node.operator not in JOINS:
        raise ModelError(
            f"{node.label}: one input may be computed at run time, got {inputs}; "
            "make the others initialisers"
        )


def _operand(graph: Graph, reader: Node, tensor: str) -> Operand:
    steps: list[Step] = []
    while (node := _producer(graph, tensor)).operator in MOVES:
        steps.append(Step(node=node, tensor=tensor))
        _check_length(node, steps)
        tensor = node.input(0)
    if node.operator != "DequantizeLinear":
        raise ModelError(
            f"{reader.label}: its inputs must be quantised, got the float output of "
            f"{node.label}; quantise the whole model with quantize_static"
        )
    return Operand(source=_dequantised(graph, node), steps=tuple(reversed(steps)))


def _producer(graph: Graph, tensor: str) -> Node:
    node = graph.producer(tensor)
    if node is None:
        what = "the model's input" if tensor == graph.input else "a constant"
        raise ModelError(
            f"tensor '{printable(tensor)}' must be quantised before it is used, "
            f"got {what} in float; {_QUANTISE_TOO}"
        )
    return node


def _activations(graph: Graph, node: Node) -> list[str]:
    """The inputs that are no constant parameters; the first, if all are."""
    found = [name for name in node.inputs if name and not is_constant(graph, name)]
    return found or [node.input(0)]


def _check_length(node: Node, steps: list[Step]) -> None:
    """Many segments may share what only moves data: that must not multiply the work."""
    if len(steps) > _MAX_STEPS:
        raise ModelError(
            f"{node.label}: at most {_MAX_STEPS} operators may follow one another without a "
            "QuantizeLinear where one of them moves data, got more; simplify the model"
        )


def _check_single_reader(graph: Graph, node: Node, tensor: str) -> None:
    readers = len(graph.consumers(tensor))
    readers += list(graph.outputs.values()).count(tensor)
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
    if quantizer.input(0) in graph.constants:
        raise ModelError(
            f"{node.label}: activations must be computed from the model's input, got the constant "
            f"'{printable(quantizer.input(0))}'; quantise it beforehand, as an initialiser"
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


def _exit(graph: Graph, name: str, tensor: str) -> Operand:
    """The 8-bit tensor that an output shows, and what moves its elements or what the host does."""
    steps: list[Step] = []
    quantised, node = tensor, graph.producer(tensor)
    while node is not None and node.operator in HOST | LAYOUT:
        steps.append(Step(node=node, tensor=quantised))
        _check_length(node, steps)
        quantised = node.input(0)
        node = graph.producer(quantised)
    if node is not None and node.operator == "DequantizeLinear":
        return Operand(source=_dequantised(graph, node), steps=tuple(reversed(steps)))
    if node is not None and node.operator == "QuantizeLinear" and not steps:
        return Operand(source=node.output, steps=())
    maker = node.label if node is not None else "the model's input or a constant"
    if on_host := [step.node for step in steps if step.node.operator in HOST]:
        raise ModelError(
            f"{on_host[-1].label}: its inputs must be quantised, got the float output of {maker}; "
            "quantise the whole model with quantize_static"
        )
    raise ModelError(
        f"output '{printable(name)}' must come from a DequantizeLinear, got {maker}; "
        "quantise that node's output, or remove the node and compute it on the host"
    )
