"""The golden model against onnx's ReferenceEvaluator and ONNX Runtime.

Every element that differs must have a cause, see tests/support/oracle_causes.py. Replay one seed:
``python -m tests.support.oracle_report --layers 1 --first-seed SEED``.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from arch.layers import ConvShape, FeatureMap, Window
from sim.golden.convolution import accumulate
from sim.golden.run import run_layer
from sim.network import Conv, Layer, TensorSpec
from tests.support.elementwise_models import qdq_binary_model
from tests.support.oracle_causes import UNEXPLAINED, OneInput, Outputs, TwoInputs, count_causes
from tests.support.oracle_models import (
    qdq_average_model,
    qdq_conv_model,
    qdq_gemm_model,
    qdq_global_average_model,
)
from tests.support.oracle_report import compare, table
from tests.support.oracle_table import ORACLES, WIDE_ORACLES, oracles_of
from tests.support.oracles import Signs, both_uint8, input_type, session_options, with_signs
from tests.support.random_convolutions import random_conv, random_fully_connected
from tests.support.random_elementwise import random_add, random_multiply
from tests.support.random_layers import random_layer
from tests.support.random_maps import Maps, SizeLimits
from tests.support.random_pools import random_average, random_global_average
from tests.support.saturating_products import accumulate_saturating

LAYERS = 500
SOAK_LAYERS = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))


def assert_all_explained(seeds: range) -> None:
    comparisons = compare(seeds)
    print(table(comparisons))
    unexplained = {
        name: seen.unexplained_seeds for name, seen in comparisons.items() if seen.unexplained_seeds
    }
    assert unexplained == {}, f"differences without a cause, by oracle and seed: {unexplained}"
    oracles = {oracle.name for group in ORACLES.values() for oracle in group}
    assert set(comparisons) == oracles


def test_every_difference_of_500_random_layers_is_explained() -> None:
    assert_all_explained(range(LAYERS))


def test_every_difference_of_200_random_layers_of_16_bits_is_explained() -> None:
    for weight_bits, seeds in ((16, range(150)), (8, range(150, 200))):
        comparisons = compare(seeds, SizeLimits(activation_bits=16, weight_bits=weight_bits))
        print(table(comparisons))
        assert not any(seen.unexplained_seeds for seen in comparisons.values())
        oracles = {oracle.name for group in WIDE_ORACLES.values() for oracle in group}
        assert set(comparisons) == oracles


@pytest.mark.soak
def test_every_difference_of_many_random_layers_is_explained() -> None:
    assert_all_explained(range(LAYERS, LAYERS + SOAK_LAYERS))


def moderate_layers() -> Iterator[tuple[OneInput | TwoInputs, Maps, Outputs]]:
    """Layers that requantise with their golden outputs, small enough for tight error intervals."""
    for seed in range(120):
        layer, maps = random_layer(np.random.default_rng(seed), SizeLimits(max_macs=5000))
        if isinstance(layer, OneInput | TwoInputs):
            yield layer, maps, run_layer(layer, *maps).astype(np.int32)


def moved(y: Outputs, layer: OneInput | TwoInputs) -> Outputs:
    """``y`` with its first element moved to the farther end of the clamp."""
    low, high = layer.clamp
    wrong = y.copy()
    middle = (low + high) // 2
    wrong.flat[0] = high if wrong.flat[0] <= middle else low
    return wrong


def test_a_wrong_golden_output_has_no_cause() -> None:
    for layer, maps, golden in moderate_layers():
        if layer.clamp[0] < layer.clamp[1]:
            wrong = moved(golden, layer)
            for oracle in oracles_of(layer):
                counts = count_causes(oracle.causes, layer, maps, wrong, golden)
                assert counts == {UNEXPLAINED: 1}, oracle.name


def test_a_wrong_oracle_output_has_no_cause() -> None:
    for layer, maps, golden in moderate_layers():
        if layer.clamp[1] - layer.clamp[0] > 8:
            wrong = moved(golden, layer)
            for oracle in oracles_of(layer):
                counts = count_causes(oracle.causes, layer, maps, golden, wrong)
                assert counts == {UNEXPLAINED: 1}, oracle.name


@pytest.mark.parametrize(
    ("draw", "build", "signs", "operator"),
    [
        (random_conv, qdq_conv_model, both_uint8, "QLinearConv"),
        (random_fully_connected, qdq_gemm_model, input_type, "QGemm"),
        (random_global_average, qdq_global_average_model, input_type, "QLinearGlobalAveragePool"),
        (random_average, qdq_average_model, input_type, "QLinearAveragePool"),
        (random_add, qdq_binary_model, input_type, "QLinearAdd"),
        (random_multiply, qdq_binary_model, input_type, "QLinearMul"),
    ],
)
def test_onnx_runtime_computes_qdq_layers_of_one_type_in_integers(
    draw: Callable[[np.random.Generator], tuple[Layer, Maps]],
    build: Callable[[Layer], onnx.ModelProto],
    signs: Signs,
    operator: str,
    tmp_path: Path,
) -> None:
    layer, _ = draw(np.random.default_rng(0))
    model = build(with_signs(layer, signs(layer)))
    options = session_options()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    optimised = onnx.load(tmp_path / "optimised.onnx")
    operators = [node.op_type for node in optimised.graph.node]
    assert operator in operators
    assert "DequantizeLinear" not in operators


def fully_connected(weights: list[int], *, signed: bool, zero_point: int) -> Conv:
    """One output channel with bias 1 and multiplier 1."""
    ifmap = FeatureMap(height=1, width=1, channels=len(weights))
    shape = ConvShape(ifmap=ifmap, out_channels=1, window=Window(kernel=(1, 1)))
    scale = np.float32(1)
    source = TensorSpec(name="x", shape=ifmap, signed=signed, scale=scale, zero_point=zero_point)
    return Conv(
        name="f",
        input=source,
        output=TensorSpec(name="y", shape=shape.ofmap, signed=True, scale=scale, zero_point=0),
        shape=shape,
        weights=np.array(weights, np.int8).reshape(1, 1, 1, -1),
        bias=np.ones(1, np.int32),
        multiplier=np.ones(1, np.float32),
        clamp=(-128, 127),
    )


def test_saturating_pairs_by_hand() -> None:
    layer = fully_connected([127, 127, 100], signed=False, zero_point=1)
    x = np.array([255, 200, 10], np.uint8).reshape(1, 1, 3)
    # 255 * 127 + 200 * 127 = 57,785 saturates to 32,767; the third stands alone.
    assert accumulate_saturating(layer, x).tolist() == [[[32767 + 1000 - 354 + 1]]]


def test_saturating_pairs_shift_signed_inputs() -> None:
    layer = fully_connected([-128, -128], signed=True, zero_point=0)
    x = np.array([127, 127], np.int8).reshape(1, 1, 2)
    # 2 * 255 * -128 saturates to -32,768; the shift by 128 is taken back exactly.
    assert accumulate_saturating(layer, x).tolist() == [[[-32768 + 128 * 256 + 1]]]


def test_unsaturated_pairs_equal_exact_sums() -> None:
    for seed in range(30):
        layer, (x,) = random_conv(np.random.default_rng(seed), SizeLimits(max_macs=5000))
        small = replace(layer, weights=layer.weights // 4)  # pairs of 255 * 32 fit 16 bits
        assert np.array_equal(accumulate_saturating(small, x), accumulate(small, x))
