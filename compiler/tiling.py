"""Choosing a layer's mapping: every tiling that fits is priced, and the cheapest is taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from arch.errors import CompileError
from arch.layers import ConvShape, PoolShape
from arch.mapping import Mapping, Order, Slots
from arch.timing import step_cycles
from compiler.geometry import Reduction, halo_size, reductions

_COMMAND_CYCLES = 30
"""Rough start-up cost of a command, which keeps tiles from becoming needlessly small."""


@dataclass(frozen=True, kw_only=True)
class _Tile:
    height: int
    width: int
    channels: int
    order: Order


def map_conv(name: str, shape: ConvShape, config: AcceleratorConfig) -> Mapping:
    """The cheapest mapping of a convolution. Raises ``CompileError`` if none fits.

    Input channels are taken in as few blocks as fit.
    """
    channels = shape.ifmap.channels
    block = channels
    while (mapping := _map_blocks(shape, block, config)) is None:
        if block <= config.rows:
            extent = halo_size(shape.window, shape.ifmap, 1, 1)
            _refuse(name, extent[0] * extent[1], block, config)
        block = ceil_div(ceil_div(block, 2), config.rows) * config.rows
    return mapping


def _map_blocks(shape: ConvShape, block: int, config: AcceleratorConfig) -> Mapping | None:
    """The cheapest mapping with ``block`` input channels on chip at a time, if one fits."""
    blocks = reductions(shape, block, config.rows)
    split = _split(blocks[0], sum(each.tiles for each in blocks), shape, config)
    best: tuple[float, Mapping] | None = None
    for inputs, outputs in _slot_choices(config):
        for tile in _tiles(shape, config.accumulator_half_entries, config.cols):
            in_height, in_width = halo_size(shape.window, shape.ifmap, tile.height, tile.width)
            fits = (
                in_height * in_width * block <= inputs.banks * config.activation_bank_bytes
                and tile.height * tile.width * tile.channels
                <= outputs.banks * config.activation_bank_bytes
            )
            if fits:
                cost = _conv_cost(shape, blocks, tile, inputs, outputs, config)
                if best is None or cost < best[0]:
                    best = cost, _mapping(tile, block, split, inputs, outputs)
    return None if best is None else best[1]


def map_pool(name: str, shape: PoolShape, config: AcceleratorConfig) -> Mapping:
    """The cheapest mapping of a pooling. Raises ``CompileError`` if none fits."""
    best: tuple[float, Mapping] | None = None
    for inputs, outputs in _slot_choices(config):
        for tile in _tiles(shape, 1 << 12, config.cols):
            in_height, in_width = halo_size(shape.window, shape.ifmap, tile.height, tile.width)
            fits = (
                in_height * in_width * tile.channels <= inputs.banks * config.activation_bank_bytes
                and tile.height * tile.width * tile.channels
                <= outputs.banks * config.activation_bank_bytes
            )
            if fits:
                cost = _pool_cost(shape, tile, inputs, config)
                if best is None or cost < best[0]:
                    best = cost, _mapping(tile, tile.channels, (1, 1, 1), inputs, outputs)
    if best is None:
        extent = halo_size(shape.window, shape.ifmap, 1, 1)
        _refuse(name, extent[0] * extent[1], min(config.cols, shape.ifmap.channels), config)
    return best[1]


def _mapping(
    tile: _Tile, block: int, split: tuple[int, int, int], inputs: Slots, outputs: Slots
) -> Mapping:
    return Mapping(
        tile_height=tile.height,
        tile_width=tile.width,
        tile_channels=tile.channels,
        channel_block=block,
        order=tile.order,
        split=split,
        inputs=inputs,
        outputs=outputs,
    )


def _refuse(name: str, pixels: int, channels: int, config: AcceleratorConfig) -> NoReturn:
    need = pixels * channels
    have = (config.activation_banks - 1) * config.activation_bank_bytes
    raise CompileError(
        f"{name}: {channels} input channels of one output pixel must fit the activation buffer "
        f"beside one bank of outputs: they take {need} bytes, {have} are there, short by "
        f"{need - have}; raise activation_buffer_bytes"
    )


def _slot_choices(config: AcceleratorConfig) -> Iterator[tuple[Slots, Slots]]:
    """Ways to divide the banks among input and output slots, double-buffered or not."""
    banks = config.activation_banks
    for in_banks in range(1, banks):
        for in_count, out_count in ((2, 2), (2, 1), (1, 2), (1, 1)):
            if in_banks % in_count or (banks - in_banks) % out_count:
                continue
            yield (
                Slots(first=0, count=in_count, banks=in_banks // in_count),
                Slots(first=in_banks, count=out_count, banks=(banks - in_banks) // out_count),
            )


def _split(
    reduction: Reduction, tiles: int, shape: ConvShape, config: AcceleratorConfig
) -> tuple[int, int, int]:
    """The largest box of the reduction of which two fit the weight buffer; all of it if the
    weights of the whole layer fit, ``tiles`` for each group of columns."""
    limit = config.weight_buffer_bytes // (2 * config.weight_tile_bytes)
    whole = tiles * ceil_div(shape.out_channels, config.cols)
    if whole * config.weight_tile_bytes <= config.weight_buffer_bytes:
        limit = max(limit, reduction.tiles)
    limit = min(limit, LOOP_LIMIT)
    row = reduction.kx * reduction.kc
    if row <= limit:
        return min(reduction.ky, limit // row), reduction.kx, reduction.kc
    if reduction.kc <= limit:
        return 1, min(reduction.kx, limit // reduction.kc), reduction.kc
    return 1, 1, min(reduction.kc, limit)


def _tiles(shape: ConvShape | PoolShape, pixels: int, cols: int) -> Iterator[_Tile]:
    """Balanced tile sizes of at most ``pixels`` output pixels, with every order."""
    ofmap = shape.ofmap
    for width in _balanced(ofmap.width, min(ofmap.width, pixels)):
        for height in _balanced(ofmap.height, min(ofmap.height, pixels // width)):
            for groups in _balanced(ceil_div(ofmap.channels, cols), ofmap.channels):
                channels = min(groups * cols, ofmap.channels)
                # Without whole pixels, a store or load row by row needs the tile's full width.
                if channels < ofmap.channels and width < ofmap.width:
                    continue
                for order in Order:
                    yield _Tile(height=height, width=width, channels=channels, order=order)


def _balanced(total: int, limit: int) -> Iterator[int]:
    """Sizes that cut ``total`` into 1, 2, 3, ... nearly equal pieces, each at most ``limit``."""
    previous = 0
    pieces = 1
    while True:
        size = ceil_div(total, pieces)
        if size <= limit and size != previous:
            yield size
            previous = size
        if size == 1:
            return
        # Beyond 16 pieces, doubling keeps the list short.
        pieces = pieces + 1 if pieces < 16 else pieces * 2


def _conv_cost(
    shape: ConvShape,
    blocks: list[Reduction],
    tile: _Tile,
    inputs: Slots,
    outputs: Slots,
    config: AcceleratorConfig,
) -> float:
    """Rough cycles of the layer: the busiest of array, memory and post-processor."""
    ofmap, ifmap = shape.ofmap, shape.ifmap
    tiles = ceil_div(ofmap.height, tile.height) * ceil_div(ofmap.width, tile.width)
    columns = ceil_div(ofmap.channels, config.cols)
    groups = ceil_div(ofmap.channels, tile.channels)
    pixels = tile.height * tile.width

    weight_tiles = sum(each.tiles for each in blocks)

    execute = tiles * columns * weight_tiles * step_cycles(config, pixels)
    window_cycles = config.cols // config.requantiser_lanes
    post = columns * (ofmap.height * ofmap.width * window_cycles + tiles * _COMMAND_CYCLES)

    in_height, in_width = halo_size(shape.window, ifmap, tile.height, tile.width)
    in_bytes = tiles * in_height * in_width * ifmap.channels
    if len(blocks) > inputs.count:
        in_bytes *= columns
    group_weights = ceil_div(tile.channels, config.cols) * weight_tiles * config.weight_tile_bytes
    weights = columns * weight_tiles * config.weight_tile_bytes
    if tile.order is Order.PIXELS_OUTER:
        passes = 1 if weights <= config.weight_buffer_bytes else tiles
        weights *= passes
    else:
        weights *= 1 if group_weights <= config.weight_buffer_bytes else tiles
        in_bytes *= 1 if tiles <= inputs.count else groups
    load = (in_bytes + weights) / config.memory_bytes_per_cycle
    store = ofmap.elements / config.memory_bytes_per_cycle
    # Rows that are not contiguous in memory cost a burst each.
    if tile.width < ofmap.width:
        load += tiles * in_height * 4
        store += ofmap.height * ceil_div(ofmap.width, tile.width) * 4
    if groups > 1:
        store += ofmap.height * ofmap.width * groups * 4
    hidden = max(execute, load, store, post)
    exposed = 0.0
    if inputs.count == 1 and tiles > 1:
        exposed += load
    if outputs.count == 1 and tiles * groups > 1:
        exposed += store
    first = in_height * in_width * ifmap.channels / config.memory_bytes_per_cycle
    return hidden + exposed + first + tiles * groups * _COMMAND_CYCLES


def _pool_cost(shape: PoolShape, tile: _Tile, inputs: Slots, config: AcceleratorConfig) -> float:
    ofmap, ifmap = shape.ofmap, shape.ifmap
    tiles = ceil_div(ofmap.height, tile.height) * ceil_div(ofmap.width, tile.width)
    groups = ceil_div(ofmap.channels, tile.channels)
    in_height, in_width = halo_size(shape.window, ifmap, tile.height, tile.width)
    load = tiles * in_height * in_width * ifmap.channels / config.memory_bytes_per_cycle
    if groups > 1:
        load += tiles * groups * in_height * in_width * 4
    taps = shape.window.kernel[0] * shape.window.kernel[1]
    period = max(taps, config.cols // config.requantiser_lanes)
    post = ofmap.height * ofmap.width * ceil_div(ofmap.channels, config.cols) * period
    exposed = load if inputs.count == 1 and tiles * groups > 1 else 0.0
    return max(load, post) + exposed + tiles * groups * _COMMAND_CYCLES
