"""The compiler, top to bottom: an ONNX file and a machine become a program."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from arch.config import AcceleratorConfig
from compiler.frontend import ImportedModel, read_network
from compiler.place import place_network
from compiler.program import Program


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """A model as the host sees it, and its program on one machine."""

    model: ImportedModel
    program: Program


def compile_file(
    path: Path, config: AcceleratorConfig, *, without: Collection[str] = ()
) -> CompiledModel:
    """Compile the ONNX QDQ file at ``path`` for ``config``, by all passes (``compiler.passes``) but
    those named in ``without``.

    Raises ``ModelError`` for what the file holds, ``CompileError`` for what does not fit,
    ``InputError`` for a name that no pass has.
    """
    model = read_network(path)
    program = place_network(model.network, config, without=without)
    return CompiledModel(model=model, program=program)
