from pathlib import Path

import pytest

from arch.errors import ModelError
from compiler.frontend import read_network
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
            "input 'x' must have a fixed shape, got [N, 3, height, 5]; fix it with "
            "python -m onnxruntime.tools.make_dynamic_shape_fixed before quantising",
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
        "got [1, 4, 0, 3]; export the model with fixed shapes"
    )
