"""The register and command reference, written from the tables that the hardware is built from."""

from collections.abc import Iterator

from arch.commands import COMMAND_BYTES, FORMATS
from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.registers import REGISTERS, Status
from tilewright.field_docs import field_docs


def register_reference() -> str:
    """Markdown of the AXI4-Lite register map."""
    return "\n".join(_register_lines()) + "\n"


def command_reference(config: AcceleratorConfig | None = None) -> str:
    """Markdown of the command set; with ``config``, with the bits that this machine uses."""
    return "\n".join(_command_lines(config)) + "\n"


def configuration_reference() -> str:
    """Markdown of the configuration's fields and presets."""
    return "\n".join(_configuration_lines()) + "\n"


def _register_lines() -> Iterator[str]:
    yield "# Registers"
    yield ""
    yield "AXI4-Lite, 32 bits a register. `ro` read-only, `rw` read and write, `wo` reads as 0."
    yield ""
    yield "| address | name | access | meaning |"
    yield "|---|---|---|---|"
    for register in REGISTERS:
        yield (
            f"| 0x{register.address:02X} | `{register.name}` | {register.access} | {register.doc} |"
        )
    yield ""
    yield "Error codes in `status`:"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for status in Status:
        yield f"| {status.value} | {status.name.lower().replace('_', ' ')} |"


def _command_lines(config: AcceleratorConfig | None) -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield (
        f"A program is an array of {COMMAND_BYTES}-byte little-endian commands. Bits that belong "
        "to no field must be 0."
    )
    for format_ in FORMATS.values():
        yield ""
        yield f"## {format_.engine.name.lower()} (opcode {int(format_.engine)})"
        yield ""
        yield format_.doc
        yield ""
        used = " used |" if config else ""
        yield f"| bits | field | type |{used} meaning |"
        yield "|---|---|---|---|" + ("---|" if config else "")
        for field in format_.fields:
            first = format_.offsets[field.name]
            kind = f"{'int' if field.signed else 'uint'}{field.bits}"
            used = f" {field.used_bits(config)} |" if config else ""
            yield (
                f"| {first}-{first + field.bits - 1} | `{field.name}` | {kind} |{used} "
                f"{field.doc} |"
            )


def _configuration_lines() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield (
        "A machine is one TOML file with these fields. Sizes are in bytes, times in clock cycles; "
        "values are those of the presets."
    )
    yield ""
    yield "| field | " + " | ".join(PRESETS) + " |"
    yield "|---" * (len(PRESETS) + 1) + "|"
    dumps = [preset.model_dump(mode="json") for preset in PRESETS.values()]
    for field in AcceleratorConfig.model_fields:
        yield f"| `{field}` | " + " | ".join(f"{dump[field]}" for dump in dumps) + " |"
    yield ""
    yield "What a field means:"
    yield ""
    for field, doc in field_docs().items():
        yield f"- `{field}`: {' '.join(doc.split())}"
