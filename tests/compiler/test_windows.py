"""auto_pad against ONNX Runtime's own output sizes and values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.frontend import read_network
from sim.network import Conv
from tests.support.qdq_graph import QdqGraph


def padding(folder: Path, size: int, **attributes: Any) -> tuple[int, int, int, int]:
    graph = QdqGraph(shape=(1, 3, size, size)).qdq().conv(**attributes).qdq()
    (layer,) = read_network(graph.save(folder)).network.layers
    assert isinstance(layer, Conv)
    return layer.shape.window.padding


@pytest.mark.parametrize(
    ("size", "attributes", "expected"),
    [
        (6, {}, (0, 0, 0, 0)),
        (6, {"pads": [1, 0, 2, 3]}, (1, 0, 2, 3)),
        (6, {"auto_pad": "VALID"}, (0, 0, 0, 0)),
        (6, {"auto_pad": "SAME_UPPER"}, (1, 1, 1, 1)),
        # ceil(6 / 2) = 3 outputs need 2 * 2 + 3 = 7 pixels: one more than there are
        (6, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (0, 0, 1, 1)),
        (6, {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 1, 0, 0)),
        (7, {"auto_pad": "SAME_LOWER", "strides": [3, 2]}, (1, 1, 1, 1)),
        (6, {"auto_pad": "SAME_UPPER", "dilations": [2, 1]}, (2, 1, 2, 1)),
        (5, {"auto_pad": "SAME_UPPER", "strides": [5, 5]}, (0, 0, 0, 0)),
    ],
)
def test_padding(
    size: int,
    attributes: dict[str, Any],
    expected: tuple[int, int, int, int],
    tmp_path: Path,
) -> None:
    assert padding(tmp_path, size, **attributes) == expected


def test_the_kernel_is_that_of_the_weights(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv(weights=np.ones((2, 3, 1, 4))).qdq()
    (layer,) = read_network(graph.save(tmp_path)).network.layers
    assert isinstance(layer, Conv)
    assert layer.shape.window.kernel == (1, 4)
