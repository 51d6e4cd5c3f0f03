"""References list everything that the tables hold."""

import pytest

from arch.commands import COMMAND_BITS, FORMATS
from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.registers import REGISTERS, Status
from tilewright.reference import command_reference, configuration_reference, register_reference


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, heads and rules included."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_every_register_and_status() -> None:
    found = rows(register_reference())
    for register in REGISTERS:
        assert [f"0x{register.address:02X}", f"`{register.name}`", register.access] in [
            row[:3] for row in found
        ]
    for status in Status:
        assert any(row[0] == str(status.value) for row in found)


@pytest.mark.parametrize("config", [None, *PRESETS.values()], ids=["any", *PRESETS])
def test_every_field_of_every_command(config: AcceleratorConfig | None) -> None:
    text = command_reference(config)
    found = rows(text)
    assert len({len(row) for row in found}) == 1
    for format_ in FORMATS.values():
        assert f"\n## {format_.engine.name.lower()} (opcode {int(format_.engine)})\n" in text
        for field in format_.fields:
            first = format_.offsets[field.name]
            last = first + field.bits - 1
            assert last < COMMAND_BITS
            assert [f"{first}-{last}", f"`{field.name}`"] in [row[:2] for row in found]


def test_every_field_of_a_configuration() -> None:
    text = configuration_reference()
    found = {row[0]: row[1:] for row in rows(text)}
    for field in AcceleratorConfig.model_fields:
        values = [str(preset.model_dump(mode="json")[field]) for preset in PRESETS.values()]
        assert found[f"`{field}`"] == values
