"""Where a layer that is a program by itself has its data in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from arch.config import ceil_div
from sim.analytical.machine.tiling import Tiling

_ALIGNMENT = 64
"""Every object begins at a multiple of this."""

MapSizes = Mapping[tuple[str, ...], int]
"""Bytes of the whole maps that are in memory, by what lies in them: ``input``, ``operand``,
``output``."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """First bytes of a layer's data in memory."""

    parameters: int = 0
    weights: int = 0
    table: int = 0
    input: int = 0
    operand: int = 0
    output: int = 0


def addresses_alone(tiling: Tiling, maps: MapSizes) -> Addresses:
    """The addresses of a layer that is compiled alone: constants, then the ``maps``, in their
    order."""
    config, layer = tiling.config, tiling.layer
    sizes = {
        ("parameters",): tiling.parameter_blocks * tiling.constant_words * config.bus_bytes,
        ("weights",): sum(group.tiles for group in tiling.groups) * config.weight_tile_bytes,
        ("table",): config.table_bytes if layer.table else 0,
        **maps,
    }
    offsets = {
        "input": layer.input_home.offset,
        "operand": layer.operand_home.offset,
        "output": layer.output_home.offset,
    }
    found, end = {}, 0
    for names, size in sizes.items():
        for name in names:
            found[name] = end + offsets.get(name, 0)
        end += ceil_div(size, _ALIGNMENT) * _ALIGNMENT
    return Addresses(**found)
