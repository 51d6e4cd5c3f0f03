"""The machine description: round trips, derived sizes, and every way to get it wrong."""

import pytest
from pydantic import ValidationError

from arch.config import AcceleratorConfig
from arch.errors import ConfigError
from arch.presets import PRESETS, load_config

TINY = PRESETS["tiny"].model_dump(mode="json")


def error_of(**changes: object) -> str:
    """The message for the preset ``tiny`` with ``changes``; None removes a field."""
    values = {key: value for key, value in (TINY | changes).items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        AcceleratorConfig.from_mapping(values)
    return str(caught.value)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_toml_round_trip(config: AcceleratorConfig) -> None:
    assert AcceleratorConfig.from_toml(config.to_toml()) == config


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PRESETS["tiny"].rows = 8


def test_published_sizes_of_gemmini16() -> None:
    config = PRESETS["gemmini16"]
    assert (config.rows, config.cols, config.bus_bits) == (16, 16, 128)
    assert config.activation_buffer_bytes + config.weight_buffer_bytes == 256 * 1024
    assert config.accumulator_buffer_bytes == 64 * 1024


def test_derived_sizes_of_tiny() -> None:
    config = PRESETS["tiny"]
    assert config.activation_lanes == 4
    assert config.activation_words * config.activation_lanes * config.activation_banks == 4096
    assert config.accumulator_entries == 1024 // (4 * 4)
    assert config.psum_bits == 8 + 8 + 2
    assert config.parameter_block_words == 8
    assert config.beat_interval == 1


def test_derived_sizes_of_small16() -> None:
    config = PRESETS["small16"]
    assert (config.activation_bytes, config.weight_bytes) == (2, 2)
    assert config.accumulator_bits == 48
    assert (config.activation_lanes, config.weight_lanes) == (8, 8)
    words = config.activation_words * config.activation_lanes * config.activation_banks
    assert words * 2 == config.activation_buffer_bytes
    assert config.weight_tile_bytes == 8 * 8 * 2
    # Eight sums of 6 bytes take the room of 8 each.
    assert config.accumulator_entries == 32 * 1024 // 64
    assert config.psum_bits == 16 + 16 + 3
    assert config.parameter_block_words == 8 * 12 // 8
    assert config.operand_block_bytes == 24
    assert config.table_bytes == 1024


def test_the_accumulator_follows_the_activations() -> None:
    values = {key: value for key, value in TINY.items() if key != "accumulator_bits"}
    for bits, sums in ((8, 32), (16, 48)):
        config = AcceleratorConfig.from_mapping(values | {"activation_bits": bits})
        assert config.accumulator_bits == sums


def test_fingerprint_tells_configurations_apart() -> None:
    assert len({config.fingerprint for config in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 100}, "rows must be less than or equal to 64, got 100"),
        (
            {"rows": "many"},
            "rows must be a valid integer, unable to parse string as an integer, got 'many'",
        ),
        ({"rows": None}, "rows must be given, got no value"),
        ({"rowz": 4}, "rowz is not a field of a configuration, got 4; did you mean rows?"),
        (
            {"rows": None, "rowz": 4},
            "rowz is not a field of a configuration, got 4; did you mean rows?",
        ),
        (
            {"xyzzy": 4},
            "xyzzy is not a field of a configuration, got 4; see docs/configuration.md for the "
            "fields",
        ),
        ({"activation_bits": 12}, "activation_bits must be 8 or 16, got 12"),
        ({"weight_bits": 16}, "weight_bits must be at most activation_bits = 8, got 16"),
        (
            {"activation_bits": 16},
            "accumulator_bits must be 48 for 16-bit activations, got 32",
        ),
        (
            {"accumulator_bits": 48},
            "accumulator_bits must be 32 for 8-bit activations, got 48",
        ),
        ({"dataflow": "magic"}, "dataflow must be 'weight_stationary', got 'magic'"),
        ({"bus_bits": 48}, "bus_bits must be a power of two, got 48"),
        ({"activation_banks": 3}, "activation_banks must be a power of two, got 3"),
        ({"requantiser_lanes": 3}, "requantiser_lanes must divide cols = 4, got 3"),
        (
            {"memory_bytes_per_cycle": 3},
            "memory_bytes_per_cycle must divide the bus's 4 bytes per beat, got 3",
        ),
        (
            {"accumulator_buffer_bytes": 64, "cols": 16, "requantiser_lanes": 1},
            "accumulator_buffer_bytes must hold at least 4 entries of 64 bytes, got 64",
        ),
        (
            {"weight_buffer_bytes": 64, "rows": 16},
            "weight_buffer_bytes must hold at least two tiles of 16 x 4 weights, got 64",
        ),
        (
            {"parameter_buffer_bytes": 64, "cols": 16, "requantiser_lanes": 1},
            "parameter_buffer_bytes must hold at least two blocks of 128 bytes, got 64",
        ),
    ],
)
def test_errors_name_field_rule_and_value(changes: dict[str, object], message: str) -> None:
    assert error_of(**changes) == message


def test_text_that_is_not_toml() -> None:
    with pytest.raises(ConfigError, match=r"^a configuration must be valid TOML: "):
        AcceleratorConfig.from_toml("rows = = 3")


def test_deep_nesting() -> None:
    with pytest.raises(ConfigError) as caught:
        AcceleratorConfig.from_toml("rows = " + "[" * 100_000)
    assert str(caught.value) == "a configuration must be flat TOML, got deep nesting"


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("huge")
    assert str(caught.value) == (
        "a configuration must be a preset (tiny, small, small16, ecp5_85f, gemmini16) or a .toml "
        "file, got 'huge'"
    )


def test_missing_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("nowhere.toml")
    assert str(caught.value) == (
        "a configuration must be a preset's name or a readable TOML file: nowhere.toml: "
        "No such file or directory"
    )
