"""The compiler, top to bottom: an ONNX file and a machine become programs."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arch.config import AcceleratorConfig
from compiler.input_shape import InputShape
from compiler.program import Program
from compiler.schedule import Schedule, schedule_network

if TYPE_CHECKING:
    from compiler.frontend import ImportedModel
    from compiler.search import MappingSearch


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """A model as the host sees it, and what one machine and the host run."""

    model: "ImportedModel"
    schedule: Schedule

    @property
    def program(self) -> Program:
        """The only program. Raises ``LookupError`` if the host runs steps in between."""
        return self.schedule.program


def compile_file(
    path: Path,
    config: AcceleratorConfig,
    *,
    shape: InputShape | None = None,
    without: Collection[str] = (),
    search: "MappingSearch | None" = None,
) -> CompiledModel:
    """Compile the quantised ONNX file at ``path`` for ``config``.

    ``shape`` fixes open dimensions of the input. All passes (``compiler.passes``) run but those
    named in ``without``; for ``search`` see ``place_network``. Raises ``ModelError`` for what the
    file holds, ``CompileError`` for what does not fit, ``InputError`` for a ``shape`` that is not
    the input's, and for a name that no pass has.
    """
    # Imported where a file is read: ONNX takes longer than timing a built-in network.
    from compiler.frontend import read_network

    model = read_network(path, shape)
    schedule = schedule_network(model.network, config, without=without, search=search)
    return CompiledModel(model=model, schedule=schedule)
