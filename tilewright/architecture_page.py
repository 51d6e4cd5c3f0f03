"""The page of architectures and energy tables, written from their schemas and the built-in ones."""

from collections.abc import Iterator

from pydantic import BaseModel

from arch.architecture import Architecture, Array, Storage, WordBits
from arch.architectures import ARCHITECTURES
from arch.energy import TABLES, EnergyTable, StoragePoint
from arch.sparsity import Densities, DensityFile, RunLength

_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", Architecture),
    ("[array]", Array),
    ("[word_bits]", WordBits),
    ("[[buffers]] and [[spads]]", Storage),
    ("[run_length]", RunLength),
)
_ENERGY: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", EnergyTable),
    ("[[storage]]", StoragePoint),
)
_DENSITIES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", DensityFile),
    ("[layers.NAME]", Densities),
)


def architecture_page() -> str:
    """Markdown of every key and of the built-in architectures and tables."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Architectures, energy tables and densities"
    yield ""
    yield (
        "What `tilewright estimate` takes as `--arch` and `--energy`: a built-in name, or a TOML "
        "file with these keys; and as `--densities`: such a file, which `tilewright densities` "
        "writes. What they mean together: [analytical.md](analytical.md)."
    )
    yield ""
    yield "## Keys of an architecture"
    yield from _keys(_TABLES)
    yield ""
    yield "## Keys of an energy table"
    yield from _keys(_ENERGY)
    yield ""
    yield "## Keys of a density file"
    yield from _keys(_DENSITIES)
    yield ""
    yield "## Built-in architectures"
    yield ""
    yield "| name | PEs | word bits | buffers | scratchpads of a PE | memory | energy |"
    yield "|---|---|---|---|---|---|---|"
    for each in ARCHITECTURES.values():
        widths = each.word_bits
        yield (
            f"| `{each.name}` | {each.array.rows} x {each.array.cols} | "
            f"{widths.ifmap}, {widths.weight}, {widths.psum} | {_storages(each.buffers)} | "
            f"{_storages(each.spads)} | {each.memory_bytes_per_cycle:g} bytes per cycle | "
            f"`{each.energy.name}` |"
        )
    yield ""
    coded = [f"`{each.name}`" for each in ARCHITECTURES.values() if each.run_length]
    gated = [f"`{each.name}`" for each in ARCHITECTURES.values() if each.zero_gating]
    yield (
        "Word bits are of ifmaps, weights and sums. With run-length coding: "
        f"{', '.join(coded)}; with zero gating: {', '.join(gated)}."
    )
    yield ""
    yield "## Built-in energy tables"
    yield ""
    yield "| name | unit | word bits | MAC | hop | memory | storage: bytes, read, write | source |"
    yield "|---|---|---|---|---|---|---|---|"
    for table in TABLES.values():
        points = "; ".join(f"{p.bytes:,}, {p.read:g}, {p.write:g}" for p in table.storage)
        yield (
            f"| `{table.name}` | {table.unit} | {table.word_bits} | {table.mac:g} | "
            f"{table.hop:g} | {table.memory:g} | {points} | {table.source} |"
        )


def _keys(tables: tuple[tuple[str, type[BaseModel]], ...]) -> Iterator[str]:
    for heading, model in tables:
        yield ""
        if heading:
            yield f"`{heading}`:"
            yield ""
        for key, info in model.model_fields.items():
            default = "" if info.is_required() else " Optional."
            meaning = " ".join((info.description or "").split())
            yield f"- `{key}`: {meaning}{default}"


def _storages(storages: tuple[Storage, ...]) -> str:
    return ", ".join(
        f"{each.name} {each.bytes:,} bytes ({', '.join(each.holds)})" for each in storages
    )
