"""Bounds the objects that parsing an ONNX file would make, before anything is parsed.

Protobuf turns an empty two-byte entry into about 170 bytes of objects, so the size of a file does
not bound the memory it takes. This walks the outermost fields only, without copying.
Field numbers: onnx.proto, ``ModelProto`` and ``GraphProto``.
"""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from arch.errors import ModelError

MAX_ENTRIES = 100_000
MAX_STRUCTURE_BYTES = 4 << 20
# TensorProto has 16 fields; numbers stored unpacked would repeat one per element.
MAX_TENSOR_FIELDS = 64

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_entries(data: memoryview) -> None:
    """Raise ``ModelError`` if the file holds too many entries, ``DecodeError`` if it is malformed.

    Initialisers may hold any number of bytes; everything else (nodes, value infos, metadata)
    shares ``MAX_STRUCTURE_BYTES``.
    """
    structure = 0
    for entries, (number, start, stop) in enumerate(_model_fields(data), start=1):
        if entries > MAX_ENTRIES:
            raise ModelError(
                f"a model may hold at most {MAX_ENTRIES} nodes, initialisers and other entries, "
                "got more; simplify the model"
            )
        if number == _GRAPH_INITIALIZER:
            _check_tensor_fields(data, start, stop)
        else:
            structure += stop - start
        if structure > MAX_STRUCTURE_BYTES:
            raise ModelError(
                f"a model's nodes and metadata may take at most {MAX_STRUCTURE_BYTES} bytes, "
                "got more; store tensors as initialisers, and remove metadata"
            )


def _model_fields(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Fields of the graph with their numbers; the model's own fields with number 0."""
    for number, start, stop in _fields(data, 0, len(data)):
        if number == _MODEL_GRAPH:
            yield from _fields(data, start, stop)
        else:
            yield 0, start, stop


def _check_tensor_fields(data: memoryview, start: int, stop: int) -> None:
    for count, _ in enumerate(_fields(data, start, stop), start=1):
        if count > MAX_TENSOR_FIELDS:
            raise ModelError(
                f"an initialiser may hold at most {MAX_TENSOR_FIELDS} fields, got more; "
                "store its numbers packed or raw"
            )


def _fields(data: memoryview, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, stop) of each field of the message in ``data[start:stop]``."""
    while start < stop:
        key, start = _varint(data, start, stop)
        start, end = _extent(data, key & 7, start, stop)
        if end > stop:
            raise DecodeError("field beyond the end of its message")
        yield key >> 3, start, end
        start = end


def _extent(data: memoryview, wire_type: int, start: int, stop: int) -> tuple[int, int]:
    """Where the content of a field begins and ends, whose key ends at ``start``."""
    if wire_type == _BYTES:
        length, start = _varint(data, start, stop)
        return start, start + length
    if wire_type == _VARINT:
        return start, _varint(data, start, stop)[1]
    if wire_type in (_FIXED32, _FIXED64):
        return start, start + (4 if wire_type == _FIXED32 else 8)
    raise DecodeError("unknown wire type")


def _varint(data: memoryview, start: int, stop: int) -> tuple[int, int]:
    """The variable-length integer at ``start``, and where it ends."""
    if start < stop and data[start] < 0x80:
        return data[start], start + 1
    value = shift = 0
    for at in range(start, min(start + 10, stop)):
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        shift += 7
    raise DecodeError("truncated integer")
