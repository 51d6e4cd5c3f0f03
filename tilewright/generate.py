"""Writes everything that a board project needs of one machine into a folder."""

import json
from pathlib import Path

from arch.config import AcceleratorConfig
from hw.verilog import to_verilog
from sim.resources import estimate_resources
from tilewright.field_docs import field_docs
from tilewright.files import write_together
from tilewright.progress import working
from tilewright.reference import command_reference, register_reference


def generate(config: AcceleratorConfig, folder: Path) -> list[Path]:
    """Write Verilog, configuration, its JSON schema and the references; gives the files.

    All of them appear, or none. Raises ``InputError`` if ``folder`` cannot be written.
    """
    texts = {
        f"{config.module_name}.v": lambda: _verilog(config),
        f"{config.name}.toml": config.to_toml,
        "configuration.schema.json": _schema,
        "registers.md": register_reference,
        "commands.md": lambda: command_reference(config),
    }
    return write_together(folder, texts, "--out")


def size_note(config: AcceleratorConfig) -> str:
    """What the machine will take of an FPGA, in a line."""
    size = estimate_resources(config)
    return (
        f"estimated on an ECP5: {round(size.luts, -2):,} LUTs, {round(size.flip_flops, -2):,} "
        f"flip-flops, {size.multipliers:,} multipliers, {size.block_rams:,} block RAMs"
    )


def _verilog(config: AcceleratorConfig) -> str:
    with working(f"generating the Verilog of {config.name}"):
        return to_verilog(config)


def _schema() -> str:
    schema = AcceleratorConfig.model_json_schema()
    for field, doc in field_docs().items():
        schema["properties"][field]["description"] = doc
    return json.dumps(schema, indent=2) + "\n"
