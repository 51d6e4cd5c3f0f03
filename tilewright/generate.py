"""Writes everything that a board project needs of one machine into a folder."""

import json
import tempfile
from pathlib import Path

from arch.config import AcceleratorConfig
from arch.errors import InputError
from hw.verilog import to_verilog
from tilewright.reference import command_reference, register_reference


def generate(config: AcceleratorConfig, folder: Path) -> list[Path]:
    """Write Verilog, configuration, its JSON schema and the references; gives the files.

    Every text is made before the first file is written, and each file appears whole or not at all.
    Raises ``InputError`` if ``folder`` cannot be written.
    """
    texts = {
        f"{config.name}.v": to_verilog(config),
        f"{config.name}.toml": config.to_toml(),
        "configuration.schema.json": json.dumps(AcceleratorConfig.model_json_schema(), indent=2)
        + "\n",
        "registers.md": register_reference(),
        "commands.md": command_reference(config),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [write_whole(folder / name, text) for name, text in texts.items()]
    except OSError as error:
        raise InputError(f"--out must be a folder that can be written: {error}") from None


def write_whole(path: Path, text: str) -> Path:
    """Write ``text`` to ``path`` in one step, so that no reader ever sees a part of it."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}", delete=False
    ) as file:
        file.write(text)
    temporary = Path(file.name)
    temporary.chmod(0o644)
    return temporary.replace(path)
