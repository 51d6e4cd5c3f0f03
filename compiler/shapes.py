"""Every tensor of the model gets a fixed, capped shape; a symbolic batch becomes one image."""

from math import prod

import onnx
from onnx import TensorProto, shape_inference

from arch.errors import InputError, ModelError
from compiler.graph import ONNX_DOMAINS
from compiler.inference import infer
from compiler.input_shape import InputShape
from compiler.names import printable
from compiler.onnx_file import MAX_ELEMENTS, MAX_RANK, first_line

MAX_DIMENSION = 1 << 20
_WIDE_OPSET = 21
_NARROWER = {TensorProto.INT16: TensorProto.INT8, TensorProto.UINT16: TensorProto.UINT8}
# Sizes to show as an example for [N, C, H, W] and shorter shapes.
_EXAMPLE = (1, 3, 224, 224)


def fix_input(model: onnx.ModelProto, shape: InputShape | None = None) -> onnx.ModelProto:
    """A copy of the model for one image, without the shapes claimed for other tensors.

    ``shape`` says what the symbolic dimensions of the input are; the batch is one image anyway.
    Raises ``ModelError`` for dimensions that stay symbolic or are beyond the caps, ``InputError``
    for a ``shape`` of another input, or that contradicts the file.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    _fix_inputs(fixed.graph, shape)
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        # onnx's checker wants some shape here, even one without dimensions.
        output.type.tensor_type.ClearField("shape")
        output.type.tensor_type.shape.SetInParent()
    return fixed


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model from ``fix_input`` in which every tensor has a type and a fixed shape.

    Raises ``ModelError`` for shapes that do not fit together, are not fixed or are beyond the caps.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    known = _knows_its_types(bare)
    if not known:
        _infer(_narrowed(bare), check_type=True)
    inferred = _infer(bare, check_type=known)
    _check_all(inferred.graph)
    return inferred


def _infer(model: onnx.ModelProto, *, check_type: bool) -> onnx.ModelProto:
    try:
        return infer(model, strict=True, check_type=check_type)
    except (shape_inference.InferenceError, ValueError) as error:
        raise ModelError(
            f"the model's shapes do not fit together ({first_line(error)}); export it again"
        ) from error


def _knows_its_types(model: onnx.ModelProto) -> bool:
    """Whether ONNX knows every type of the model in its opset.

    QuantizeLinear and DequantizeLinear have 16 bits from opset 21 on; ONNX Runtime has had its own
    of that kind before, which are read as ONNX's.
    """
    opset = next(item.version for item in model.opset_import if item.domain in ONNX_DOMAINS)
    types = {tensor.data_type for tensor in model.graph.initializer}
    return opset >= _WIDE_OPSET or not types & _NARROWER.keys()


def _narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy to check types on: 8-bit words, which every opset knows, in place of 16-bit ones.

    Their numbers are left out: no shape comes from them.
    """
    narrow = onnx.ModelProto()
    narrow.CopyFrom(model)
    for tensor in narrow.graph.initializer:
        if tensor.data_type in _NARROWER:
            kept = onnx.TensorProto(
                name=tensor.name, dims=tensor.dims, data_type=_NARROWER[tensor.data_type]
            )
            tensor.CopyFrom(kept)
    for output in narrow.graph.output:
        kind = output.type.tensor_type
        kind.elem_type = _NARROWER.get(kind.elem_type, kind.elem_type)
    return narrow


def _fix_inputs(graph: onnx.GraphProto, shape: InputShape | None) -> None:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    if shape is not None:
        _apply(shape, inputs)
    for item in inputs:
        _fix_input(item)


def _apply(shape: InputShape, inputs: list[onnx.ValueInfoProto]) -> None:
    named = [item for item in inputs if item.name == shape.name]
    if not named:
        known = ", ".join(f"'{printable(item.name)}'" for item in inputs[:8])
        raise InputError(
            f"--shape must name the model's input, which is {known or 'missing'}, "
            f"got '{printable(shape.name)}'; write --shape NAME=1,3,224,224"
        )
    dims = named[0].type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    agrees = all(old in (None, new) for old, new in zip(sizes, shape.sizes, strict=False))
    if len(sizes) != len(shape.sizes) or not agrees:
        raise InputError(
            f"--shape must fit the shape in the file, [{', '.join(_shown(dim) for dim in dims)}], "
            f"got {list(shape.sizes)}; change only dimensions that are not numbers there"
        )
    for dim, size in zip(dims, shape.sizes, strict=True):
        dim.dim_value = size


def _fix_input(item: onnx.ValueInfoProto) -> None:
    dims = item.type.tensor_type.shape.dim
    shown = f"[{', '.join(_shown(dim) for dim in dims)}]"
    if dims and not dims[0].HasField("dim_value"):
        dims[0].dim_value = 1
    if any(not dim.HasField("dim_value") for dim in dims):
        sizes = [
            dim.dim_value if dim.HasField("dim_value") else size
            for dim, size in zip(dims, (*_EXAMPLE, *[1] * len(dims)), strict=False)
        ]
        raise ModelError(
            f"input '{printable(item.name)}' must have a fixed shape, got {shown}; give it one, "
            f"such as --shape {printable(item.name)}={','.join(map(str, sizes))}"
        )
    fits = all(1 <= dim.dim_value <= MAX_DIMENSION for dim in dims)
    if len(dims) not in (2, 3, 4) or dims[0].dim_value != 1 or not fits:
        raise ModelError(
            f"input '{printable(item.name)}' must be one image [1, C, H, W], line [1, C, L] or "
            f"vector [1, F] with sizes up to {MAX_DIMENSION}, got {shown}; "
            "export the model with that input"
        )


def _shown(dim: onnx.TensorShapeProto.Dimension) -> str:
    return str(dim.dim_value) if dim.HasField("dim_value") else printable(dim.dim_param) or "?"


def _check_all(graph: onnx.GraphProto) -> None:
    infos = {item.name: item for item in (*graph.input, *graph.value_info, *graph.output)}
    made = [graph_input.name for graph_input in graph.input]
    made += [name for node in graph.node for name in node.output if name]
    for name in (*made, *(item.name for item in graph.output)):
        if name not in infos or not infos[name].type.tensor_type.HasField("shape"):
            raise ModelError(
                f"tensor '{printable(name)}' has no inferable shape; "
                "export the model with fixed shapes"
            )
        dims = infos[name].type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims]
        nothing_left = 0 in sizes and all(dim.HasField("dim_value") for dim in dims)
        if len(sizes) > MAX_RANK or any(not 1 <= size <= MAX_DIMENSION for size in sizes):
            raise ModelError(
                f"tensor '{printable(name)}' must have at most {MAX_RANK} fixed dimensions of 1 to "
                f"{MAX_DIMENSION}, got [{', '.join(_shown(dim) for dim in dims)}]; "
                f"{'use larger images' if nothing_left else 'export the model with fixed shapes'}"
            )
        if prod(sizes) > MAX_ELEMENTS:
            raise ModelError(
                f"tensor '{printable(name)}' may have at most {MAX_ELEMENTS} elements, "
                f"got {prod(sizes)}; use smaller images"
            )
