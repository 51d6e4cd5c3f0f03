"""Whole built-in networks with seeded weights: RTL = golden model to the byte, in every layer's
output, and RTL = command-level simulator in every counter."""

from pathlib import Path

import onnx
import pytest

from arch.presets import PRESETS
from compiler.driver import compile_file
from tests.support.agreement import Case, assert_agreement
from tests.support.machines import rtl_machine
from tilewright.networks.emit_onnx import quantised_model
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
