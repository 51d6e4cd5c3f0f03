"""The compiler, top to bottom: an ONNX file and a machine become a program."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arch.config import AcceleratorConfig
from compiler.place import place_network
from compiler.program import Program

if TYPE_CHECKING:
    from compiler.frontend import ImportedModel


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """A model as the host sees it, and its program on one machine."""

    model: "ImportedModel"
    program: Program


def compile_file(path: Path, config: AcceleratorConfig) -> CompiledModel:
    """Compile the ONNX QDQ file at ``path`` for ``config``.

    Raises ``ModelError`` for what the file holds, ``CompileError`` for what does not fit.
    """
    # Imported where a file is read: ONNX takes longer than timing a built-in network.
    from compiler.frontend import read_network

    model = read_network(path)
    program = place_network(model.network, config)
    return CompiledModel(model=model, program=program)
