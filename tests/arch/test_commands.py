"""The command set: packing and unpacking are inverse, and values outside their fields refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.commands import (
    COMMAND_BITS,
    COMMAND_BYTES,
    FORMATS,
    Command,
    Engine,
    Field,
    pack,
    unpack,
)
from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.presets import PRESETS

CONFIG = PRESETS["small"]


def values_of(field: Field, config: AcceleratorConfig) -> st.SearchStrategy[int]:
    bits = field.used_bits(config)
    if field.signed:
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    return st.integers(0, (1 << bits) - 1)


@st.composite
def commands(draw: st.DrawFn) -> Command:
    engine = draw(st.sampled_from(Engine))
    fields = FORMATS[engine].fields[1:]
    return Command.of(engine, {field.name: draw(values_of(field, CONFIG)) for field in fields})


@given(commands())
def test_round_trip(command: Command) -> None:
    data = pack(command, CONFIG)
    assert len(data) == COMMAND_BYTES
    found = unpack(data)
    assert (found.engine, found.values) == (command.engine, command.values)


@pytest.mark.parametrize("engine", Engine)
def test_fields_do_not_overlap_and_fit(engine: Engine) -> None:
    format_ = FORMATS[engine]
    taken: set[int] = set()
    for field in format_.fields:
        bits = range(format_.offsets[field.name], format_.offsets[field.name] + field.bits)
        assert taken.isdisjoint(bits)
        taken.update(bits)
    assert max(taken) < COMMAND_BITS


def test_value_outside_its_field() -> None:
    values = {field.name: 0 for field in FORMATS[Engine.STORE].fields[1:]}
    with pytest.raises(CompileError) as caught:
        pack(Command.of(Engine.STORE, values | {"rows": 1 << 16}), CONFIG)
    assert str(caught.value) == "STORE command: rows must be in 0..65535, got 65536"


def test_value_that_this_machine_has_no_use_for() -> None:
    values = {field.name: 0 for field in FORMATS[Engine.EXECUTE].fields[1:]}
    with pytest.raises(CompileError) as caught:
        pack(Command.of(Engine.EXECUTE, values | {"weight_address": 1 << 14}), CONFIG)
    assert str(caught.value) == ("EXECUTE command: weight_address must be in 0..16383, got 16384")


def test_missing_field() -> None:
    values = {field.name: 0 for field in FORMATS[Engine.STORE].fields[2:]} | {"target": 0}
    with pytest.raises(CompileError) as caught:
        Command.of(Engine.STORE, values)
    assert str(caught.value) == ("STORE command: missing or unknown fields ['target', 'wait_load']")


def test_unknown_opcode() -> None:
    with pytest.raises(CompileError) as caught:
        unpack(bytes(COMMAND_BYTES))
    assert str(caught.value) == "an opcode must be one of 1..4, got 0"
