"""Architectures and energy tables: what they derive, and every way to get them wrong."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from arch.architecture import Architecture, DataType
from arch.architectures import ARCHITECTURES, from_config, load_architecture
from arch.energy import TABLES, EnergyTable, load_table
from arch.errors import ConfigError
from arch.presets import PRESETS

TEXT = """
name = "mine"
clock_mhz = 200
memory_bytes_per_cycle = 2.5
energy = "eyeriss"

[array]
rows = 12
cols = 14

[[buffers]]
name = "glb"
bytes = 110592
holds = ["ifmap", "psum"]

[[spads]]
name = "filters"
bytes = 448
holds = ["weight"]
"""


def error_of(path: tuple[str | int, ...], value: object) -> str:
    """The message for ``TEXT`` with ``value`` at ``path``; None removes the key."""
    values: Any = tomllib.loads(TEXT)
    place = values
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(ConfigError) as caught:
        Architecture.from_toml(tomli_w.dumps(values))
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("clock_mhz",), None, "an architecture: clock_mhz must be given, got no value"),
        (
            ("array", "rows"),
            0,
            "an architecture: array.rows must be greater than or equal to 1, got 0",
        ),
        (
            ("buffers", 0, "bytes"),
            -4,
            "an architecture: buffers.0.bytes must be greater than or equal to 1, got -4",
        ),
        (
            ("buffers", 0, "size"),
            4,
            "an architecture: buffers.0.size is not a key, got 4; the keys are name, clock_mhz, "
            "memory_bytes_per_cycle, array, word_bits, buffers, spads, forwards, run_length, "
            "zero_gating, energy, rows, cols, unit, source, mac, hop, memory, storage, codes, "
            "run_bits, packed_bits, bytes, holds, bytes_per_cycle, read, write, ifmap, weight, "
            "psum",
        ),
        (
            ("array", "colls"),
            4,
            "an architecture: array.colls is not a key, got 4; did you mean cols?",
        ),
        (
            ("spads", 0, "holds"),
            ["weights"],
            "an architecture: spads.0.holds.0 must be 'ifmap', 'weight' or 'psum', got 'weights'",
        ),
        (
            ("buffers", 0, "holds"),
            ["ifmap", "ifmap"],
            "an architecture: a data type held by buffers must be given once, got ifmap 2 times",
        ),
        (
            ("spads", 0, "name"),
            "glb",
            "an architecture: the name of a storage must be given once, got glb 2 times",
        ),
        (
            ("zero_gating",),
            ["ifmap"],
            "an architecture: zero_gating must be of weight and psum, got ifmap, which says when",
        ),
        (
            ("run_length",),
            {"codes": ["ifmap"], "packed_bits": 21},
            "an architecture: run_length: packed_bits must hold a run, a word of 16 bits of ifmap "
            "and one bit more, got 21",
        ),
        (
            ("run_length",),
            {"codes": ["ofmap", "ofmap"]},
            "an architecture: run_length: what is coded must be given once, got ofmap, ofmap",
        ),
        (
            ("energy",),
            "eyeris",
            "an architecture: energy: an energy table must be one of accelergy65, eyeriss, "
            "horowitz45 or a .toml file, got 'eyeris'",
        ),
    ],
)
def test_mistakes_are_one_line(path: tuple[str | int, ...], value: object, message: str) -> None:
    assert error_of(path, value) == message


def test_a_table_without_a_unit() -> None:
    values = TABLES["eyeriss"].model_dump(mode="json")
    del values["unit"]
    with pytest.raises(ConfigError) as caught:
        EnergyTable.from_mapping(values)
    assert str(caught.value) == "an energy table: unit must be given, got no value"


def test_a_table_in_an_unknown_unit() -> None:
    values = TABLES["eyeriss"].model_dump(mode="json") | {"unit": "J/s"}
    with pytest.raises(ConfigError, match=r"^an energy table: unit must be String .*, got 'J/s'$"):
        EnergyTable.from_mapping(values)


def test_sizes_of_a_table_rise() -> None:
    values = copy.deepcopy(TABLES["eyeriss"].model_dump(mode="json"))
    values["storage"].reverse()
    with pytest.raises(ConfigError) as caught:
        EnergyTable.from_mapping(values)
    assert str(caught.value) == (
        "an energy table: storage must be given by rising bytes, got [102400, 512]"
    )


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^an architecture must be one of eyeriss, .* got 'x'$"):
        load_architecture("x")
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as caught:
        load_architecture(str(missing))
    assert str(caught.value) == (
        f"an architecture must be a readable TOML file: {missing}: No such file or directory"
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_survives_toml(name: str) -> None:
    text = tomli_w.dumps(ARCHITECTURES[name].model_dump(mode="json", exclude_none=True))
    assert Architecture.from_toml(text) == ARCHITECTURES[name]


def test_a_users_files(tmp_path: Path) -> None:
    table = TABLES["eyeriss"].model_dump(mode="json") | {"name": "mine", "hop": 0.5}
    (tmp_path / "table.toml").write_text(tomli_w.dumps(table))
    text = TEXT.replace('"eyeriss"', f'"{tmp_path / "table.toml"}"')
    (tmp_path / "arch.toml").write_text(text)
    architecture = load_architecture(str(tmp_path / "arch.toml"))
    assert architecture.energy == load_table(str(tmp_path / "table.toml"))
    assert architecture.energy.hop == 0.5


def test_the_eyeriss_chip() -> None:
    chip = ARCHITECTURES["eyeriss"]
    assert chip.array.pes == 168
    words = [8 * spad.bytes // chip.word_bits.of(spad.holds[0]) for spad in chip.spads]
    assert words == [12, 224, 24]
    assert [buffer.bytes for buffer in chip.buffers] == [108 * 1024]
    assert chip.buffer_of(DataType.WEIGHT) is None


def test_energies_of_the_eyeriss_chip() -> None:
    chip = ARCHITECTURES["eyeriss"]
    assert chip.access(chip.buffers[0], DataType.IFMAP) == (6, 6)
    assert [chip.access(spad, spad.holds[0]) for spad in chip.spads] == [(1, 1)] * 3
    assert chip.energy.multiply(16, 16) == 1


def test_energy_lies_on_straight_lines_between_sizes() -> None:
    # Timeloop's pat.cpp: 1 + 5 * (KB - 0.5) / 99.5 for 16 bits.
    read, write = TABLES["eyeriss"].access(50 * 1024, 16)
    assert read == write == pytest.approx(1 + 5 * (50 - 0.5) / 99.5)
    assert TABLES["eyeriss"].access(1 << 30, 8) == (3, 3)


@pytest.mark.parametrize("pes", [256, 512, 1024])
def test_equal_area(pes: int) -> None:
    # ISCA 2016: buffers up to 2.6 times as large, up to 80 kB more storage in all at 256 PEs.
    row_stationary = ARCHITECTURES[f"isca16_rs_{pes}"]
    assert row_stationary.buffers[0].bytes == pes * 512
    assert row_stationary.spads[0].bytes == 512
    for dataflow in ("ws", "osa", "osb", "osc", "nlr"):
        other = ARCHITECTURES[f"isca16_{dataflow}_{pes}"]
        assert other.array.pes == pes
        assert 2.5 < other.buffers[0].bytes / row_stationary.buffers[0].bytes <= 2.6
        stored = other.buffers[0].bytes + pes * sum(spad.bytes for spad in other.spads)
        assert stored - pes * 1024 <= 80 * 1024 * pes / 256


@pytest.mark.parametrize("name", PRESETS)
def test_generated_machines_are_derived(name: str) -> None:
    config = PRESETS[name]
    architecture = ARCHITECTURES[name]
    assert architecture == from_config(config)
    assert (architecture.array.rows, architecture.array.cols) == (config.rows, config.cols)
    assert sum(buffer.bytes for buffer in architecture.buffers) == (
        config.activation_buffer_bytes
        + config.weight_buffer_bytes
        + config.accumulator_buffer_bytes
    )
    assert architecture.word_bits.psum == config.accumulator_bits
