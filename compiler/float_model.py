"""Before the first step: an untrusted float model becomes one that may be run and quantised."""

from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto

from arch.errors import ModelError
from compiler.graph import ONNX_DOMAINS, type_name
from compiler.input_shape import InputShape
from compiler.names import node_label, printable
from compiler.onnx_file import MAX_ELEMENTS, MAX_FLOAT_FILE_BYTES, check_model, read_onnx
from compiler.shape_arithmetic import compute_shapes
from compiler.shapes import fix_input, infer_shapes
from compiler.support import is_quantised

# The version of the file format that allows initialisers that are no inputs.
_CONSTANTS_NEED_NO_INPUT = 4


def read_float(path: Path, shape: InputShape | None = None) -> onnx.ModelProto:
    """The float model in an ONNX file, for one image, with the shape of every tensor.

    It may hold operators that only compute constants, such as Shape, which ONNX Runtime removes;
    so which are supported is to be checked after that. But none can run for long: there are no
    loops, and all tensors together are capped. Raises ``ModelError`` and ``InputError`` as
    ``read_network`` does, and for a model that is quantised already.
    """
    model = read_onnx(path, MAX_FLOAT_FILE_BYTES)
    if is_quantised(model):
        raise ModelError(
            f"'{printable(str(path))}' is quantised already; compile or run it without --calibrate"
        )
    check_nodes(model)
    model = fix_input(normalised(model), shape)
    check_model(model)
    model = infer_shapes(compute_shapes(model))
    check_input(model)
    check_total(model)
    return model


def input_shape(model: onnx.ModelProto) -> tuple[int, ...]:
    """Shape of the one input of a model from ``read_float``, whose first size is 1."""
    (item,) = model.graph.input
    return tuple(dim.dim_value for dim in item.type.tensor_type.shape.dim)


def normalised(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose initialisers are no inputs (those could change from run to run)."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inputs = _inputs(fixed)
    if len(inputs) < len(fixed.graph.input):
        kept = [onnx.ValueInfoProto.FromString(item.SerializeToString()) for item in inputs]
        del fixed.graph.input[:]
        fixed.graph.input.extend(kept)
        fixed.ir_version = max(fixed.ir_version, _CONSTANTS_NEED_NO_INPUT)
    # With a last input that is left out by an empty name, ONNX Runtime merges no Pad into a Conv.
    for node in fixed.graph.node:
        while node.input and not node.input[-1]:
            del node.input[-1]
    return fixed


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in constants]


def check_nodes(model: onnx.ModelProto) -> None:
    """Raise ``ModelError`` for an operator that is not ONNX's own, and for loops and branches."""
    for node in model.graph.node:
        label = node_label(node.op_type, node.name, tuple(node.output))
        if node.domain not in ONNX_DOMAINS:
            raise ModelError(
                f"{label}: operators must come from the domain ai.onnx, got "
                f"'{printable(node.domain)}'; save the model before it is optimised for a runtime"
            )
        if any(item.HasField("g") or item.graphs for item in node.attribute):
            raise ModelError(
                f"{label}: loops and branches are not supported; export the model without them"
            )


def check_input(model: onnx.ModelProto) -> None:
    """Raise ``ModelError`` unless the model has one input, of float32."""
    inputs = _inputs(model)
    if len(inputs) != 1:
        raise ModelError(
            f"a model must have one input, got {len(inputs)}; "
            "split the model, or turn the other inputs into initialisers"
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        raise ModelError(
            f"input '{printable(inputs[0].name)}' must be float32, got "
            f"{type_name(kind)}; export the model in float32"
        )


def check_total(model: onnx.ModelProto) -> None:
    """Raise ``ModelError`` for too many elements in all tensors of one image together."""
    graph = model.graph
    total = sum(
        prod(dim.dim_value for dim in item.type.tensor_type.shape.dim)
        for item in (*graph.input, *graph.value_info, *graph.output)
    )
    if total > MAX_ELEMENTS:
        raise ModelError(
            f"a model's activations may have at most {MAX_ELEMENTS} elements for one image, "
            f"got {total}; use smaller images"
        )
