"""Whole networks, layer by layer against ONNX Runtime in float32 (rates: docs/numbers.md)."""

from pathlib import Path

import numpy as np
import pytest

from compiler.frontend import read_network
from tests.support.oracle_causes import UNEXPLAINED
from tests.support.teacher_forcing import COMPOSED, compare_layers
from tilewright.networks.emit_onnx import quantised_model
from tilewright.networks.registry import build
from tilewright.networks.synthetic import synthesise

DIGITS = Path(__file__).parents[2] / "examples/digits"
# Of 379,240, 782,584 and 675,528 bytes, 2, 4 and 18 differ.
MISMATCHES = 1e-4


@pytest.mark.parametrize("name", ["resnet-18", "mobilenet-v2", "squeezenet", "shufflenet-v2"])
def test_synthetic_networks(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(quantised_model(synthesise(build(name, size=(72, 72)))).SerializeToString())
    image = np.random.default_rng(0).uniform(-1, 1, size=(1, 3, 72, 72)).astype(np.float32)
    agreement = compare_layers(read_network(path), path, image)
    assert not any(cause.endswith((UNEXPLAINED, COMPOSED)) for cause in agreement.causes)
    compared = sum(agreement.compared.values())
    assert compared > 300_000
    assert sum(agreement.causes.values()) <= MISMATCHES * compared, agreement
    assert agreement.largest <= 1


def test_the_trained_digits_network() -> None:
    path = DIGITS / "digits_int8.onnx"
    images = np.load(DIGITS / "test.npz")["images"][:100]
    agreement = compare_layers(read_network(path), path, images)
    assert not any(cause.endswith(UNEXPLAINED) for cause in agreement.causes)
    assert sum(agreement.causes.values()) <= MISMATCHES * sum(agreement.compared.values())
