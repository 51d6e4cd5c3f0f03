"""Every tensor gets a shape and types that fit, or the model is refused."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arch.errors import InputError, ModelError
from compiler.frontend import read_network
from compiler.input_shape import InputShape
from tests.support.qdq_graph import QdqGraph


def refusal(graph: QdqGraph, folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_network(graph.save(folder))
    return str(error.value)


@pytest.mark.parametrize("batch", [1, "N", "batch_size"])
def test_a_symbolic_batch_is_one_image(batch: int | str, tmp_path: Path) -> None:
    model = read_network(QdqGraph(shape=(batch, 3, 6, 5)).qdq().conv().qdq().save(tmp_path))
    assert model.input.shape == (1, 3, 6, 5)
    assert model.outputs[0].shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            ("N", 3, "height", 5),
            "input 'x' must have a fixed shape, got [N, 3, height, 5]; give it one, "
            "such as --shape x=1,3,224,5",
        ),
        (
            (2, 3, 6, 5),
            "input 'x' must be one image [1, C, H, W], line [1, C, L] or vector [1, F] with sizes "
            "up to 1048576, got [2, 3, 6, 5]; export the model with that input",
        ),
        (
            (1, 3, 6, 5, 4),
            "input 'x' must be one image [1, C, H, W], line [1, C, L] or vector [1, F] with sizes "
            "up to 1048576, got [1, 3, 6, 5, 4]; export the model with that input",
        ),
        (
            (1, 3, 2**40, 5),
            "input 'x' must be one image [1, C, H, W], line [1, C, L] or vector [1, F] with sizes "
            "up to 1048576, got [1, 3, 1099511627776, 5]; export the model with that input",
        ),
        (
            (1, 3, 0, 5),
            "input 'x' must be one image [1, C, H, W], line [1, C, L] or vector [1, F] with sizes "
            "up to 1048576, got [1, 3, 0, 5]; export the model with that input",
        ),
        (
            (1, 64, 4096, 4096),
            "tensor 'x' may have at most 268435456 elements, got 1073741824; use smaller images",
        ),
    ],
)
def test_input_shapes(shape: tuple[int | str, ...], message: str, tmp_path: Path) -> None:
    assert refusal(QdqGraph(shape=shape).qdq().node("Relu").qdq(), tmp_path) == message


def test_a_kernel_larger_than_the_image(tmp_path: Path) -> None:
    message = refusal(QdqGraph(shape=(1, 3, 2, 5)).qdq().conv().qdq(), tmp_path)
    assert message == (
        "tensor 'conv_out' must have at most 8 fixed dimensions of 1 to 1048576, "
        "got [1, 4, 0, 3]; use larger images"
    )


def test_a_vector_without_end_takes_no_memory(tmp_path: Path) -> None:
    """onnx can follow values of shapes, and makes one for each element of a vector to squeeze."""
    graph = QdqGraph(shape=(1, 4)).qdq()
    size = graph.constant("size", [2**40], np.int64)
    graph.node("Reshape", size, name="reshape").node("Squeeze").qdq()
    limited = (
        "import resource, sys; from pathlib import Path; from compiler.frontend import *;"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30,) * 2); read_network(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", limited, str(graph.save(tmp_path))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ModelError: tensor 'reshape_out' must have at most 8 fixed dimensions" in run.stderr


def test_a_given_shape_fixes_open_dimensions(tmp_path: Path) -> None:
    graph = QdqGraph(shape=("N", 3, "height", "width")).qdq().conv().qdq()
    model = read_network(graph.save(tmp_path), InputShape(name="x", sizes=(1, 3, 7, 9)))
    assert model.input.shape == (1, 3, 7, 9)
    assert model.outputs[0].shape == (1, 4, 5, 7)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        (
            "y",
            (1, 3, 6, 5),
            "--shape must name the model's input, which is 'x', got 'y'; "
            "write --shape NAME=1,3,224,224",
        ),
        (
            "x",
            (1, 4, 6, 5),
            "--shape must fit the shape in the file, [N, 3, height, 5], got [1, 4, 6, 5]; "
            "change only dimensions that are not numbers there",
        ),
        (
            "x",
            (3, 6, 5),
            "--shape must fit the shape in the file, [N, 3, height, 5], got [3, 6, 5]; "
            "change only dimensions that are not numbers there",
        ),
    ],
)
def test_a_given_shape_that_is_not_the_inputs(
    name: str, sizes: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    path = QdqGraph(shape=("N", 3, "height", 5)).qdq().conv().qdq().save(tmp_path)
    with pytest.raises(InputError) as error:
        read_network(path, InputShape(name=name, sizes=sizes))
    assert str(error.value) == message


def test_the_batch_is_one_image(tmp_path: Path) -> None:
    path = QdqGraph(shape=("N", 3, 6, 5)).qdq().conv().qdq().save(tmp_path)
    with pytest.raises(ModelError) as error:
        read_network(path, InputShape(name="x", sizes=(4, 3, 6, 5)))
    assert str(error.value) == (
        "input 'x' must be one image [1, C, H, W], line [1, C, L] or vector [1, F] with sizes "
        "up to 1048576, got [4, 3, 6, 5]; export the model with that input"
    )


def quantised_twice(graph: QdqGraph) -> str:
    graph.node("QuantizeLinear", "q0_scale", "q0_zero_point", name="first")
    return "(op_type:QuantizeLinear, node name: q3): x typestr: T1, has unsupported type"


def added_as_bytes(graph: QdqGraph) -> str:
    real = graph.tensor
    graph.node("QuantizeLinear", "q0_scale", "q0_zero_point", name="first").node("Add", real)
    return "(op_type:Add, node name: add3): B has inconsistent type tensor(float)"


def places(graph: QdqGraph) -> str:
    graph.node("ArgMax", axis=1)
    return "(op_type:QuantizeLinear, node name: q3): x typestr: T1, has unsupported type"


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("mixed", [quantised_twice, added_as_bytes, places])
def test_types_are_checked(mixed: Callable[[QdqGraph], str], dtype: type, tmp_path: Path) -> None:
    """Also of 16-bit words in an opset before ONNX had them."""
    graph = QdqGraph().qdq(dtype=dtype)
    message = mixed(graph)
    assert refusal(graph.qdq(dtype=dtype), tmp_path).startswith(
        f"the model's shapes do not fit together ([ShapeInferenceError] {message}"
    )
