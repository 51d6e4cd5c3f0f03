"""The machine: one frozen, validated description that RTL, compiler and simulators all read."""

import difflib
import hashlib
import json
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arch.errors import ConfigError


class Dataflow(StrEnum):
    """What stays in the PEs while the rest streams past."""

    WEIGHT_STATIONARY = "weight_stationary"


class Requantiser(StrEnum):
    """How an accumulator becomes an output element."""

    FLOAT32 = "float32"


TABLE_ENTRIES = 256
"""Entries of a table: an output for each 8-bit input, or a segment for each top byte of a 16-bit
one."""

TABLES = 2
"""Tables on chip: one can be loaded while the other is in use."""


def _accumulator_bits(activation_bits: int) -> Literal[32, 48]:
    return 32 if activation_bits == 8 else 48


def _sum_bits(fields: dict[str, Any]) -> Literal[32, 48]:
    """The default of ``accumulator_bits``, from the fields before it."""
    return _accumulator_bits(fields.get("activation_bits", 8))


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def ceil_power_of_two(value: int) -> int:
    """The smallest power of two that is at least ``value``."""
    return 1 << (value - 1).bit_length()


def ceil_div(value: int, divisor: int) -> int:
    """``value / divisor``, rounded up."""
    return -(-value // divisor)


_Size = Annotated[int, Field(ge=64, le=1 << 20)]


class AcceleratorConfig(BaseModel):
    """Every parameter of one accelerator. Sizes are in bytes, times in clock cycles.

    Widths, counts and address ranges that follow from these are the properties below, and are
    computed nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Lower-case identifier."""

    dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY
    """What stays in the PEs while the rest streams past."""
    rows: Annotated[int, Field(ge=2, le=64)]
    """PE rows: elements of the reduction taken per cycle."""
    cols: Annotated[int, Field(ge=2, le=64)]
    """PE columns: output channels computed side by side."""

    activation_bits: Literal[8, 16] = 8
    """Width of an activation, signed or unsigned."""
    weight_bits: Literal[8, 16] = 8
    """Width of a weight, signed; at most ``activation_bits``."""
    accumulator_bits: Literal[32, 48] = Field(default_factory=_sum_bits)
    """Width of a sum, signed: 32 for 8-bit activations, 48 for 16-bit ones."""

    activation_buffer_bytes: _Size
    """Input and output tiles of feature maps; a power of two."""
    activation_banks: Annotated[int, Field(ge=2, le=16)] = 4
    """Banks of the activation buffer; each can be read by one unit and written by one per cycle."""
    weight_buffer_bytes: _Size
    """Tiles of ``rows`` x ``cols`` weights; a power of two, at least two tiles."""
    accumulator_buffer_bytes: _Size
    """Both halves of the double-buffered accumulators."""
    parameter_buffer_bytes: _Size
    """Biases and multipliers of the output channels, 8 bytes each (12 for 16-bit activations)."""

    requantiser: Requantiser = Requantiser.FLOAT32
    """How an accumulator becomes an output element: an exact float32 product."""
    requantiser_lanes: Annotated[int, Field(ge=1, le=64)]
    """Output channels requantised per cycle; divides ``cols``."""
    depthwise_kernel: Annotated[int, Field(ge=0, le=7)] = 0
    """Multipliers that the post-processor has for each column, for depthwise convolutions with
    kernels of up to so many rows and columns; 0: none, the array's diagonal computes them."""

    bus_bits: Annotated[int, Field(ge=32, le=512)]
    """Width of the AXI4 memory bus."""
    burst_beats: Annotated[int, Field(ge=1, le=256)] = 64
    """Longest AXI4 burst."""
    outstanding_bursts: Annotated[int, Field(ge=2, le=64)] = 16
    """Read bursts, and separately write bursts, in flight."""
    command_queue_depth: Annotated[int, Field(ge=2, le=64)] = 8
    """Commands waiting at each engine."""

    memory_latency: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Simulated memory: cycles from an address to its first beat, or from a burst's last written
    beat to its response."""
    memory_bytes_per_cycle: Annotated[int, Field(ge=1, le=64)]
    """Simulated memory: bandwidth of each direction; divides the bus's bytes per beat."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in (
            "activation_buffer_bytes",
            "activation_banks",
            "weight_buffer_bytes",
            "accumulator_buffer_bytes",
            "parameter_buffer_bytes",
            "bus_bits",
            "burst_beats",
            "outstanding_bursts",
            "command_queue_depth",
        ):
            _require(_power_of_two(getattr(self, field)), field, "must be a power of two", self)
        _require(
            self.weight_bits <= self.activation_bits,
            "weight_bits",
            f"must be at most activation_bits = {self.activation_bits}",
            self,
        )
        _require(
            self.accumulator_bits == _accumulator_bits(self.activation_bits),
            "accumulator_bits",
            f"must be {_accumulator_bits(self.activation_bits)} for {self.activation_bits}-bit "
            "activations",
            self,
        )
        _require(
            self.cols % self.requantiser_lanes == 0,
            "requantiser_lanes",
            f"must divide cols = {self.cols}",
            self,
        )
        _require(self.depthwise_kernel != 1, "depthwise_kernel", "must be 0 or 2 to 7", self)
        _require(
            self.bus_bytes % self.memory_bytes_per_cycle == 0,
            "memory_bytes_per_cycle",
            f"must divide the bus's {self.bus_bytes} bytes per beat",
            self,
        )
        _require(
            self.accumulator_entries >= 4,
            "accumulator_buffer_bytes",
            f"must hold at least 4 entries of {self.accumulator_entry_bytes} bytes",
            self,
        )
        _require(
            self.activation_words >= 4,
            "activation_buffer_bytes",
            f"must give each of {self.activation_banks} banks at least 4 words of "
            f"{self.activation_lanes * self.activation_bytes} bytes",
            self,
        )
        _require(
            self.weight_buffer_bytes
            >= 2 * max(self.weight_tile_bytes, self.weight_lanes * self.weight_bytes * 2),
            "weight_buffer_bytes",
            f"must hold at least two tiles of {self.rows} x {self.cols} weights",
            self,
        )
        _require(
            self.parameter_words >= 2 * self.parameter_block_words,
            "parameter_buffer_bytes",
            f"must hold at least two blocks of {self.parameter_block_words * self.bus_bytes} bytes",
            self,
        )
        return self

    # Memory bus.

    @property
    def bus_bytes(self) -> int:
        """Bytes per beat of the memory bus."""
        return self.bus_bits // 8

    @property
    def beat_interval(self) -> int:
        """Cycles between beats of the simulated memory."""
        return self.bus_bytes // self.memory_bytes_per_cycle

    # Activation buffer: `activation_banks` banks, each of `activation_words` words of
    # `activation_lanes` elements. Byte address = {bank, word, lane, byte}.

    @property
    def activation_bytes(self) -> int:
        """Bytes of an activation."""
        return self.activation_bits // 8

    @property
    def activation_lanes(self) -> int:
        """Elements in a word of the activation buffer: the widest vector read or written there."""
        beat = self.bus_bytes // self.activation_bytes
        return ceil_power_of_two(max(self.rows, self.cols, beat))

    @property
    def activation_words(self) -> int:
        """Words in each bank of the activation buffer."""
        return self.activation_bank_bytes // (self.activation_lanes * self.activation_bytes)

    @property
    def activation_bank_bytes(self) -> int:
        """Bytes in each bank of the activation buffer."""
        return self.activation_buffer_bytes // self.activation_banks

    @property
    def activation_address_bits(self) -> int:
        """Width of a byte address into the activation buffer."""
        return self.activation_buffer_bytes.bit_length() - 1

    # Weight buffer: one bank of `weight_words` words of `weight_lanes` weights.

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight."""
        return self.weight_bits // 8

    @property
    def weight_lanes(self) -> int:
        """Weights in a word of the weight buffer."""
        return ceil_power_of_two(max(self.cols, self.bus_bytes // self.weight_bytes))

    @property
    def weight_words(self) -> int:
        """Words in the weight buffer."""
        return self.weight_buffer_bytes // (self.weight_lanes * self.weight_bytes)

    @property
    def weight_address_bits(self) -> int:
        """Width of a byte address into the weight buffer."""
        return self.weight_buffer_bytes.bit_length() - 1

    @property
    def weight_tile_bytes(self) -> int:
        """Bytes of the weights that fill the array once."""
        return self.rows * self.cols * self.weight_bytes

    # Accumulators: entries of `cols` accumulators, the upper half of the addresses the second half.

    @property
    def accumulator_entry_bytes(self) -> int:
        """Bytes of one entry: an accumulator for each column (storage rounds up to a power of
        two)."""
        return ceil_power_of_two(self.cols * self.accumulator_bits // 8)

    @property
    def accumulator_entries(self) -> int:
        """Entries of both halves together."""
        return self.accumulator_buffer_bytes // self.accumulator_entry_bytes

    @property
    def accumulator_half_entries(self) -> int:
        """Entries of one half: output pixels of one tile."""
        return self.accumulator_entries // 2

    @property
    def accumulator_address_bits(self) -> int:
        """Width of an entry's address; its top bit names the half."""
        return self.accumulator_entries.bit_length() - 1

    # Parameter buffer: words of one bus beat.

    @property
    def parameter_words(self) -> int:
        """Words (bus beats) in the parameter buffer."""
        return self.parameter_buffer_bytes // self.bus_bytes

    @property
    def parameter_address_bits(self) -> int:
        """Width of a word address into the parameter buffer."""
        return self.parameter_words.bit_length() - 1

    @property
    def bias_bytes(self) -> int:
        """Bytes of a bias in memory: int32, or int64 of which ``accumulator_bits`` count."""
        return 4 if self.accumulator_bits == 32 else 8

    @property
    def parameter_column_bytes(self) -> int:
        """Bytes of a column's parameters: bias, then multiplier (float32)."""
        return self.bias_bytes + 4

    @property
    def parameter_block_words(self) -> int:
        """Words that hold bias and multiplier for all columns, in order."""
        return ceil_div(self.cols * self.parameter_column_bytes, self.bus_bytes)

    @property
    def operand_number_bytes(self) -> int:
        """Bytes of each zero point and limit among a second operand's constants, signed."""
        return 2 * self.activation_bytes

    @property
    def operand_block_bytes(self) -> int:
        """Bytes of a second operand's constants: two words of multipliers, four such numbers."""
        return 8 + 4 * self.operand_number_bytes

    @property
    def operand_block_words(self) -> int:
        """Words that hold the constants of a second operand."""
        return ceil_div(self.operand_block_bytes, self.bus_bytes)

    @property
    def tap_words(self) -> int:
        """Words that hold one row of a depthwise kernel: ``depthwise_kernel`` weights for each
        column."""
        return ceil_div(self.depthwise_kernel * self.cols * self.weight_bytes, self.bus_bytes)

    def product_words(self, rows: int) -> int:
        """Words that hold what products with ``rows`` kernel rows need: what padding reads as, then
        the rows."""
        return 1 + rows * self.tap_words

    # Post-processor.

    @property
    def value_bits(self) -> int:
        """Signed width of a value between requantiser and table: any activation, of either sign."""
        return self.activation_bits + 1

    @property
    def table_entry_bytes(self) -> int:
        """Bytes of a table's entry: an 8-bit output, or a segment's two ends of 16 bits."""
        return 1 if self.activation_bits == 8 else 4

    @property
    def table_bytes(self) -> int:
        """Bytes of a table."""
        return TABLE_ENTRIES * self.table_entry_bytes

    @property
    def tap_rows(self) -> int:
        """Rows of a depthwise kernel that the post-processor has room for."""
        return ceil_power_of_two(self.depthwise_kernel) if self.depthwise_kernel else 0

    @property
    def product_bits(self) -> int:
        """Signed width of the product of an activation and a weight."""
        return self.activation_bits + self.weight_bits

    @property
    def table_address_bits(self) -> int:
        """Width of a byte address into all tables, {table, byte}."""
        return (TABLES * self.table_bytes).bit_length() - 1

    # Array.

    @property
    def psum_bits(self) -> int:
        """Signed width of a column's sum of ``rows`` products of two signed operands."""
        return self.product_bits + (self.rows - 1).bit_length()

    # Identity.

    @property
    def module_name(self) -> str:
        """Name of the generated Verilog module; the prefix keeps it apart from Verilog's words."""
        return f"tilewright_{self.name}"

    @property
    def fingerprint(self) -> int:
        """32 bits of the SHA-256 over all fields, readable in a register of the machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    # Text form.

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> "AcceleratorConfig":
        """Validate ``values``; raises ``ConfigError`` naming field, rule and value."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @classmethod
    def from_toml(cls, text: str) -> "AcceleratorConfig":
        """Parse a TOML text; raises ``ConfigError``."""
        try:
            return cls.from_mapping(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"a configuration must be valid TOML: {error}") from None
        except RecursionError:
            raise ConfigError("a configuration must be flat TOML, got deep nesting") from None

    @classmethod
    def from_file(cls, path: Path) -> "AcceleratorConfig":
        """Read a TOML file; raises ``ConfigError``."""
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"a configuration must be a preset's name or a readable TOML file: "
                f"{path}: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"a configuration must be UTF-8 text: {path} is not") from None

    def to_toml(self) -> str:
        """The TOML text that ``from_toml`` reads back to an equal configuration."""
        return tomli_w.dumps(self.model_dump(mode="json"))


def _require(holds: bool, field: str, rule: str, config: AcceleratorConfig) -> None:
    if not holds:
        raise ValueError(f"{field} {rule}, got {getattr(config, field)!r}")


def _explain(error: ValidationError) -> str:
    """One line for the first broken rule: field, rule, value, and the nearest valid key."""
    # An unknown field before a missing one: it may be that one, misspelt.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "missing":
        return f"{field} must be given, got no value"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, AcceleratorConfig.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "see docs/configuration.md for the fields"
        return f"{field} is not a field of a configuration, got {first['input']!r}; {hint}"
    rule = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{field} must be {rule}, got {first['input']!r}"
