"""Built-in networks with seeded weights, as the compiler reads them from a file."""

import tempfile
from pathlib import Path

import onnx

from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.program import Program
from sim.network import Bytes
from tilewright.networks.emit_onnx import quantised_model
from tilewright.networks.registry import build
from tilewright.networks.synthetic import seeded_image, synthesise


def compiled(name: str, config: str, seed: int) -> tuple[Program, Bytes]:
    """The network ``name`` compiled for a preset, and a seeded image.

    Raises ``LookupError`` if the host runs a part of it.
    """
    graph = build(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(quantised_model(synthesise(graph, seed)), path)
        program = compile_file(path, PRESETS[config]).program
    return program, seeded_image(graph.input.shape, seed)
