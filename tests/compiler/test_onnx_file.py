"""Files that are no acceptable ONNX model: each is one line."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from arch.errors import ModelError
from compiler import onnx_file
from compiler.frontend import read_network
from compiler.onnx_file import read_onnx
from tests.support.qdq_graph import QdqGraph

DIGITS = Path(__file__).parents[2] / "examples/digits/digits_int8.onnx"
FUZZ_SEED = 7


def valid_model() -> onnx.ModelProto:
    return QdqGraph().qdq().conv().qdq().model()


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_onnx(path)
    return str(error.value)


def refusal_of(model: onnx.ModelProto, folder: Path) -> str:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return refusal(path)


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("absent.onnx")) == (
        "cannot read model file 'absent.onnx': No such file or directory; "
        "give the path of an ONNX file"
    )


def test_a_folder_or_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for name in (".", "pipe"):
        assert refusal(Path(name)) == (
            f"model file '{name}' must be a regular file; give an ONNX file"
        )


def test_a_file_beyond_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("big.onnx").open("wb") as file:
        file.truncate(onnx_file.MAX_FILE_BYTES + 1)
    assert refusal(Path("big.onnx")) == (
        "model file 'big.onnx' may have at most 268435456 bytes, got 268435457; "
        "quantise the weights to int8 or use a smaller model"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, world\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        DIGITS.read_bytes()[:-1000],
        DIGITS.read_bytes()[:-12],
        b"\x3a\x05\x0a\x03\x1a\x01\xff",  # a node whose name is no UTF-8
    ],
    ids=["empty", "text", "png", "truncated", "truncated after the graph", "not text"],
)
def test_not_onnx_or_truncated(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(content)
    assert refusal(Path("m.onnx")) == (
        "'m.onnx' is not an ONNX model, or is truncated; copy or export the file again"
    )


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**40]


def negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-1]


def many(model: onnx.ModelProto) -> None:
    for tensor in list(model.graph.initializer)[:2]:
        tensor.dims[:] = [2**14, 2**14]


def long_attribute(model: onnx.ModelProto) -> None:
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.attribute.append(onnx.helper.make_attribute("pads", [0] * 65))


def many_outputs(model: onnx.ModelProto) -> None:
    split = onnx.helper.make_node("Split", ["x"], ["left"], "split", num_outputs=2**31 - 1)
    model.graph.node.append(split)


def nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([onnx.NodeProto(op_type="Relu")] * onnx_file.MAX_NODES)


def function(model: onnx.ModelProto) -> None:
    model.functions.add().name = "f"


def old(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 12


def no_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Relu", ["x"], [], "last"))


def reference(model: onnx.ModelProto) -> None:
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.attribute.add(name="pads", type=onnx.AttributeProto.INTS, ref_attr_name="outer")


def new(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 26


def no_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            external,
            "tensor 'q0_scale' must be stored in the model file, got external data; save the "
            "model with onnx.save(model, path, save_as_external_data=False)",
        ),
        (
            huge,
            "tensor 'q0_scale' must have at most 8 dimensions of at most 268435456, got "
            "[1099511627776]; export the model again",
        ),
        (
            negative,
            "tensor 'q0_scale' must have at most 8 dimensions of at most 268435456, got [-1]; "
            "export the model again",
        ),
        (
            many,
            "a model's constants may have at most 268435456 elements, got 536871024; "
            "use a smaller model",
        ),
        (
            long_attribute,
            "attribute 'pads' of node 'conv' may have at most 64 values, got 65; "
            "export the model again",
        ),
        (
            many_outputs,
            "node 'split' (Split): 'num_outputs' must be the number of its outputs, 1, got "
            "2147483647; export the model again",
        ),
        (
            no_output,
            "node 'last' (Relu): a node must have an output, got none; export the model again",
        ),
        (
            reference,
            "attribute 'pads' of node 'conv' must have a value, got a reference to 'outer'; "
            "inline functions with onnx.inliner.inline_local_functions",
        ),
        (nodes, "a model may have at most 20000 nodes, got 20006; simplify it"),
        (
            function,
            "a model with functions is not supported; "
            "inline them with onnx.inliner.inline_local_functions",
        ),
        (
            old,
            "the model's opset must be 13 to 25, got 12; convert it with "
            "onnx.version_converter.convert_version(model, 13) before quantising",
        ),
        (
            new,
            "the model's opset must be 13 to 25, got 26; export it again with opset_version=25",
        ),
        (
            no_opset,
            "the model's opset must be 13 to 25, got none; convert it with "
            "onnx.version_converter.convert_version(model, 13) before quantising",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_caps(change: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path) -> None:
    model = valid_model()
    change(model)
    assert refusal_of(model, tmp_path) == message


def test_constant_attributes_are_capped_as_well(tmp_path: Path) -> None:
    model = valid_model()
    tensor = TensorProto(name="c", dims=[2**40], data_type=TensorProto.FLOAT)
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))
    assert refusal_of(model, tmp_path) == (
        "tensor 'c' must have at most 8 dimensions of at most 268435456, got [1099511627776]; "
        "export the model again"
    )


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("nowhere", "'nowhere', made by no node"),
        ("dq4_out", "'dq4_out', made by node 'dq4' (DequantizeLinear) behind it"),
    ],
    ids=["nothing", "a cycle"],
)
def test_inputs_that_are_not_made_before(source: str, made: str, tmp_path: Path) -> None:
    model = valid_model()
    model.graph.node[-1].input[0] = source
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        f"node 'dq4' (DequantizeLinear): its inputs must be made before it, got {made}; "
        "sort the nodes, and cut any cycle"
    )


def test_a_broken_graph_is_one_line(tmp_path: Path) -> None:
    model = valid_model()
    model.graph.node[-1].output[0] = model.graph.node[0].output[0]
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_network(path)
    assert str(error.value) == (
        "the model breaks the ONNX rules (Graph must be in single static assignment (SSA) form, "
        "however 'q0_out' has been used as output names multiple times.); export it again"
    )


@pytest.mark.parametrize("case", range(200))
def test_damaged_files_are_read_or_refused_in_one_line(case: int, tmp_path: Path) -> None:
    chance = random.Random(FUZZ_SEED * 1000 + case)
    data = bytearray(DIGITS.read_bytes())
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    message = ""
    try:
        read_network(path)
    except ModelError as error:
        message = str(error)
    assert message.isprintable(), f"case {case}: {message!r}"
