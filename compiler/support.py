"""The table of supported operators: their attributes and their rules."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from arch.errors import ModelError
from compiler import layer_rules as layer
from compiler import quantisation_rules as quantisation
from compiler.graph import ONNX_DOMAINS, Graph, Node
from compiler.integer_operators import INTEGER_OPERATORS, MICROSOFT
from compiler.names import node_label, printable
from compiler.onnx_file import OPSETS
from compiler.operators import FUNCTIONS, HOST

Rule = Callable[[Graph, Node], str | None]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What of an ONNX operator is supported; rules are checked in this order.

    ``becomes`` says in a few words what it is on the machine.
    """

    becomes: str
    attributes: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()


_WEIGHTS: tuple[Rule, ...] = (
    quantisation.has_quantised_weights,
    quantisation.has_symmetric_weights,
    quantisation.has_signed_weights,
    quantisation.scales_output_channels,
    quantisation.fits_its_weights,
)
_WINDOW = frozenset({"auto_pad", "dilations", "kernel_shape", "pads", "strides"})
_POOL: tuple[Rule, ...] = (
    layer.reads_a_map,
    layer.rounds_given_pads,
    layer.pads_one_way,
    layer.has_room_for_its_window,
    layer.has_no_empty_window,
)
_SCALES: tuple[Rule, ...] = (
    quantisation.has_constant_scale,
    quantisation.has_positive_scale,
    quantisation.is_not_blocked,
    quantisation.keeps_its_type,
    quantisation.is_per_tensor,
    quantisation.has_whole_bytes,
)
_QUANTISATION_ATTRIBUTES = frozenset({"axis", "block_size", "output_dtype", "saturate"})
_FUNCTION_ATTRIBUTES = {
    "Celu": {"alpha"},
    "Elu": {"alpha"},
    "Gelu": {"approximate"},
    "HardSigmoid": {"alpha", "beta"},
    "LeakyRelu": {"alpha"},
    "Selu": {"alpha", "gamma"},
    "ThresholdedRelu": {"alpha"},
}
_FUNCTION_RULES: dict[str, tuple[Rule, ...]] = {"PRelu": (layer.has_one_slope,)}
_SOFTMAX = Operator(
    becomes="a step of the host",
    attributes=frozenset({"axis"}),
    rules=(layer.fits_the_host,),
)
_CONSTANT = (
    "(the second may be one pixel); with a constant, part of the layer before, a depthwise "
    "convolution, or a table"
)

OPERATORS: dict[str, Operator] = {
    name: Operator(
        becomes="a table: of 256 bytes, or of 256 segments of a line for 16 bits",
        attributes=frozenset(_FUNCTION_ATTRIBUTES.get(name, ())),
        rules=_FUNCTION_RULES.get(name, ()),
    )
    for name in FUNCTIONS
} | {
    "Add": Operator(
        becomes=f"a sum of two maps {_CONSTANT}",
        rules=(layer.has_finite_constants,),
    ),
    "ArgMax": Operator(
        becomes="a result of the host: its output must be one of the model",
        attributes=frozenset({"axis", "keepdims", "select_last_index"}),
        rules=(layer.fits_the_host,),
    ),
    "AveragePool": Operator(
        becomes="an average pool",
        attributes=_WINDOW | {"ceil_mode", "count_include_pad"},
        rules=_POOL,
    ),
    "BatchNormalization": Operator(
        becomes="part of the convolution before, else a depthwise one",
        attributes=frozenset({"epsilon", "momentum", "training_mode"}),
        rules=(
            layer.is_in_inference_mode,
            layer.has_constant_statistics,
            layer.has_channels,
        ),
    ),
    "Clip": Operator(becomes="the clamp of the layer before", rules=(layer.has_constant_bounds,)),
    "Concat": Operator(
        becomes="maps side by side, without a copy where they are quantised alike",
        attributes=frozenset({"axis"}),
        rules=(layer.joins_activations,),
    ),
    "Constant": Operator(
        becomes="a constant",
        attributes=frozenset({"value", "value_float", "value_floats", "value_int", "value_ints"}),
    ),
    "Conv": Operator(
        becomes="a convolution: 1-D or 2-D, of any number of groups",
        attributes=_WINDOW | {"group"},
        rules=(
            layer.reads_a_map,
            layer.pads_one_way,
            *_WEIGHTS,
            layer.has_room_for_its_window,
            quantisation.has_constant_bias,
        ),
    ),
    "DequantizeLinear": Operator(
        becomes="nothing: it says what bytes mean",
        attributes=_QUANTISATION_ATTRIBUTES,
        rules=(*_SCALES, quantisation.fits_its_constant),
    ),
    "Div": Operator(
        becomes="as Mul, by a constant", rules=(layer.has_one_constant, layer.has_finite_constants)
    ),
    "Dropout": Operator(
        becomes="nothing", attributes=frozenset({"seed"}), rules=(layer.is_in_inference_mode,)
    ),
    "Flatten": Operator(becomes="nothing: the same bytes", attributes=frozenset({"axis"})),
    "Gemm": Operator(
        becomes="a fully connected layer",
        attributes=frozenset({"alpha", "beta", "transA", "transB"}),
        rules=(
            layer.is_not_transposed,
            layer.is_not_scaled,
            *_WEIGHTS,
            quantisation.has_constant_bias,
        ),
    ),
    "GlobalAveragePool": Operator(becomes="an average pool", rules=(layer.reads_a_map,)),
    "GlobalMaxPool": Operator(becomes="a max pool", rules=(layer.reads_a_map,)),
    "Identity": Operator(becomes="nothing"),
    "LRN": Operator(
        becomes="a step of the host",
        attributes=frozenset({"alpha", "beta", "bias", "size"}),
        rules=(
            layer.normalises_a_map,
            layer.has_a_centre,
            layer.has_positive_factors,
            layer.fits_the_host,
        ),
    ),
    "LogSoftmax": _SOFTMAX,
    "MatMul": Operator(becomes="a fully connected layer of each row", rules=_WEIGHTS),
    "MaxPool": Operator(
        becomes="a max pool",
        attributes=_WINDOW | {"ceil_mode", "storage_order"},
        rules=(layer.gives_no_indices, *_POOL),
    ),
    "Mul": Operator(
        becomes=f"a product of two maps {_CONSTANT}",
        rules=(layer.has_finite_constants,),
    ),
    "QuantizeLinear": Operator(
        becomes="the scale and zero point of the layer before",
        attributes=_QUANTISATION_ATTRIBUTES,
        rules=_SCALES,
    ),
    "ReduceMean": Operator(
        becomes="an average pool",
        attributes=frozenset({"axes", "keepdims", "noop_with_empty_axes"}),
        rules=(layer.averages_the_map,),
    ),
    "Relu": Operator(becomes="the clamp of the layer before"),
    "Reshape": Operator(becomes="nothing: the same bytes", attributes=frozenset({"allowzero"})),
    "Slice": Operator(
        becomes="a part of a map, without a copy along the channels",
        rules=(layer.has_constant_ranges, layer.takes_steps_of_one),
    ),
    "Softmax": _SOFTMAX,
    "Split": Operator(
        becomes="parts of a map, without a copy along the channels",
        attributes=frozenset({"axis", "num_outputs"}),
        rules=(layer.has_constant_sizes,),
    ),
    "Squeeze": Operator(becomes="nothing: the same bytes"),
    "Sub": Operator(
        becomes="as Add, of a constant", rules=(layer.has_one_constant, layer.has_finite_constants)
    ),
    "Transpose": Operator(
        becomes="nothing where bytes stay; a convolution where channels are shuffled",
        attributes=frozenset({"perm"}),
        rules=(layer.permutes_all_axes,),
    ),
    "Unsqueeze": Operator(becomes="nothing: the same bytes"),
}

_QUANTISE = "quantise the float model with `tilewright quantise`"
_ON_HOST = "remove it from the model and compute it on the host"
# What to do about operators that people meet often.
_REMEDIES = {
    "ArgMin": "use a Neg and an ArgMax",
    "ConvInteger": _QUANTISE,
    "ConvTranspose": "use a network without it",
    "DynamicQuantizeLinear": _QUANTISE,
    "InstanceNormalization": "train with BatchNormalization, which needs no run-time statistics",
    "LayerNormalization": "train with BatchNormalization, which needs no run-time statistics",
    "MatMulInteger": _QUANTISE,
    "NonMaxSuppression": _ON_HOST,
    "Pad": "give the padding to the pads of the Conv or pooling that follows",
    "Shape": "export the model with fixed shapes, and quantise it with `tilewright quantise`",
    "TopK": _ON_HOST,
}


def check_operators(model: onnx.ModelProto) -> None:
    """Before shapes are known: raise ``ModelError`` for an unsupported operator or attribute."""
    for node in model.graph.node:
        _check_operator(node)


def check_quantised(model: onnx.ModelProto) -> None:
    """Raise ``ModelError`` for a model without any quantisation."""
    if not is_quantised(model):
        raise ModelError(
            "the model must be quantised, got a float one; "
            "give images to calibrate it with: --calibrate IMAGES.npz"
        )


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether any node of the model makes 8-bit activations."""
    quantised = {"DynamicQuantizeLinear", "QuantizeLinear", *INTEGER_OPERATORS}
    return any(node.op_type in quantised for node in model.graph.node)


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
    lines = [
        "# Supported ONNX operators",
        "",
        f"Of the operator sets (opsets) {OPSETS.start} to {OPSETS.stop - 1}, in quantised models "
        "and in float ones to calibrate.",
        "",
        f"On the machine, but for {_listed(frozenset(HOST))}: ONNX Runtime runs those on the host.",
        "",
    ]
    for name, operator in sorted(OPERATORS.items()):
        where = "**Runs on the host**, by ONNX Runtime. " if name in HOST else ""
        lines += [f"## {name}", "", f"{where}Becomes {operator.becomes}.", ""]
        if operator.attributes:
            lines += [f"Attributes: {_listed(operator.attributes)}.", ""]
        lines += [f"- {' '.join((rule.__doc__ or '').split())}" for rule in operator.rules]
        lines += [""] if operator.rules else []
    lines += [
        "## Integer operators",
        "",
        "They are read as DequantizeLinear, the operator below, QuantizeLinear, under its rules.",
        "",
        "| integer operator | domain | operator | attributes |",
        "|---|---|---|---|",
    ]
    for name, integer in sorted(INTEGER_OPERATORS.items()):
        attributes = _listed(integer.attributes) or "-"
        domain = integer.domain or "ai.onnx"
        lines.append(f"| {name} | {domain} | {integer.operator} | {attributes} |")
    return "\n".join(lines).rstrip("\n") + "\n"


def _listed(attributes: frozenset[str]) -> str:
    return ", ".join(f"`{item}`" for item in sorted(attributes))


def _check_operator(node: onnx.NodeProto) -> None:
    label = node_label(node.op_type, node.name, tuple(node.output))
    name, domain = node.op_type, "" if node.domain in ONNX_DOMAINS else node.domain
    integer = INTEGER_OPERATORS.get(name)
    if integer is None and name not in OPERATORS:
        remedy = _REMEDIES.get(name, "replace or remove it")
        supported = ", ".join(sorted({*OPERATORS, *INTEGER_OPERATORS}))
        raise ModelError(
            f"{label}: operator {printable(name)} is not supported; {remedy} "
            f"(supported: {supported})"
        )
    # ONNX Runtime has QuantizeLinear and DequantizeLinear in its own domain too.
    known = {"", MICROSOFT} if name in ("QuantizeLinear", "DequantizeLinear") else {""}
    if domain not in (known if integer is None else {integer.domain}):
        raise ModelError(
            f"{label}: operators must come from the domain ai.onnx, got "
            f"'{printable(node.domain)}'; {_QUANTISE}"
        )
    attributes = OPERATORS[name].attributes if integer is None else integer.attributes
    unknown = [item.name for item in node.attribute if item.name not in attributes]
    if unknown:
        raise ModelError(
            f"{label}: attribute '{printable(unknown[0])}' is not supported; remove it "
            f"(supported: {', '.join(sorted(attributes)) or 'none'})"
        )
