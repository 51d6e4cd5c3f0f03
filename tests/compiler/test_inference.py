"""Models with Slices are inferred in parts; the parts find what onnx finds in the whole."""

import numpy as np
import pytest
from onnx import ModelProto, ValueInfoProto, shape_inference

from arch.errors import ModelError
from compiler.inference import infer
from tests.support.qdq_graph import QdqGraph


def with_slices(height: int) -> ModelProto:
    """Convolutions that lose two rows each, and a Slice of the rows of each, backwards."""
    graph = QdqGraph(shape=(1, 3, height, 9)).qdq()
    for number, channels in enumerate((3, 4)):
        weights = graph.weights(f"w{number}", np.ones((4, channels, 3, 3)))
        graph.node("Conv", weights, name=f"conv{number}")
        bounds = [
            graph.constant(f"{name}{number}", [value], np.int64)
            for name, value in (("start", -1), ("end", -9), ("axis", 2), ("step", -1))
        ]
        graph.node("Slice", *bounds, name=f"slice{number}").node("Relu", name=f"relu{number}")
    return graph.model()


def found(model: ModelProto) -> dict[str, ValueInfoProto]:
    return {item.name: item for item in (*model.graph.value_info, *model.graph.output)}


@pytest.mark.parametrize("strict", [False, True])
def test_parts_find_what_the_whole_does(strict: bool) -> None:
    model = with_slices(9)
    whole = shape_inference.infer_shapes(model, check_type=True, strict_mode=strict)
    parts = infer(model, strict=strict, check_type=True)
    assert found(parts) == found(whole)
    assert parts.graph.node == model.graph.node
    assert len(found(parts)) == len({name for node in model.graph.node for name in node.output})


@pytest.mark.parametrize(("height", "sizes"), [(4, [1, 4, 0, 5]), (2, [1, 4, 0, 7])])
def test_nothing_is_not_sliced(height: int, sizes: list[int]) -> None:
    """onnx would end the process."""
    with pytest.raises(ModelError) as caught:
        infer(with_slices(height), strict=True, check_type=True)
    name = "conv1_out" if height == 4 else "conv0_out"
    assert str(caught.value) == (
        f"tensor '{name}' must have sizes of 1 or more to be sliced, got {sizes}; use larger images"
    )
