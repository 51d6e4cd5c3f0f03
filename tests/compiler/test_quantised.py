"""From segments to layers: clamps, multipliers, the order of bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arch.errors import ModelError
from arch.layers import FeatureMap
from compiler.frontend import read_network
from compiler.graph import build_graph
from compiler.layout import Layout
from compiler.quantisation import Quantisation
from compiler.quantised import lower
from compiler.segments import cut
from compiler.shapes import fix_input, infer_shapes
from compiler.simplify import simplify
from compiler.values import Build, Value
from sim.network import Alias, AveragePool, Conv, Layer, MaxPool
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import golden_output, onnxruntime_output


def layers(graph: QdqGraph, folder: Path) -> tuple[Layer, ...]:
    return read_network(graph.save(folder)).network.layers


def kinds(made: tuple[Layer, ...]) -> list[type]:
    return [type(layer) for layer in made]


def clip(graph: QdqGraph, low: float, high: float) -> QdqGraph:
    bounds = [graph.constant(f"b{len(graph.constants)}", bound) for bound in (low, high)]
    return graph.node("Clip", *bounds)


@pytest.mark.parametrize(
    ("zero_point", "expected"), [(0, (0, 127)), (-128, (-128, 127)), (100, (100, 127))]
)
def test_relu_folds_into_the_clamp(
    zero_point: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    graph = QdqGraph().qdq().conv().node("Relu").qdq(0.5, zero_point)
    (layer,) = layers(graph, tmp_path)
    assert isinstance(layer, Conv)
    assert layer.clamp == expected


def test_clip_rounds_its_bounds_half_to_even(tmp_path: Path) -> None:
    """0.25 / 0.5 rounds to 0, 3.75 / 0.5 = 7.5 to 8; the zero point is 5."""
    (layer,) = layers(clip(QdqGraph().qdq().conv(), 0.25, 3.75).qdq(0.5, 5), tmp_path)
    assert isinstance(layer, Conv)
    assert layer.clamp == (5, 13)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([(0, 6), (1, 3)], (2, 6)),
        ([(0, 1), (2, 3)], (4, 4)),
        ([(2, 3), (0, 1)], (2, 2)),
        ([(-np.inf, np.inf), (-1e30, 1e30)], (-128, 127)),
    ],
)
def test_clips_in_a_row_compose(
    bounds: list[tuple[float, float]], expected: tuple[int, int], tmp_path: Path
) -> None:
    graph = QdqGraph().qdq().conv()
    for low, high in bounds:
        clip(graph, low, high)
    (layer,) = layers(graph.qdq(0.5, 0), tmp_path)
    assert isinstance(layer, Conv)
    assert layer.clamp == expected


def test_a_relu_alone_is_a_requantisation(tmp_path: Path) -> None:
    (layer,) = layers(QdqGraph().qdq(0.5, 3).node("Relu").qdq(0.25, -7), tmp_path)
    assert isinstance(layer, MaxPool)
    assert layer.shape.window.kernel == (1, 1)
    assert layer.multiplier == np.float32(2)
    assert layer.clamp == (-7, 127)


def test_a_pair_of_another_scale_is_a_requantisation(tmp_path: Path) -> None:
    made = layers(QdqGraph().qdq(0.5).node("Relu").qdq(0.5).qdq(1.0, 9, np.uint8), tmp_path)
    assert kinds(made) == [MaxPool, MaxPool]
    assert (made[1].output.signed, made[1].output.zero_point) == (False, 9)


def test_a_pair_of_the_same_scale_costs_nothing(tmp_path: Path) -> None:
    assert kinds(layers(QdqGraph().qdq().conv().qdq(2.0).qdq(2.0), tmp_path)) == [Conv]


def test_pooling_in_float_follows_the_convolution(tmp_path: Path) -> None:
    graph = QdqGraph().qdq().conv().node("MaxPool", kernel_shape=[2, 2]).node("Relu").qdq(2.0, -5)
    made = layers(graph, tmp_path)
    assert kinds(made) == [Conv, MaxPool]
    assert isinstance(made[0], Conv)
    assert isinstance(made[1], MaxPool)
    assert (made[0].clamp, made[1].clamp) == ((-128, 127), (-5, 127))
    assert made[1].multiplier == np.float32(1)


def test_multipliers_are_float32_products(tmp_path: Path) -> None:
    sx, sw, sy = np.float32(0.1), np.array([0.3, 0.7], np.float32), np.float32(0.9)
    graph = QdqGraph().qdq(sx)
    weights = graph.weights("w", np.ones((2, 3, 1, 1)), sw, axis=0)
    (layer,) = layers(graph.node("Conv", weights, name="c").qdq(sy), tmp_path)
    assert isinstance(layer, Conv)
    assert layer.multiplier.dtype == np.float32
    assert np.array_equal(layer.multiplier, (sx * sw) / sy)


def test_global_average_pool(tmp_path: Path) -> None:
    (layer,) = layers(QdqGraph().qdq(0.1).node("GlobalAveragePool").qdq(0.3), tmp_path)
    assert isinstance(layer, AveragePool)
    assert layer.multiplier(30) == np.float32(0.1) / (np.float32(0.3) * np.float32(30))
    assert layer.taps.tolist() == [[30]]
    assert layer.output.shape == FeatureMap(height=1, width=1, channels=3)


@pytest.mark.parametrize(("scale", "shown"), [(1e-38, "1.25e+37"), (1e30, "1.25e-31")])
def test_multipliers_out_of_range(scale: float, shown: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        layers(QdqGraph().qdq().conv().qdq(scale), tmp_path)
    assert str(error.value) == (
        "node 'conv' (Conv): input scale x weight scale / output scale must be 2^-60 to 2^20, "
        f"got {shown}; quantise again with other calibration data"
    )


@pytest.mark.parametrize("reshape", ["Flatten", "Reshape"])
@pytest.mark.parametrize("quantised", [True, False])
def test_a_flattened_map_permutes_the_weights(
    reshape: str, quantised: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    graph = QdqGraph(shape=(1, 3, 2, 4)).qdq(0.05, 7)
    graph.node(reshape, *([graph.constant("s", [1, -1], np.int64)] if reshape == "Reshape" else []))
    if quantised:
        graph.qdq(0.05, 7)
    weights = graph.weights("w", rng.integers(-127, 128, (24, 5)), 0.01)
    path = graph.node("Gemm", weights, name="fc").qdq(0.1, -3).save(tmp_path)
    model = read_network(path)
    assert kinds(model.network.layers) == [Alias, Conv]
    images = rng.normal(size=(20, 3, 2, 4)).astype(np.float32)
    expected = onnxruntime_output(path, images)
    assert np.array_equal(golden_output(model, images), expected)


def test_a_flattened_output_comes_back_in_onnx_order(tmp_path: Path) -> None:
    path = (
        QdqGraph(shape=(1, 3, 2, 4)).qdq().node("Relu").qdq().node("Flatten").qdq().save(tmp_path)
    )
    model = read_network(path)
    images = np.random.default_rng(4).normal(size=(5, 3, 2, 4), scale=20).astype(np.float32)
    assert kinds(model.network.layers) == [MaxPool]
    expected = onnxruntime_output(path, images)
    assert np.array_equal(golden_output(model, images), expected)


def test_an_output_of_another_size_than_inferred() -> None:
    model = infer_shapes(fix_input(QdqGraph().qdq().conv().qdq().model()))
    graph = simplify(build_graph(model))
    graph = replace(graph, shapes=graph.shapes | {"conv_out": (1, 4, 9, 9)})
    (segment,) = cut(graph).segments
    build, shape = Build(), FeatureMap(height=6, width=5, channels=3)
    quantisation = Quantisation(scale=np.float32(0.5), zero_point=0, signed=True)
    tensor = build.tensor("x", shape, quantisation)
    source = Value(tensor=tensor, layout=Layout.with_channels(graph.shape("x"), 1))
    with pytest.raises(ModelError) as error:
        lower(graph, segment, {segment.operands[0].source: source}, build)
    assert str(error.value) == (
        "node 'conv' (Conv): the output must have the 324 elements that ONNX infers, got 48; "
        "export the model again"
    )


def test_a_model_without_layers(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        layers(QdqGraph().qdq(), tmp_path)
    assert str(error.value) == (
        "the model must have at least one layer for the machine, got none; nothing would run"
    )
