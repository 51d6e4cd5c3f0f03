"""Illegal commands: for every rule of the decoder, the bytes of a command that breaks only it."""

from collections.abc import Callable

from arch.commands import (
    COMMAND_BITS,
    COMMAND_BYTES,
    COUNT_BITS,
    COUNTS,
    FORMATS,
    WAITS,
    Command,
    Engine,
    LoadTarget,
    pack,
)
from arch.config import AcceleratorConfig
from tests.support.hand_made import command

Maker = Callable[[AcceleratorConfig, dict[Engine, int]], bytes]
"""From a configuration, and the commands dispatched before to each engine, to 64 bytes."""


def _harmless(engine: Engine, **values: int) -> Command:
    """A legal command of the least effect, but for ``values``."""
    least = {"row_bytes": 64} if engine in (Engine.LOAD, Engine.STORE) else {}
    return command(engine, **(least | values))


def _opcode(value: int) -> Maker:
    return lambda _config, _counts: bytes([value]) + bytes(COMMAND_BYTES - 1)


def _fields(engine: Engine, **values: int) -> Maker:
    return lambda config, _counts: pack(_harmless(engine, **values), config)


def _bit(engine: Engine, bit: int) -> Maker:
    """A bit beyond the format, or beyond what the configuration uses of a field."""

    def make(config: AcceleratorConfig, _counts: dict[Engine, int]) -> bytes:
        word = int.from_bytes(pack(_harmless(engine), config), "little") | 1 << bit
        return word.to_bytes(COMMAND_BYTES, "little")

    return make


def _unused(engine: Engine, name: str) -> Maker:
    """The lowest bit of a field that the configuration does not use."""

    def make(config: AcceleratorConfig, counts: dict[Engine, int]) -> bytes:
        field = next(field for field in FORMATS[engine].fields if field.name == name)
        offset = FORMATS[engine].offsets[name]
        return _bit(engine, offset + field.used_bits(config))(config, counts)

    return make


def _wait(engine: Engine, wait: str, ahead: int) -> Maker:
    """A wait for ``ahead`` commands more than have been dispatched."""

    def make(config: AcceleratorConfig, counts: dict[Engine, int]) -> bytes:
        sent = counts[COUNTS[wait.removeprefix("wait_")]]
        return pack(_harmless(engine, **{wait: (sent + ahead) % (1 << COUNT_BITS)}), config)

    return make


def _aligned_load(target: LoadTarget, rows: int, **steps: int) -> Maker:
    """A load that must be aligned, of which one field is a byte off."""

    def make(config: AcceleratorConfig, _counts: dict[Engine, int]) -> bytes:
        off = {name: config.bus_bytes * beats + 1 for name, beats in steps.items()}
        values = {"target": target, "rows": rows, **off}
        return pack(_harmless(Engine.LOAD, **values), config)

    return make


def _channels(config: AcceleratorConfig, _counts: dict[Engine, int]) -> bytes:
    return pack(_harmless(Engine.POST, channels=config.cols), config)


_ILLEGAL: dict[str, Maker] = {
    **{f"opcode {value}": _opcode(value) for value in (0, 5, 6, 7)},
    **{
        f"{format_.engine.name} bit {bit}": _bit(format_.engine, bit)
        for format_ in FORMATS.values()
        for bit in sorted({format_.bits, COMMAND_BITS - 1})
        if bit >= format_.bits
    },
    **{
        f"{format_.engine.name} {field.name} beyond the machine": _unused(
            format_.engine, field.name
        )
        for format_ in FORMATS.values()
        for field in format_.fields
        if field.used is not None
    },
    **{
        f"{engine.name} {wait} {ahead} ahead": _wait(engine, wait, ahead)
        for engine, waits in WAITS.items()
        for wait in waits
        for ahead in (1, 1 << COUNT_BITS - 1)
    },
    "LOAD of no bytes": _fields(Engine.LOAD, row_bytes=0),
    "STORE of no bytes": _fields(Engine.STORE, row_bytes=0),
    **{
        f"{target.name.lower()}s {what}": _aligned_load(target, rows, **{field: 1})
        for target in (LoadTarget.PARAMETER, LoadTarget.TABLE)
        for what, rows, field in (
            ("from within a beat", 0, "dram_address"),
            ("to within a beat", 0, "buffer_address"),
            ("of broken beats", 0, "row_bytes"),
            ("at broken distances in memory", 1, "dram_pitch"),
            ("at broken distances in the buffer", 1, "buffer_pitch"),
        )
    },
    "POST with operand 3": _fields(Engine.POST, operand=3),
    "POST with table 3": _fields(Engine.POST, table=3),
    "POST of more channels than columns": _channels,
}

_ILLEGAL_PRODUCTS: dict[str, Maker] = {
    "POST with mode 3": _fields(Engine.POST, mode=3),
    "POST with products of sums": _fields(Engine.POST, mode=2, source=0),
}


def illegal_commands(config: AcceleratorConfig) -> dict[str, Maker]:
    """By rule that a command for ``config`` can break, one that does."""
    full = {
        f"{format_.engine.name} {field.name} beyond the machine"
        for format_ in FORMATS.values()
        for field in format_.fields
        if field.used_bits(config) == field.bits
    }
    makers = {rule: maker for rule, maker in _ILLEGAL.items() if rule not in full}
    return makers | _ILLEGAL_PRODUCTS if config.depthwise_kernel else makers
