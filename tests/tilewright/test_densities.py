"""Measured densities against counting by hand, and what estimates make of them."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arch.architectures import ARCHITECTURES
from arch.sparsity import Tensor
from tests.support.command_line import DIGITS, tilewright
from tilewright.densities import Measurement

CHIP = ARCHITECTURES["eyeriss"]
WEIGHTS = np.array([[[[0, 2, 0], [1, 0, 0], [0, 0, 1]]]], np.float32)


@pytest.fixture
def relu_model(tmp_path: Path) -> Path:
    """A 3x3 convolution with padding, and the ReLU behind it."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["y"], "relu"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 5))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_zeros_are_counted_by_hand(relu_model: Path) -> None:
    images = np.random.default_rng(1).integers(-1, 2, (3, 1, 4, 5)).astype(np.float32)
    measurement = Measurement(relu_model, None, images)
    assert len(list(measurement.run())) == 3
    found = measurement.result().layers["conv"]
    padded = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))
    sums = sum(
        WEIGHTS[0, 0, y, x] * padded[:, y : y + 4, x : x + 5] for y in range(3) for x in range(3)
    )
    assert found.ifmap == np.count_nonzero(padded) / padded.size
    assert found.weight == 3 / 9
    assert found.ofmap == np.count_nonzero(np.asarray(sums) > 0) / (3 * 4 * 5)


def test_quantised_zeros_are_those_of_the_zero_point(tmp_path: Path) -> None:
    found = {}
    for kind in ("int8", "float"):
        out = tmp_path / f"{kind}.toml"
        outcome = tilewright(
            "densities", DIGITS / f"digits_{kind}.onnx", "-i", DIGITS / "test.npz", "-n", "50",
            "-o", out, "--json",
        )  # fmt: skip
        assert outcome.status == 0
        found[kind] = tomllib.loads(out.read_text())
        assert json.loads(outcome.out) == found[kind]
        assert "50 images" in found[kind]["source"]
    layers = found["float"]["layers"]
    assert layers.keys() == found["int8"]["layers"].keys() == {"conv1", "conv2", "conv3", "head"}
    for name, densities in layers.items():
        for tensor, density in densities.items():
            # Rounding makes some zeros more, and none less.
            rounded = found["int8"]["layers"][name][tensor]
            assert density - 0.02 <= rounded <= density


def test_an_estimate_with_densities(tmp_path: Path) -> None:
    """Energy by hand: coded memory, gated multiply-accumulates, filters and sums."""
    path = tmp_path / "d.toml"
    path.write_text('source = "none"\n[layers.conv2]\nifmap = 0.25\nweight = 0.5\nofmap = 0.9\n')
    arguments = ("estimate", "lenet-5", "--layer", "conv2", "--json")
    (dense,) = json.loads(tilewright(*arguments).out)
    outcome = tilewright(*arguments, "--densities", path)
    (sparse,) = json.loads(outcome.out)
    assert sparse["densities"] == {"ifmap": 0.25, "weight": 0.5, "ofmap": 0.9}
    assert dense["densities"] == {"ifmap": 1, "weight": 1, "ofmap": 1}
    ratio = CHIP.run_length.ratio(0.25, 16) if CHIP.run_length else 0
    assert ratio < 1 < sparse["coding"][1]["ratio"]
    assert sparse["coding"][0] == {"tensor": "ifmap", "ratio": ratio, "coded": True}
    assert not sparse["coding"][1]["coded"]
    parts = {(each["level"], each["data"]): each["energy"] for each in sparse["energy_parts"]}
    words = {(each["level"], each["data"]): each for each in sparse["accesses"]}
    assert parts["mac", None] == 0.25 * dense["macs"]
    assert words["spad", "weight"]["reads"] == round(0.25 * dense["macs"])
    assert words["spad", "ifmap"]["reads"] == dense["macs"]
    assert parts["memory", "ifmap"] == pytest.approx(
        200 * ratio * words["memory", "ifmap"]["reads"]
    )
    assert parts["memory", "weight"] == 200 * words["memory", "weight"]["reads"]
    assert sparse["energy"] == pytest.approx(sum(parts.values()))
    assert sparse["energy"] < dense["energy"]


def test_what_coding_would_enlarge_is_told(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text('source = "none"\n[layers.fc3]\nifmap = 0.5\nofmap = 1.0\n')
    outcome = tilewright("estimate", "lenet-5", "--layer", "fc3", "--densities", path)
    ratio = 64 / 48
    assert f"ofmap not coded, which would make it larger: fc3 ({ratio:.2f} times)" in outcome.out
    assert "ifmap not coded" not in outcome.out


def test_a_machine_without_a_code_codes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text('source = "none"\n[layers.fc3]\nifmap = 0.5\n')
    arguments = ("estimate", "lenet-5", "--layer", "fc3", "--arch", "tpu_like", "--json")
    (dense,) = json.loads(tilewright(*arguments).out)
    (sparse,) = json.loads(tilewright(*arguments, "--densities", path).out)
    assert sparse["coding"] == []
    assert sparse["energy"] == dense["energy"]
    assert {tensor.value for tensor in Tensor} == dense["densities"].keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'source = "x"\n[layers.conv9]\nifmap = 0.5',
            "a layer with densities must be one of conv1, conv2, fc1, fc2, fc3 for lenet-5, "
            "got 'conv9'",
        ),
        ("layers = 3", "a density file: source must be given, got no value"),
    ],
)
def test_bad_input_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text(text)
    outcome = tilewright("estimate", "lenet-5", "--densities", path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == f"tilewright: {message}"


def test_images_of_another_model_are_refused(relu_model: Path, tmp_path: Path) -> None:
    outcome = tilewright(
        "densities", relu_model, "-i", DIGITS / "test.npz", "-o", tmp_path / "d.toml"
    )
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "d.toml").exists()
