"""How a layer's weights are cut into the boxes that take turns in the weight buffer."""

from math import prod

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from compiler.geometry import Reduction

_WEIGHT_SLOTS = 4
"""Boxes of weights that fit the weight buffer at once: with two, a load would have to wait for the
end of an execute command, and the array for the load's latency; more and smaller ones would cost
more commands."""


def split_weights(
    reduction: Reduction, tiles: int, config: AcceleratorConfig
) -> tuple[int, int, int]:
    """Boxes of the reduction of nearly equal size, of which ``_WEIGHT_SLOTS`` fit the weight
    buffer; all of it in one box if the ``tiles`` tiles of the whole layer fit."""
    limit = config.weight_buffer_bytes // (_WEIGHT_SLOTS * config.weight_tile_bytes)
    if tiles * config.weight_tile_bytes <= config.weight_buffer_bytes:
        limit = max(limit, reduction.tiles)
    limit = min(limit, LOOP_LIMIT)
    row = reduction.kx * reduction.kc
    if row <= limit:
        return _even(reduction.ky, limit // row), reduction.kx, reduction.kc
    if reduction.kc <= limit:
        return 1, _even(reduction.kx, limit // reduction.kc), reduction.kc
    return 1, 1, _even(reduction.kc, limit)


def count_boxes(reduction: Reduction, split: tuple[int, int, int]) -> int:
    """How many boxes ``split`` cuts ``reduction`` into."""
    loops = reduction.ky, reduction.kx, reduction.kc
    return prod(ceil_div(count, size) for count, size in zip(loops, split, strict=True))


def _even(total: int, limit: int) -> int:
    """At most ``limit``: the size of nearly equal pieces of ``total``, few and with little rest."""
    fewest = ceil_div(total, limit)
    sizes = [ceil_div(total, pieces) for pieces in range(fewest, 2 * fewest)]
    return min(sizes, key=lambda size: ceil_div(total, size) * size)
