"""Integer operators (QLinearConv ...) become what they abbreviate: the QDQ form.

``QLinearX(x, scale, zero point ...)`` is DequantizeLinear, X, QuantizeLinear. Operators that move
bytes (MaxPool, Reshape ...) may stand between integer operators without either; they get both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from arch.errors import ModelError
from compiler.graph import constant_array
from compiler.names import node_label, printable

MICROSOFT = "com.microsoft"
# What such a node does to bytes it does to real values alike.
_MOVES_BYTES = {
    "Concat", "Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class IntegerOperator:
    """How an integer operator is written.

    ``operands`` are where (tensor, scale, zero point) begin, ``result`` where (scale, zero point)
    of the output do; ``bias`` is where the int32 bias stands, ``weights`` the index in ``operands``
    of a constant with one scale for each element of an axis.
    """

    operator: str
    domain: str = MICROSOFT
    attributes: frozenset[str] = frozenset()
    operands: tuple[int, ...] = (0,)
    result: int
    bias: int | None = None
    weights: bool = False


_POOL = frozenset({"channels_last"})
_WINDOW = frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"})
INTEGER_OPERATORS = {
    "QGemm": IntegerOperator(
        operator="Gemm",
        attributes=frozenset({"alpha", "transA", "transB"}),
        operands=(0, 3),
        result=7,
        bias=6,
        weights=True,
    ),
    "QLinearAdd": IntegerOperator(operator="Add", operands=(0, 3), result=6),
    "QLinearAveragePool": IntegerOperator(
        operator="AveragePool",
        attributes=_POOL
        | {"auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"},
        result=3,
    ),
    "QLinearConcat": IntegerOperator(
        operator="Concat", attributes=frozenset({"axis"}), operands=(2,), result=0
    ),
    "QLinearConv": IntegerOperator(
        operator="Conv",
        domain="",
        attributes=_WINDOW,
        operands=(0, 3),
        result=6,
        bias=8,
        weights=True,
    ),
    "QLinearGlobalAveragePool": IntegerOperator(
        operator="GlobalAveragePool", attributes=_POOL, result=3
    ),
    "QLinearLeakyRelu": IntegerOperator(
        operator="LeakyRelu", attributes=frozenset({"alpha"}), result=3
    ),
    "QLinearMatMul": IntegerOperator(
        operator="MatMul", domain="", operands=(0, 3), result=6, weights=True
    ),
    "QLinearMul": IntegerOperator(operator="Mul", operands=(0, 3), result=6),
    "QLinearSigmoid": IntegerOperator(operator="Sigmoid", result=3),
    "QLinearSoftmax": IntegerOperator(
        operator="Softmax", attributes=frozenset({"axis", "opset"}), result=3
    ),
}


def expand_integer_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """An equal model in which activations are 8-bit only between Quantize- and DequantizeLinear.

    Raises ``ModelError`` for an integer operator without all scales and zero points, or that counts
    channels last.
    """
    expanded = onnx.ModelProto()
    expanded.CopyFrom(model)
    del expanded.graph.node[:]
    expansion = _Expansion(expanded.graph)
    for node in model.graph.node:
        expansion.add(node)
    return expanded


class _Expansion:
    """Appends nodes to a graph, and remembers how each 8-bit tensor is quantised."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._scales: dict[str, tuple[str, str]] = {}
        self._counts: dict[str, int] = {}
        self._names = {item.name for item in (*graph.input, *graph.output)} | set(self._constants)

    def add(self, node: onnx.NodeProto) -> None:
        """Append a node of the model, or what it stands for."""
        self._names.update(node.output)
        if node.op_type in INTEGER_OPERATORS:
            self._expand(node, INTEGER_OPERATORS[node.op_type])
        elif node.op_type == "QuantizeLinear":
            self._note(node.output[:1], node.input[1:3])
            self._append(node)
        elif node.op_type in _MOVES_BYTES and self._alike(node):
            self._surround(node)
        elif node.op_type == "ArgMax" and self._alike(node):
            self._read_real(node)
        else:
            self._append(node)

    def _append(self, node: onnx.NodeProto) -> None:
        """The node itself; ONNX Runtime's own Quantize- and DequantizeLinear are ONNX's."""
        kept = self._graph.node.add()
        kept.CopyFrom(node)
        if kept.op_type in ("QuantizeLinear", "DequantizeLinear"):
            kept.domain = ""

    def _note(self, tensors: Iterable[str], parameters: Iterable[str]) -> None:
        scale, zero_point = (*parameters, "", "")[:2]
        for tensor in tensors:
            self._scales[tensor] = scale, zero_point

    def _expand(self, node: onnx.NodeProto, rule: IntegerOperator) -> None:
        inputs = list(node.input)
        operands = rule.operands
        if node.op_type == "QLinearConcat":
            operands = tuple(range(2, len(inputs), 3))
        needed = [*(each + 2 for each in operands), rule.result + 1]
        if len(inputs) <= max(needed) or not all(inputs[at] for at in _parts(operands, rule)):
            raise ModelError(
                f"{_label(node)}: every operand and the output must have a scale and a zero point, "
                f"got {len(inputs)} inputs; quantise the model again"
            )
        _check_channels_first(node)
        _check_softmax(node)
        real = [
            self._dequantised(node, inputs[at : at + 3], axis=_weight_axis(node, rule, at))
            for at in operands
        ]
        if rule.bias is not None and len(inputs) > rule.bias and inputs[rule.bias]:
            real.append(self._bias(node, inputs, rule.bias))
        made = self._fresh(node.output[0])
        kept = [item for item in node.attribute if item.name not in ("channels_last", "opset")]
        self._node(rule.operator, real, made, node.name, kept)
        self._quantised(made, inputs[rule.result : rule.result + 2], node.output[0])

    def _surround(self, node: onnx.NodeProto) -> None:
        """Real values in place of bytes, in and out."""
        parameters = self._scales[node.input[0]]
        real = [
            self._dequantised(node, [name, *parameters]) if name in self._scales else name
            for name in node.input
        ]
        moved = onnx.NodeProto()
        moved.CopyFrom(node)
        del moved.input[:], moved.output[:]
        moved.input.extend(real)
        bytes_out = [name for name in node.output if name and not _is_mask(node, name)]
        made = {name: self._fresh(name) for name in bytes_out}
        moved.output.extend(made.get(name, name) for name in node.output)
        self._append(moved)
        for name in bytes_out:
            self._quantised(made[name], parameters, name)

    def _read_real(self, node: onnx.NodeProto) -> None:
        """Real values in place of bytes where a node gives something else."""
        real = self._dequantised(node, [node.input[0], *self._scales[node.input[0]]])
        self._append(node)
        self._graph.node[-1].input[0] = real

    def _alike(self, node: onnx.NodeProto) -> bool:
        """Whether the node's data are bytes that are all quantised in one way."""
        data = node.input if node.op_type == "Concat" else node.input[:1]
        found = [self._scales.get(name) for name in data]
        values = [self._values(each) for each in found if each is not None]
        return len(values) == len(found) > 0 and all(each == values[0] for each in values)

    def _values(self, parameters: tuple[str, str]) -> tuple[bytes | str, ...]:
        """Scale and zero point to compare: by value where they are constants."""
        found = [(name, self._constants.get(name)) for name in parameters]
        return tuple(
            name if tensor is None else constant_array(tensor).tobytes() for name, tensor in found
        )

    def _dequantised(self, node: onnx.NodeProto, parts: list[str], axis: int | None = None) -> str:
        made = self._fresh(f"{parts[0]}_real")
        attributes = [] if axis is None else [helper.make_attribute("axis", axis)]
        inputs = [name for name in parts if name]
        self._node("DequantizeLinear", inputs, made, f"{node.name}_{parts[0]}_real", attributes)
        return made

    def _quantised(self, real: str, parameters: Iterable[str], output: str) -> None:
        inputs = [real, *(name for name in parameters if name)]
        self._node("QuantizeLinear", inputs, output, f"{output}_quantised", [])
        self._note([output], inputs[1:])

    def _bias(self, node: onnx.NodeProto, inputs: list[str], at: int) -> str:
        """The int32 bias, whose scale is input scale x weight scale in float32."""
        first, second = (self._scale(node, inputs[index]) for index in (1, 4))
        if first.size != 1:
            raise ModelError(
                f"{_label(node)}: activations must have one scale and one zero point, "
                f"got {first.size} scales; quantise them per tensor"
            )
        name = self._fresh(f"{inputs[at]}_scale")
        with np.errstate(over="ignore", under="ignore"):  # the rules on scales refuse such ones
            product = np.asarray(first.reshape(()) * second.reshape(-1), np.float32)
        scale = numpy_helper.from_array(product, name)
        self._graph.initializer.append(scale)
        return self._dequantised(node, [inputs[at], scale.name], axis=0)

    def _scale(self, node: onnx.NodeProto, name: str) -> NDArray[np.float32]:
        constant = self._constants.get(name)
        values = None if constant is None else constant_array(constant)
        if values is None or values.dtype != np.float32:
            raise ModelError(
                f"{_label(node)}: scales must be float32 initialisers, got '{printable(name)}'; "
                "quantise statically, with quantize_static"
            )
        return values

    def _node(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        name: str,
        attributes: Iterable[onnx.AttributeProto],
    ) -> None:
        node = helper.make_node(operator, inputs, [output], name)
        node.attribute.extend(attributes)
        self._graph.node.append(node)

    def _fresh(self, base: str) -> str:
        """A tensor name that the model does not have."""
        # Counted on from the last time: thousands of nodes may read one tensor.
        count = self._counts.get(base, 0)
        while (name := f"{base}_{count}") in self._names:
            count += 1
        self._counts[base] = count
        self._names.add(name)
        return name


def _parts(operands: tuple[int, ...], rule: IntegerOperator) -> list[int]:
    """Where inputs stand that must be given."""
    return [at + part for at in operands for part in range(3)] + [rule.result, rule.result + 1]


def _weight_axis(node: onnx.NodeProto, rule: IntegerOperator, at: int) -> int | None:
    """The axis of the weights that has scales of its own."""
    if not rule.weights or at == 0:
        return None
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    return 0 if rule.operator == "Conv" or transposed else 1


def _check_channels_first(node: onnx.NodeProto) -> None:
    if any(item.name == "channels_last" and item.i for item in node.attribute):
        raise ModelError(
            f"{_label(node)}: the attribute channels_last must be 0, got 1; "
            "save the model without ONNX Runtime's layout optimisations"
        )


def _check_softmax(node: onnx.NodeProto) -> None:
    """Before opset 13, a Softmax was one of all axes from the given one on."""
    old = [item.i for item in node.attribute if item.name == "opset" and item.i < 13]
    if old:
        raise ModelError(
            f"{_label(node)}: the attribute opset must be at least 13, got {old[0]}; "
            "convert the model with onnx.version_converter before quantising"
        )


def _is_mask(node: onnx.NodeProto, name: str) -> bool:
    return node.op_type in ("Dropout", "MaxPool") and name != node.output[0]


def _label(node: onnx.NodeProto) -> str:
    return node_label(node.op_type, node.name, tuple(node.output))
