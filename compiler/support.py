"""The table of supported operators: their attributes and their rules."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from arch.errors import ModelError
from compiler import layer_rules as layer
from compiler import quantisation_rules as quantisation
from compiler.graph import Graph, Node
from compiler.names import node_label, printable

Rule = Callable[[Graph, Node], str | None]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What of an ONNX operator is supported; rules are checked in this order."""

    attributes: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()


_WEIGHTS: tuple[Rule, ...] = (
    quantisation.has_quantised_weights,
    quantisation.has_int8_weights,
    quantisation.has_symmetric_weights,
    quantisation.scales_output_channels,
    quantisation.fits_its_weights,
)
_WINDOW = frozenset({"auto_pad", "dilations", "kernel_shape", "pads", "strides"})
_SCALES: tuple[Rule, ...] = (
    quantisation.has_constant_scale,
    quantisation.has_positive_scale,
    quantisation.is_not_blocked,
    quantisation.keeps_its_type,
    quantisation.is_per_tensor,
    quantisation.is_eight_bit,
)
_QUANTISATION_ATTRIBUTES = frozenset({"axis", "block_size", "output_dtype", "saturate"})

OPERATORS: dict[str, Operator] = {
    "Add": Operator(
        rules=(layer.does_not_add_activations, layer.adds_a_bias, layer.adds_per_channel)
    ),
    "BatchNormalization": Operator(
        attributes=frozenset({"epsilon", "momentum", "training_mode"}),
        rules=(
            layer.is_in_inference_mode,
            layer.has_constant_statistics,
            layer.normalises_a_layer,
        ),
    ),
    "Clip": Operator(rules=(layer.has_constant_bounds,)),
    "Constant": Operator(
        attributes=frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"})
    ),
    "Conv": Operator(
        attributes=_WINDOW | {"group"},
        rules=(
            layer.reads_a_map,
            layer.has_one_group,
            layer.pads_one_way,
            *_WEIGHTS,
            quantisation.has_constant_bias,
        ),
    ),
    "DequantizeLinear": Operator(
        attributes=_QUANTISATION_ATTRIBUTES,
        rules=(*_SCALES, quantisation.fits_its_constant),
    ),
    "Dropout": Operator(attributes=frozenset({"seed"}), rules=(layer.is_in_inference_mode,)),
    "Flatten": Operator(attributes=frozenset({"axis"}), rules=(layer.keeps_order,)),
    "Gemm": Operator(
        attributes=frozenset({"alpha", "beta", "transA", "transB"}),
        rules=(
            layer.is_not_transposed,
            layer.is_not_scaled,
            layer.reads_a_vector,
            *_WEIGHTS,
            quantisation.has_constant_bias,
        ),
    ),
    "GlobalAveragePool": Operator(rules=(layer.reads_a_map,)),
    "Identity": Operator(),
    "MatMul": Operator(rules=(layer.reads_a_vector, *_WEIGHTS)),
    "MaxPool": Operator(
        attributes=_WINDOW | {"ceil_mode", "storage_order"},
        rules=(
            layer.reads_a_map,
            layer.rounds_sizes_down,
            layer.gives_no_indices,
            layer.pads_one_way,
            layer.has_no_empty_window,
        ),
    ),
    "QuantizeLinear": Operator(attributes=_QUANTISATION_ATTRIBUTES, rules=_SCALES),
    "Relu": Operator(),
    "Reshape": Operator(attributes=frozenset({"allowzero"}), rules=(layer.keeps_order,)),
}

_QUANTISE = (
    "onnxruntime.quantization.quantize_static with quant_format=QuantFormat.QDQ and "
    "weight_type=QuantType.QInt8 (examples/digits/train.py shows how)"
)
_ON_HOST = "remove it from the model and compute it on the host"
_NOT_YET = "it is not supported yet; use a network without it"
# What to do about operators that people meet often.
_REMEDIES = {
    "ArgMax": _ON_HOST,
    "AveragePool": "use GlobalAveragePool, MaxPool or a Conv with stride",
    "Concat": _NOT_YET,
    "ConvInteger": f"quantise with {_QUANTISE}",
    "DynamicQuantizeLinear": f"quantise with {_QUANTISE}",
    "LogSoftmax": _ON_HOST,
    "MatMulInteger": f"quantise with {_QUANTISE}",
    "Mul": _NOT_YET,
    "QLinearConv": f"quantise with {_QUANTISE}",
    "QLinearMatMul": f"quantise with {_QUANTISE}",
    "Shape": "export the model with fixed shapes, and run onnxruntime.quantization.preprocess",
    "Softmax": _ON_HOST,
}


def check_operators(model: onnx.ModelProto) -> None:
    """Before shapes are known: raise ``ModelError`` for an unsupported operator or attribute.

    Also for a model without any quantisation.
    """
    for node in model.graph.node:
        _check_operator(node)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ModelError(
            f"the model is not quantised, it has no QuantizeLinear; run {_QUANTISE} on it first"
        )


def check_rules(graph: Graph) -> None:
    """Raise ``ModelError`` for the first node that breaks a rule of its operator."""
    for node in graph.nodes:
        for rule in OPERATORS[node.operator].rules:
            received = rule(graph, node)
            if received is not None:
                must, remedy = rule_text(rule)
                raise ModelError(f"{node.label}: {must}, got {received}; {remedy}")


def rule_text(rule: Rule) -> tuple[str, str]:
    """What must hold, and what to do where it does not: the two halves of the docstring."""
    text = " ".join((rule.__doc__ or "").split()).removesuffix(".")
    must, _, remedy = text.partition("; ")
    return must[:1].lower() + must[1:], remedy


def support_page() -> str:
    """The supported operators with attributes and rules, as Markdown."""
    lines = ["# Supported ONNX operators", ""]
    for name, operator in sorted(OPERATORS.items()):
        lines += [f"## {name}", ""]
        if operator.attributes:
            attributes = ", ".join(f"`{item}`" for item in sorted(operator.attributes))
            lines += [f"Attributes: {attributes}.", ""]
        lines += [f"- {' '.join((rule.__doc__ or '').split())}" for rule in operator.rules]
        lines += [""] if operator.rules else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _check_operator(node: onnx.NodeProto) -> None:
    label = node_label(node.op_type, node.name, tuple(node.output))
    if node.domain not in ("", "ai.onnx"):
        raise ModelError(
            f"{label}: operators must come from the domain ai.onnx, got "
            f"'{printable(node.domain)}'; quantise with {_QUANTISE}"
        )
    if node.op_type not in OPERATORS:
        remedy = _REMEDIES.get(node.op_type, "replace or remove it")
        raise ModelError(
            f"{label}: operator {printable(node.op_type)} is not supported; {remedy} "
            f"(supported: {', '.join(sorted(OPERATORS))})"
        )
    operator = OPERATORS[node.op_type]
    unknown = [item.name for item in node.attribute if item.name not in operator.attributes]
    if unknown:
        raise ModelError(
            f"{label}: attribute '{printable(unknown[0])}' is not supported; remove it "
            f"(supported: {', '.join(sorted(operator.attributes)) or 'none'})"
        )
