"""First step: an untrusted file becomes a checked ONNX model.

Nothing of the file is taken on trust: its size, entry counts and tensor sizes are capped before
any tensor is made, and data outside the file is never opened.
"""

from math import prod
from pathlib import Path

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import checker

from arch.errors import ModelError
from compiler.graph import ONNX_DOMAINS
from compiler.names import node_label, printable
from compiler.wire import check_entries

MAX_FILE_BYTES = 256 << 20
MAX_FLOAT_FILE_BYTES = 4 * MAX_FILE_BYTES
"""Of a model whose weights are float32."""
MAX_NODES = 20_000
MAX_INITIALIZERS = 50_000
MAX_RANK = 8
MAX_ELEMENTS = 1 << 28
MAX_ATTRIBUTE_VALUES = 64
# Per-axis quantisation came with opset 13; every supported operator is unchanged to opset 25.
OPSETS = range(13, 26)
_HOLD_TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)


def read_onnx(path: Path, max_bytes: int = MAX_FILE_BYTES) -> onnx.ModelProto:
    """The model in ``path``, within every cap and valid after onnx's own checker.

    Raises ``ModelError`` for a file that cannot be read, is no ONNX model or is truncated, breaks
    a cap, keeps data in other files, or has an unknown operator set.
    """
    model = _parse(path, _read(path, max_bytes))
    _check_parts(model)
    _check_tensors(model)
    _check_nodes(model)
    _check_opset(model)
    return model


def check_model(model: onnx.ModelProto) -> None:
    """Run onnx's checker (types, attributes, names); raises ``ModelError``.

    The order of the nodes is checked before, as onnx's line on it names none.
    """
    _check_order(model.graph)
    try:
        checker.check_model(model)
    except (checker.ValidationError, ValueError) as error:
        raise ModelError(
            f"the model breaks the ONNX rules ({first_line(error)}); export it again"
        ) from error


def _check_order(graph: onnx.GraphProto) -> None:
    known = {"", *(item.name for item in (*graph.input, *graph.initializer))}
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        for name in node.input:
            if name not in known:
                maker = "no node" if name not in makers else f"{_label(makers[name])} behind it"
                raise ModelError(
                    f"{_label(node)}: its inputs must be made before it, got "
                    f"'{printable(name)}', made by {maker}; sort the nodes, and cut any cycle"
                )
        known.update(node.output)


def _label(node: onnx.NodeProto) -> str:
    return node_label(node.op_type, node.name, tuple(node.output))


def first_line(error: Exception) -> str:
    """The first line of another library's message, shortened."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return "".join(char if char.isprintable() else "?" for char in text[:200])


def _read(path: Path, max_bytes: int) -> bytes:
    shown = printable(str(path))
    try:
        if path.exists() and not path.is_file():
            raise ModelError(f"model file '{shown}' must be a regular file; give an ONNX file")
        size = path.stat().st_size
        if size > max_bytes:
            raise ModelError(
                f"model file '{shown}' may have at most {max_bytes} bytes, got {size}; "
                "quantise the weights to int8 or use a smaller model"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read model file '{shown}': {error.strerror}; give the path of an ONNX file"
        ) from error


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        check_entries(memoryview(data))
        model.ParseFromString(data)
    except DecodeError as error:
        raise _not_onnx(path) from error
    if not _is_text(model):
        raise _not_onnx(path)
    if not model.HasField("graph") or not model.graph.node or not model.opset_import:
        raise _not_onnx(path)
    return model


def _is_text(message: Message) -> bool:
    """Whether every string in the message is one; protobuf leaves invalid UTF-8 as bytes."""
    for field, value in message.ListFields():
        kind = type(value)
        if kind is str or kind is int or field.type not in _HOLD_TEXT:
            continue
        for item in [value] if isinstance(value, bytes | Message) else value:
            if not isinstance(item, str) and (isinstance(item, bytes) or not _is_text(item)):
                return False
    return True


def _not_onnx(path: Path) -> ModelError:
    return ModelError(
        f"'{printable(str(path))}' is not an ONNX model, or is truncated; "
        "copy or export the file again"
    )


def _check_parts(model: onnx.ModelProto) -> None:
    """Counts, and the parts of ONNX that no supported model has."""
    graph = model.graph
    for what, count, most in (
        ("nodes", len(graph.node), MAX_NODES),
        ("initialisers", len(graph.initializer), MAX_INITIALIZERS),
    ):
        if count > most:
            raise ModelError(f"a model may have at most {most} {what}, got {count}; simplify it")
    for what, parts, remedy in (
        ("functions", model.functions, "inline them with onnx.inliner.inline_local_functions"),
        ("training information", model.training_info, "export the model for inference"),
        ("sparse initialisers", graph.sparse_initializer, "store them as dense tensors"),
    ):
        if parts:
            raise ModelError(f"a model with {what} is not supported; {remedy}")


def _check_tensors(model: onnx.ModelProto) -> None:
    attributes = (item for node in model.graph.node for item in node.attribute)
    constants = [item.t for item in attributes if item.HasField("t")]
    total = sum(_checked_elements(t) for t in (*model.graph.initializer, *constants))
    if total > MAX_ELEMENTS:
        raise ModelError(
            f"a model's constants may have at most {MAX_ELEMENTS} elements, got {total}; "
            "use a smaller model"
        )


def _checked_elements(tensor: onnx.TensorProto) -> int:
    """Elements of a tensor whose claims about itself hold."""
    shown = printable(tensor.name)
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelError(
            f"tensor '{shown}' must be stored in the model file, got external data; "
            "save the model with onnx.save(model, path, save_as_external_data=False)"
        )
    dims = list(tensor.dims)
    if len(dims) > MAX_RANK or any(not 0 <= dim <= MAX_ELEMENTS for dim in dims):
        raise ModelError(
            f"tensor '{shown}' must have at most {MAX_RANK} dimensions of at most {MAX_ELEMENTS}, "
            f"got {dims[: MAX_RANK + 1]}; export the model again"
        )
    return prod(dims)


def _check_nodes(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if not node.output:
            raise ModelError(
                f"{_label(node)}: a node must have an output, got none; export the model again"
            )
        for item in node.attribute:
            if item.ref_attr_name:
                raise ModelError(
                    f"attribute '{printable(item.name)}' of node '{printable(node.name)}' must "
                    f"have a value, got a reference to '{printable(item.ref_attr_name)}'; "
                    "inline functions with onnx.inliner.inline_local_functions"
                )
            values = len(item.ints) + len(item.floats) + len(item.strings)
            if values > MAX_ATTRIBUTE_VALUES:
                raise ModelError(
                    f"attribute '{printable(item.name)}' of node '{printable(node.name)}' may have "
                    f"at most {MAX_ATTRIBUTE_VALUES} values, got {values}; export the model again"
                )
            # onnx would make as many shapes before it counts the outputs.
            if item.name == "num_outputs" and item.i != len(node.output):
                raise ModelError(
                    f"{_label(node)}: 'num_outputs' must be the number of its outputs, "
                    f"{len(node.output)}, got {item.i}; export the model again"
                )


def _check_opset(model: onnx.ModelProto) -> None:
    versions = [item.version for item in model.opset_import if item.domain in ONNX_DOMAINS]
    if len(versions) == 1 and versions[0] in OPSETS:
        return
    oldest, newest = OPSETS.start, OPSETS.stop - 1
    remedy = (
        f"export it again with opset_version={newest}"
        if versions and max(versions) > newest
        else f"convert it with onnx.version_converter.convert_version(model, {oldest}) before "
        "quantising"
    )
    raise ModelError(
        f"the model's opset must be {oldest} to {newest}, "
        f"got {', '.join(map(str, versions)) or 'none'}; {remedy}"
    )
