import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError

from arch.errors import ModelError
from compiler import wire
from compiler.wire import check_entries


def message(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    size, length = len(content), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as error:
        check_entries(memoryview(data))
    return str(error.value)


def test_a_normal_model_passes() -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(100_000, np.int8), "t")
    graph = onnx.GraphProto(initializer=[tensor], node=[onnx.NodeProto(op_type="Relu")])
    check_entries(memoryview(onnx.ModelProto(ir_version=9, graph=graph).SerializeToString()))


def test_too_many_empty_nodes() -> None:
    data = message(7, message(1, b"") * (wire.MAX_ENTRIES + 1))
    assert refusal(data) == (
        "a model may hold at most 100000 nodes, initialisers and other entries, got more; "
        "simplify the model"
    )


def test_graphs_in_pieces_count_together() -> None:
    data = message(7, message(1, b"")) * (wire.MAX_ENTRIES + 1)
    assert refusal(data).startswith("a model may hold at most 100000 nodes")


def test_a_node_of_very_many_attributes() -> None:
    data = message(7, message(1, message(5, b"") * (wire.MAX_STRUCTURE_BYTES // 2 + 1)))
    assert refusal(data) == (
        "a model's nodes and metadata may take at most 4194304 bytes, got more; "
        "store tensors as initialisers, and remove metadata"
    )


def test_an_initialiser_of_very_many_fields() -> None:
    data = message(7, message(5, b"\x08\x01" * (wire.MAX_TENSOR_FIELDS + 1)))
    assert refusal(data) == (
        "an initialiser may hold at most 64 fields, got more; store its numbers packed or raw"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a",
        b"\x3a\x05",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b",
        b"\x0d\x00",
    ],
)
def test_malformed_fields(data: bytes) -> None:
    with pytest.raises(DecodeError):
        check_entries(memoryview(data))
