"""Random networks whose branches meet again, layer by layer against ONNX Runtime.

Every layer reads the bytes that ONNX Runtime computed; every byte that then differs must have a
cause (tests/support/oracle_causes.py). Measured over 300 networks, 1,200 images: of 5.9 million
bytes 3,068 differ, 2,465 of them in averages, whose exact ties float32 misses.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import QuantFormat, QuantType

from compiler.frontend import read_network
from compiler.integer_operators import expand_integer_operators
from compiler.onnx_file import read_onnx
from sim.network import Add, AveragePool, Concat, Conv, MaxPool, Multiply, Slice, Table
from tests.support.branching_models import random_branching_net
from tests.support.oracle_causes import LINES, UNEXPLAINED
from tests.support.qdq_models import golden_output, onnxruntime_output, quantised
from tests.support.teacher_forcing import COMPOSED, Agreement, compare_layers

SEEDS = range(24)
SOAK_FROM = 100_000
# A network takes about as long as ten random layers.
SOAK_NETWORKS = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000")) // 10
OPTIONS: dict[str, dict[str, object]] = {
    "int8": {"activation_type": QuantType.QInt8},
    "uint8": {"activation_type": QuantType.QUInt8},
    "int16": {"activation_type": QuantType.QInt16, "weight_type": QuantType.QInt16},
    "int16, int8 weights": {"activation_type": QuantType.QInt16},
    "pairs not shared": {"extra_options": {"DedicatedQDQPair": True}},
}
INTEGER = {
    "quant_format": QuantFormat.QOperator,
    "activation_type": QuantType.QUInt8,
    "op_types_to_quantize": None,
}


def assert_explained(agreement: Agreement) -> None:
    without_cause = {
        cause: count
        for cause, count in agreement.causes.items()
        if cause.endswith((UNEXPLAINED, COMPOSED))
    }
    assert without_cause == {}
    # The lines are the specification; no rate would be too high.
    lines = sum(count for cause, count in agreement.causes.items() if cause.endswith(LINES))
    differing = sum(agreement.causes.values()) - lines
    assert differing <= max(8, 0.01 * sum(agreement.compared.values())), agreement


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("seed", SEEDS[:10])
def test_every_difference_has_a_cause(seed: int, option: str, tmp_path: Path) -> None:
    """Replay one with ``pytest tests/compiler/test_branches.py -k 'cause and SEED-OPTION'``."""
    rng = np.random.default_rng(1000 * list(OPTIONS).index(option) + seed)
    net = random_branching_net(rng)
    images = rng.normal(size=(6, *net.input_shape[1:])).astype(np.float32)
    path = quantised(net.model(), images[:4], tmp_path / "net.onnx", **OPTIONS[option])
    model = read_network(path)
    assert_explained(compare_layers(model, path, images[4:]))
    outputs = golden_output(model, images[4:])
    assert outputs.shape == onnxruntime_output(path, images[4:], integer=False).shape


@pytest.mark.soak
def test_every_difference_of_many_networks_has_a_cause(tmp_path: Path) -> None:
    for seed in range(SOAK_FROM, SOAK_FROM + SOAK_NETWORKS):
        try:
            test_every_difference_has_a_cause(seed, "int8", tmp_path)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("seed", SEEDS)
def test_integer_operators(seed: int, tmp_path: Path) -> None:
    """The same networks as ONNX Runtime's quantiser writes them in its QOperator form."""
    rng = np.random.default_rng(seed)
    net = random_branching_net(rng, integer=True)
    images = rng.normal(size=(6, *net.input_shape[1:])).astype(np.float32)
    path = quantised(net.model(), images[:4], tmp_path / "net.onnx", **INTEGER)
    expanded = tmp_path / "expanded.onnx"
    expanded.write_bytes(expand_integer_operators(read_onnx(path)).SerializeToString())
    model = read_network(path)
    assert_explained(compare_layers(model, expanded, images[4:]))
    found = onnxruntime_output(path, images[4:], integer=False)
    steps = np.abs(golden_output(model, images[4:]) - found) / model.outputs[0].tensor.scale
    assert steps.mean() <= 0.05


def test_the_networks_are_worth_it(tmp_path: Path) -> None:
    """Together, they have every kind of layer."""
    kinds = set()
    for seed in SEEDS[:8]:
        rng = np.random.default_rng(seed)
        net = random_branching_net(rng, blocks=4)
        images = rng.normal(size=(2, *net.input_shape[1:])).astype(np.float32)
        model = read_network(quantised(net.model(), images, tmp_path / "net.onnx"))
        kinds |= {type(layer) for layer in model.network.layers}
    assert kinds >= {Conv, MaxPool, AveragePool, Add, Multiply, Table, Concat, Slice}
