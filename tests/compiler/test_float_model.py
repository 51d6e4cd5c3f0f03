"""Float models: what may be run and quantised, and what is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arch.errors import ModelError
from compiler import float_model
from compiler.float_model import input_shape, read_float
from compiler.input_shape import InputShape

DIGITS = Path(__file__).parents[2] / "examples/digits"


def model(
    *nodes: onnx.NodeProto, shape: tuple[int | str, ...] = (1, 3, 6, 5), kind: int = 1
) -> onnx.ModelProto:
    """From ``x`` to ``y``; ``w`` is a constant."""
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Relu", ["x"], ["y"], "relu")],
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refusal(model: onnx.ModelProto, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_float(saved(model, folder))
    return str(error.value)


def conv(*inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", ["x", *inputs], ["y"], "conv", **attributes)


def test_the_shape_of_the_input() -> None:
    assert input_shape(read_float(DIGITS / "digits_float.onnx")) == (1, 1, 8, 8)


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    path = saved(model(shape=("N", 3, "H", "W")), tmp_path)
    shape = InputShape(name="x", sizes=(1, 3, 7, 9))
    assert input_shape(read_float(path, shape)) == (1, 3, 7, 9)


def test_initialisers_are_no_inputs(tmp_path: Path) -> None:
    given = model(conv("w"))
    given.ir_version = 3
    given.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 3, 3, 3)))
    read = read_float(saved(given, tmp_path))
    assert [item.name for item in read.graph.input] == ["x"]
    assert read.ir_version == 4


def test_a_last_input_that_is_left_out(tmp_path: Path) -> None:
    read = read_float(saved(model(conv("w", "")), tmp_path))
    assert list(read.graph.node[0].input) == ["x", "w"]


def test_a_quantised_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes((DIGITS / "digits_int8.onnx").read_bytes())
    with pytest.raises(ModelError) as error:
        read_float(Path("m.onnx"))
    assert str(error.value) == (
        "'m.onnx' is quantised already; compile or run it without --calibrate"
    )


def test_two_inputs(tmp_path: Path) -> None:
    given = model(helper.make_node("Add", ["x", "z"], ["y"], "add"))
    given.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3, 6, 5)))
    assert refusal(given, tmp_path) == (
        "a model must have one input, got 2; "
        "split the model, or turn the other inputs into initialisers"
    )


def test_an_input_of_another_type(tmp_path: Path) -> None:
    cast = helper.make_node("Cast", ["x"], ["y"], "cast", to=TensorProto.FLOAT)
    assert refusal(model(cast, kind=TensorProto.UINT8), tmp_path) == (
        "input 'x' must be float32, got UINT8; export the model in float32"
    )


def test_an_input_of_no_type(tmp_path: Path) -> None:
    aside = helper.make_node("Relu", ["w"], ["y"], "relu")
    assert refusal(model(aside, kind=-128), tmp_path) == (
        "input 'x' must be float32, got -128; export the model in float32"
    )


def test_loops(tmp_path: Path) -> None:
    body = helper.make_graph([], "body", [], [])
    loop = helper.make_node("Loop", ["", "", "x"], ["y"], "loop", body=body)
    assert refusal(model(loop), tmp_path) == (
        "node 'loop' (Loop): loops and branches are not supported; export the model without them"
    )


def test_operators_of_a_runtime(tmp_path: Path) -> None:
    fused = helper.make_node("FusedConv", ["x", "w"], ["y"], "fused", domain="com.microsoft")
    assert refusal(model(fused), tmp_path) == (
        "node 'fused' (FusedConv): operators must come from the domain ai.onnx, got "
        "'com.microsoft'; save the model before it is optimised for a runtime"
    )


def test_activations_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_model, "MAX_ELEMENTS", 150)
    assert refusal(model(), tmp_path) == (
        "a model's activations may have at most 150 elements for one image, got 180; "
        "use smaller images"
    )


def test_a_shape_that_images_decide(tmp_path: Path) -> None:
    nonzero = helper.make_node("NonZero", ["x"], ["n"], "nonzero")
    cast = helper.make_node("Cast", ["n"], ["y"], "cast", to=TensorProto.FLOAT)
    assert refusal(model(nonzero, cast), tmp_path).startswith(
        "tensor 'n' must have at most 8 fixed dimensions of 1 to 1048576, got [4, "
    )


@pytest.mark.parametrize(
    ("operator", "constants"),
    [
        ("Range", {"a": np.int64(0), "b": np.int64(2**60), "c": np.int64(1)}),
        ("Tile", {"a": np.zeros(1, np.int64), "b": np.array([2**50])}),
        ("ConstantOfShape", {"a": np.array([2**30, 2**30])}),
    ],
)
def test_constants_beyond_memory(operator: str, constants: dict[str, Any], tmp_path: Path) -> None:
    made = helper.make_node(operator, list(constants), ["m"], "huge")
    given = model(made, helper.make_node("Cast", ["m"], ["y"], "cast", to=TensorProto.FLOAT))
    given.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    assert refusal(given, tmp_path).startswith("tensor 'm' must have at most 8 fixed dimensions")
