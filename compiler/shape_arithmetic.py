"""What exporters compute of shapes at run time becomes constants, since all shapes are fixed.

Only small tensors are computed, and only those whose size is known before: a file may ask for any.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from arch.errors import ModelError
from compiler.graph import ONNX_DOMAINS, Shape, constant_array
from compiler.inference import infer
from compiler.onnx_file import MAX_RANK

Arrays = dict[str, NDArray[Any]]

_LARGEST = 1 << 12
# Each round finds what depends on the values of the round before.
_MAX_ROUNDS = 50
# Attributes of a Constant that are no tensor.
_NUMBERS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
_SHAPES = {"Shape", "Size"}
_ARITHMETIC = {
    "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten",
    "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min",
    "Mod", "Mul", "Neg", "Not", "Or", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
# What the evaluator may raise on operands that do not fit; the nodes then stay.
_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def compute_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model with fixed input shapes in which arithmetic on shapes is done.

    What cannot be computed stays as it is.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    for _ in range(_MAX_ROUNDS):
        values = _values(folded)
        if not values:
            break
        kept = [node for node in folded.graph.node if not set(node.output) & values.keys()]
        del folded.graph.node[:]
        folded.graph.node.extend(kept)
        folded.graph.initializer.extend(values.values())
    return folded


def _values(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Constants to put in place of the nodes that make them."""
    try:
        graph = infer(model, strict=False, check_type=False).graph
    except (ModelError, shape_inference.InferenceError, ValueError):
        return {}  # left to the inference that follows, which is strict
    infos = {item.name: item for item in (*graph.input, *graph.value_info)}
    shapes = {name: shape for name, item in infos.items() if (shape := _fixed(item)) is not None}
    arrays = _arrays((item.name, item) for item in graph.initializer)
    constants = set(arrays)
    for node in graph.node:
        if node.op_type == "Constant":
            arrays |= _arrays(zip(node.output, _constants(node), strict=False))
            constants.update(node.output)
        elif node.domain in ONNX_DOMAINS and all(name in shapes for name in node.output):
            arrays |= _computed(model, node, shapes, arrays)
    return {
        name: numpy_helper.from_array(array, name)
        for name, array in arrays.items()
        if name not in constants
    }


def _fixed(item: onnx.ValueInfoProto) -> Shape | None:
    tensor = item.type.tensor_type
    dims = tensor.shape.dim
    known = tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
    return tuple(dim.dim_value for dim in dims) if known and len(dims) <= MAX_RANK else None


def _arrays(tensors: Iterable[tuple[str, TensorProto]]) -> Arrays:
    """The small ones of the tensors, by the names given to them."""
    arrays = {}
    for name, tensor in tensors:
        # Others are for ONNX Runtime to read or refuse.
        with suppress(ModelError):
            if prod(tensor.dims) <= _LARGEST:
                arrays[name] = constant_array(tensor)
    return arrays


def _constants(node: onnx.NodeProto) -> Iterator[TensorProto]:
    """What a Constant holds, as a tensor or as plain numbers."""
    for item in node.attribute:
        if item.name == "value":
            yield item.t
        elif item.name in _NUMBERS:
            value = helper.get_attribute_value(item)
            yield numpy_helper.from_array(np.array(value, _NUMBERS[item.name]))


def _computed(
    model: onnx.ModelProto, node: onnx.NodeProto, shapes: dict[str, Shape], arrays: Arrays
) -> Arrays:
    """The outputs of a node that reads shapes or constants only, else nothing."""
    inputs = [name for name in node.input if name]
    if node.op_type in _SHAPES and inputs[0] in shapes:
        return {node.output[0]: _shape_value(node, shapes[inputs[0]])}
    small = all(prod(shapes[name]) <= _LARGEST for name in node.output)
    if node.op_type not in _ARITHMETIC or not small or not all(name in arrays for name in inputs):
        return {}
    alone = helper.make_model(
        helper.make_graph(
            [node], "node", [], [helper.make_empty_tensor_value_info(name) for name in node.output],
            [numpy_helper.from_array(arrays[name], name) for name in dict.fromkeys(inputs)],
        ),
        opset_imports=model.opset_import,
    )  # fmt: skip
    try:
        with warnings.catch_warnings(action="ignore"), np.errstate(divide="raise"):
            found = ReferenceEvaluator(alone).run(None, {})
    except _ERRORS:
        return {}
    return {name: np.asarray(each) for name, each in zip(node.output, found, strict=True)}


def _shape_value(node: onnx.NodeProto, shape: Shape) -> NDArray[np.int64]:
    if node.op_type == "Size":
        return np.array(prod(shape), np.int64)
    limits = {item.name: item.i for item in node.attribute}
    return np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)
