"""An accelerator as architects describe it: storages, an array, word widths, energies.

Wider than ``AcceleratorConfig``: it also describes machines that the RTL does not build. Three
levels: external memory; buffers that all PEs share; scratchpads in each PE. A data type that a
level does not hold passes it by.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from arch.energy import EnergyTable, load_table
from arch.errors import ConfigError
from arch.sparsity import Densities, RunLength, Tensor
from arch.toml_model import TomlModel


class DataType(StrEnum):
    """What is stored and moved."""

    IFMAP = "ifmap"
    WEIGHT = "weight"
    PSUM = "psum"


class Storage(TomlModel):
    """One buffer, or the scratchpad of each PE."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Lower-case identifier."""
    bytes: Annotated[int, Field(ge=1)]
    """Size; of a scratchpad: in each PE."""
    holds: Annotated[tuple[DataType, ...], Field(min_length=1)]
    """Data types that share it."""
    bytes_per_cycle: Annotated[float | None, Field(gt=0)] = None
    """Most that it reads and writes together; without it, no limit."""
    read: Annotated[float | None, Field(ge=0)] = None
    """Energy of reading a word, in the table's unit; without it, by the table from the size."""
    write: Annotated[float | None, Field(ge=0)] = None
    """Energy of writing a word; likewise."""


class WordBits(TomlModel):
    """Width of a word of each data type; finished outputs are as wide as inputs."""

    ifmap: Annotated[int, Field(ge=1, le=64)] = 16
    """Inputs, and finished outputs."""
    weight: Annotated[int, Field(ge=1, le=64)] = 16
    """Weights."""
    psum: Annotated[int, Field(ge=1, le=64)] = 16
    """Partial sums."""

    def of(self, data: DataType) -> int:
        """Width of a word of ``data``."""
        width: int = getattr(self, data.value)
        return width


class Array(TomlModel):
    """The PEs: ``rows`` x ``cols``, one multiply-accumulate each per cycle."""

    rows: Annotated[int, Field(ge=1, le=4096)]
    """PE rows."""
    cols: Annotated[int, Field(ge=1, le=4096)]
    """PE columns."""

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return self.rows * self.cols


class Architecture(TomlModel):
    """An accelerator. Sizes are in bytes, bandwidths in bytes per cycle."""

    KIND: ClassVar[str] = "an architecture"

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Lower-case identifier."""
    clock_mhz: Annotated[float, Field(gt=0)]
    """Clock of the array."""
    memory_bytes_per_cycle: Annotated[float, Field(gt=0)]
    """Bandwidth of external memory, reads and writes together."""
    array: Array
    """The PEs."""
    word_bits: WordBits = WordBits()
    """Width of a word of each data type."""
    buffers: tuple[Storage, ...] = ()
    """What all PEs share; each data type is in at most one."""
    spads: tuple[Storage, ...] = ()
    """What each PE has; each data type is in at most one."""
    forwards: bool = False
    """Count as equations (3) and (4) of Eyeriss, ISCA 2016, do: what a storage passes on is neither
    written to it nor read from it. Without it, every access counts."""
    run_length: RunLength | None = None
    """A code for what passes between memory and chip. It is used where densities are given."""
    zero_gating: tuple[DataType, ...] = ()
    """Where the ifmap word of a multiply-accumulate is zero, it is left out, and so are its
    accesses to scratchpads that hold these: weight, psum. It takes its cycle all the same."""
    energy: EnergyTable
    """A table, or the name or file of one."""

    @field_validator("energy", mode="before")
    @classmethod
    def _named_table(cls, value: object) -> object:
        try:
            return load_table(value) if isinstance(value, str) else value
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [storage.name for storage in (*self.buffers, *self.spads)]
        _require_once(names, "the name of a storage")
        for level, storages in (("buffers", self.buffers), ("spads", self.spads)):
            held = [data.value for storage in storages for data in storage.holds]
            _require_once(held, f"a data type held by {level}")
        _require_once([data.value for data in self.zero_gating], "a data type in zero_gating")
        if DataType.IFMAP in self.zero_gating:
            raise ValueError("zero_gating must be of weight and psum, got ifmap, which says when")
        self._check_code()
        return self

    def _check_code(self) -> None:
        code = self.run_length
        if code is None:
            return
        for tensor in code.codes:
            bits = self.tensor_bits(tensor)
            if not code.pairs(bits):
                raise ValueError(
                    f"run_length: packed_bits must hold a run, a word of {bits} bits of {tensor} "
                    f"and one bit more, got {code.packed_bits}"
                )

    def tensor_bits(self, tensor: Tensor) -> int:
        """Width of a word of ``tensor`` in memory."""
        return self.word_bits.weight if tensor is Tensor.WEIGHT else self.word_bits.ifmap

    def code_ratio(self, tensor: Tensor, densities: Densities) -> float | None:
        """Size of ``tensor`` if it is coded, over its own; None if it has no code."""
        if self.run_length is None or tensor not in self.run_length.codes:
            return None
        return self.run_length.ratio(densities.of(tensor), self.tensor_bits(tensor))

    def bits_moved(self, tensor: Tensor, densities: Densities) -> float:
        """Bits that a word of ``tensor`` takes between memory and chip: coded, if that is less."""
        ratio = self.code_ratio(tensor, densities)
        return self.tensor_bits(tensor) * min(1.0, 1.0 if ratio is None else ratio)

    def buffer_of(self, data: DataType) -> Storage | None:
        """The buffer that holds ``data``; None if it passes the buffers by."""
        return _holder(self.buffers, data)

    def spad_of(self, data: DataType) -> Storage | None:
        """The scratchpad that holds ``data``; None if PEs keep none of it."""
        return _holder(self.spads, data)

    def access(self, storage: Storage, data: DataType) -> tuple[float, float]:
        """Energy of a (read, write) of a word of ``data`` in ``storage``."""
        read, write = self.energy.access(storage.bytes, self.word_bits.of(data))
        return (
            read if storage.read is None else storage.read,
            write if storage.write is None else storage.write,
        )


def _holder(storages: Sequence[Storage], data: DataType) -> Storage | None:
    return next((storage for storage in storages if data in storage.holds), None)


def _require_once(names: Sequence[str], what: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{what} must be given once, got {name} {times} times")
