"""Whole built-in networks with seeded weights: RTL = golden model to the byte, in every layer's
output, and RTL = command-level simulator in every counter."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from arch.presets import PRESETS
from compiler.driver import compile_file
from tests.support.agreement import Case, assert_agreement
from tests.support.machines import rtl_machine
from tilewright.models import calibrated
from tilewright.networks.emit_onnx import float_model, quantised_model
from tilewright.networks.registry import build
from tilewright.networks.synthetic import seeded_image, synthesise

SEED = 0


def case_of(name: str, config: str, folder: Path) -> Case:
    """The network ``name``, quantised, saved, compiled for ``config``, and a seeded image."""
    graph = build(name)
    path = folder / f"{name}.onnx"
    onnx.save(quantised_model(synthesise(graph, SEED)), path)
    compiled = compile_file(path, PRESETS[config])
    return Case(program=compiled.program, image=seeded_image(graph.input.shape, SEED))


@pytest.mark.parametrize("name", ["lenet-5", "resnet-8", "mobilenet-v1-0.25-32x32"])
def test_on_small(name: str, tmp_path: Path) -> None:
    assert_agreement(rtl_machine("small"), case_of(name, "small", tmp_path))


@pytest.mark.parametrize("name", ["lenet-5", "resnet-8"])
def test_sixteen_bits(name: str, tmp_path: Path) -> None:
    """The float form, calibrated on one seeded image; run on another."""
    graph, config = build(name), PRESETS["small16"]
    model, images = tmp_path / "m.onnx", tmp_path / "i.npz"
    onnx.save(float_model(synthesise(graph, SEED)), model)
    first, second = (seeded_image(graph.input.shape, SEED + each) for each in (0, 1))
    channels_first = [each.transpose(2, 0, 1).astype(np.float32) / 255 for each in (first, second)]
    np.savez(images, images=np.stack(channels_first[:1]))
    with calibrated(model, images, None, config) as files:
        compiled = compile_file(files.file, config)
    image = compiled.model.input.quantise(np.stack(channels_first[1:]))[0]
    assert_agreement(rtl_machine("small16"), Case(program=compiled.program, image=image))


@pytest.mark.soak
@pytest.mark.parametrize("config", ["tiny", "small", "gemmini16"])
@pytest.mark.parametrize(
    "name",
    [
        "lenet-5",
        "resnet-8",
        "mobilenet-v1-0.25-32x32",
        "squeezenet-64x64",
        "densenet-block",
        "se-block",
    ],
)
def test_on_every_preset(name: str, config: str, tmp_path: Path) -> None:
    assert_agreement(rtl_machine(config), case_of(name, config, tmp_path))
