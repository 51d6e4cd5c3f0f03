"""Rules on quantisation, in the form of ``compiler.layer_rules``."""

import numpy as np
from onnx import TensorProto, helper

from compiler.graph import Graph, Node
from compiler.names import printable
from compiler.quantisation import (
    expect_quantised,
    quantised_constant,
    real_constant,
    signed_type,
    zero_points,
)

_WORDS = (np.int8, np.uint8, np.int16, np.uint16)


def has_constant_scale(graph: Graph, node: Node) -> str | None:
    """Scale and zero point must be constant; quantise statically, with quantize_static."""
    variable = [name for name in node.inputs[1:] if name and name not in graph.constants]
    return f"'{printable(variable[0])}'" if variable else None


def has_positive_scale(graph: Graph, node: Node) -> str | None:
    """Every scale must be positive and finite; quantise again with more calibration data."""
    scale = graph.constants[node.input(1)]
    wrong = scale[~(np.isfinite(scale) & (scale > 0))]
    return f"{wrong[0]:g}" if wrong.size else None


def is_not_blocked(_graph: Graph, node: Node) -> str | None:
    """The attribute block_size must be 0; quantise per tensor or per channel."""
    size = node.integer("block_size", 0)
    return None if size == 0 else str(size)


def keeps_its_type(graph: Graph, node: Node) -> str | None:
    """The attribute output_dtype must be that of the zero point, float32 for a DequantizeLinear; \
    leave it out."""
    kind = node.integer("output_dtype", 0)
    if node.operator == "DequantizeLinear":
        return None if kind in (0, TensorProto.FLOAT) else str(kind)
    same = kind == helper.np_dtype_to_tensor_dtype(zero_points(graph, node).dtype)
    return None if kind == 0 or same else str(kind)


def is_per_tensor(graph: Graph, node: Node) -> str | None:
    """Activations must have one scale and one zero point; quantise them per tensor."""
    if node.input(0) in graph.constants:
        return None
    sizes = (graph.constants[node.input(1)].size, zero_points(graph, node).size)
    return None if sizes == (1, 1) else f"{sizes[0]} scales and {sizes[1]} zero points"


def has_whole_bytes(graph: Graph, node: Node) -> str | None:
    """Activations must be int8, uint8, int16 or uint16; quantise with activation_type QInt8, \
    QUInt8, QInt16 or QUInt16."""
    if node.input(0) in graph.constants:
        return None
    dtype = zero_points(graph, node).dtype
    return None if dtype in _WORDS else str(dtype)


def fits_its_constant(graph: Graph, node: Node) -> str | None:
    """A constant must have one scale and zero point, or one along its axis; quantise again."""
    constant = quantised_constant(graph, node.output)
    if constant is None:
        return None
    sizes = constant.values.shape[constant.axis : constant.axis + 1]
    if constant.scale.size == constant.zero_point.size and constant.scale.size in (1, *sizes):
        return None
    return (
        f"{constant.scale.size} scales and {constant.zero_point.size} zero points "
        f"for shape {list(constant.values.shape)}"
    )


def has_quantised_weights(graph: Graph, node: Node) -> str | None:
    """The weights must be an 8- or 16-bit constant behind a DequantizeLinear; quantise this node \
    too."""
    if quantised_constant(graph, node.input(1)) is not None:
        return None
    if real_constant(graph, node.input(1)) is not None:
        return "float32 weights"
    return f"'{printable(node.input(1))}', computed at run time"


def has_signed_weights(graph: Graph, node: Node) -> str | None:
    """The weights must be of 8 or 16 bits, and less their zero point fit int8 or int16; quantise \
    with weight_type=QuantType.QInt8 (or QInt16) and extra_options={'WeightSymmetric': True}."""
    weights = expect_quantised(graph, node.input(1))
    if weights.values.dtype not in _WORDS:
        return str(weights.values.dtype)
    if weights.values.dtype.kind == "i" and not weights.zero_point.any():
        return None
    along_axis = [1] * weights.values.ndim
    if weights.zero_point.size > 1:
        along_axis[weights.axis] = weights.zero_point.size
    zero_point = weights.zero_point.astype(np.int32).reshape(along_axis)
    difference = weights.values.astype(np.int32) - zero_point
    limits = np.iinfo(signed_type(weights.values.dtype))
    outside = difference[(difference < limits.min) | (difference > limits.max)]
    return str(outside[0]) if outside.size else None


def has_symmetric_weights(graph: Graph, node: Node) -> str | None:
    """The zero point of int8 and int16 weights must be 0; quantise with \
    extra_options={'WeightSymmetric': True}."""
    weights = expect_quantised(graph, node.input(1))
    if weights.values.dtype.kind != "i" or not weights.zero_point.any():
        return None
    return str(weights.zero_point[weights.zero_point != 0][0])


def scales_output_channels(graph: Graph, node: Node) -> str | None:
    """The weights must have one scale, or one for each output channel; quantise them so."""
    weights = expect_quantised(graph, node.input(1))
    axis = 0 if node.operator == "Conv" or node.integer("transB", 0) else 1
    if weights.scale.size == 1 or weights.axis == axis:
        return None
    return f"one for each element along axis {weights.axis}"


def fits_its_weights(graph: Graph, node: Node) -> str | None:
    """The weights must fit the input channels, the groups and the kernel_shape; export the model \
    again."""
    source = graph.shape(node.input(0))
    shape = list(expect_quantised(graph, node.input(1)).values.shape)
    if node.operator != "Conv":
        reduction = 1 if node.integer("transB", 0) else 0
        fits = len(shape) == 2 and shape[reduction] == source[-1]
        return None if fits else f"weights {shape} for {source[-1]} channels"
    group = node.integer("group", 1)
    kernel = list(node.integers("kernel_shape", tuple(shape[2:])))
    fits = len(shape) == len(source) and group >= 1 and shape[2:] == kernel
    if fits and shape[1] * group == source[1] and shape[0] % group == 0:
        return None
    return f"weights {shape} for {source[1]} channels and group {group}"


def has_constant_bias(graph: Graph, node: Node) -> str | None:
    """The bias must be a constant of one value, or one for each output channel; make it an \
    initialiser."""
    name = node.input(2)
    if not name:
        return None
    values = real_constant(graph, name)
    if values is None:
        return f"'{printable(name)}', computed at run time"
    channels = graph.shape(node.output)[1]
    if values.shape in ((), (1,), (channels,), (1, 1), (1, channels)):
        return None
    return str(list(values.shape))
