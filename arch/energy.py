"""Energy tables: what an access costs, as data with a unit and a source.

The files in ``arch/energy_tables/`` are the built-in ones.
"""

from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from arch.errors import ConfigError
from arch.toml_model import TomlModel

_FOLDER = Path(__file__).parent / "energy_tables"

Energy = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StoragePoint(TomlModel):
    """A storage of ``bytes`` bytes: energy of a word read and of a word written."""

    bytes: Annotated[int, Field(ge=1)]
    """Size of the storage."""
    read: Energy
    """Energy of reading one word."""
    write: Energy
    """Energy of writing one word."""


class EnergyTable(TomlModel):
    """Energies in ``unit`` for words of ``word_bits`` bits.

    Accesses, hops and memory cost in proportion to the width of a word, products in proportion to
    the widths of both operands (as in Timeloop's pat.cpp). Between two sizes of ``storage`` energy
    is a straight line over the size; below the first and above the last it is constant.
    """

    KIND: ClassVar[str] = "an energy table"

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Lower-case identifier."""
    unit: Annotated[str, Field(pattern=r"^(MAC|[fpn]J)$")]
    """fJ, pJ, nJ, or MAC: the energy of one multiply-accumulate of the table's words."""
    source: Annotated[str, Field(min_length=1)]
    """Where the numbers stand."""
    word_bits: Annotated[int, Field(ge=1, le=64)]
    """Width of the words that the energies are for."""
    mac: Energy
    """A multiply-accumulate."""
    hop: Energy
    """A word delivered to a PE, or passed from PE to PE."""
    memory: Energy
    """A word read from or written to external memory."""
    storage: Annotated[tuple[StoragePoint, ...], Field(min_length=1)]
    """Storages by rising size."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        sizes = [point.bytes for point in self.storage]
        if any(first >= second for first, second in pairwise(sizes)):
            raise ValueError(f"storage must be given by rising bytes, got {sizes}")
        return self

    def access(self, size: int, bits: int) -> tuple[float, float]:
        """Energy of a (read, write) of a word of ``bits`` bits in a storage of ``size`` bytes."""
        points, scale = self.storage, bits / self.word_bits
        above = bisect_right([point.bytes for point in points], size)
        if above in (0, len(points)):
            end = points[max(above - 1, 0)]
            return end.read * scale, end.write * scale
        low, high = points[above - 1], points[above]
        part = (size - low.bytes) / (high.bytes - low.bytes)
        read = low.read + part * (high.read - low.read)
        write = low.write + part * (high.write - low.write)
        return read * scale, write * scale

    def multiply(self, bits: int, other_bits: int) -> float:
        """Energy of a multiply-accumulate of operands of these widths."""
        return self.mac * (bits / self.word_bits) * (other_bits / self.word_bits)

    def scaled(self, energy: float, bits: int) -> float:
        """``energy`` of a table's word for a word of ``bits`` bits."""
        return energy * bits / self.word_bits


TABLES: dict[str, EnergyTable] = {
    table.name: table for table in map(EnergyTable.from_file, sorted(_FOLDER.glob("*.toml")))
}
"""The built-in tables by name."""


def load_table(name_or_path: str) -> EnergyTable:
    """A built-in table by its name, else a TOML file by its path; raises ``ConfigError``."""
    if name_or_path in TABLES:
        return TABLES[name_or_path]
    if not name_or_path.endswith(".toml"):
        raise ConfigError(
            f"an energy table must be one of {', '.join(TABLES)} or a .toml file, "
            f"got {name_or_path!r}"
        )
    return EnergyTable.from_file(Path(name_or_path))
