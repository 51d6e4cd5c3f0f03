"""Choosing a layer's mapping: every tiling that fits is priced, and the cheapest is taken."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import product
from typing import NoReturn

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from arch.errors import CompileError
from arch.layers import ConvShape, PoolShape
from arch.mapping import Mapping, Order, Slots
from arch.timing import step_cycles
from compiler.emit_common import slot_bytes
from compiler.geometry import Columns, Reduction, column_groups, halo_size, reductions, spans

_COMMAND_CYCLES = 30
"""Rough start-up cost of a command, which keeps tiles from becoming needlessly small."""


class _Operand(Enum):
    """What second operand a layer has: none, a map, or one pixel for the whole map."""

    NONE = 0
    MAP = 1
    PIXEL = 2


@dataclass(frozen=True, kw_only=True)
class _Tile:
    height: int
    width: int
    groups: int
    channels: int
    """Most output channels that ``groups`` groups of columns have together."""
    order: Order


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A convolution's reduction, with some number of input channels on chip at a time."""

    block: int
    tiles: tuple[int, ...]
    """Tiles of weights of each group of columns."""
    inputs: tuple[int, ...]
    """Input channels that each group of columns loads if it finds nothing on chip."""
    split: tuple[int, int, int]


def map_conv(name: str, shape: ConvShape, config: AcceleratorConfig) -> Mapping:
    """The cheapest mapping of a convolution. Raises ``CompileError`` if none fits.

    Input channels are taken in as few blocks as fit.
    """
    block = shape.ifmap.channels
    while (mapping := _map_blocks(shape, block, config)) is None:
        if block <= config.rows:
            extent = halo_size(shape.window, shape.ifmap, 1, 1)
            _refuse(name, extent[0] * extent[1], block, config)
        block = ceil_div(ceil_div(block, 2), config.rows) * config.rows
    return mapping


@lru_cache(maxsize=1024)
def _map_blocks(shape: ConvShape, block: int, config: AcceleratorConfig) -> Mapping | None:
    """The cheapest mapping with ``block`` input channels on chip at a time, if one fits."""
    groups = column_groups(shape, config.cols)
    work = _work(shape, groups, block, config)
    sizes = [columns.channels for columns in groups]
    element = config.activation_bytes
    best: tuple[float, Mapping] | None = None
    for inputs, outputs in _slot_choices(config):
        for tile in _tiles(shape, sizes, config.accumulator_half_entries):
            in_height, in_width = halo_size(shape.window, shape.ifmap, tile.height, tile.width)
            fits = in_height * in_width * block * element <= slot_bytes(
                inputs, config
            ) and tile.height * tile.width * tile.channels * element <= slot_bytes(outputs, config)
            if fits:
                cost = _conv_cost(shape, work, tile, inputs, outputs, config)
                if best is None or cost < best[0]:
                    best = cost, _mapping(tile, block, work.split, inputs, None, outputs)
    return None if best is None else best[1]


def _work(shape: ConvShape, groups: list[Columns], block: int, config: AcceleratorConfig) -> _Work:
    blocks = [reductions(shape, columns, block, config.rows) for columns in groups]
    tiles = tuple(sum(each.tiles for each in group) for group in blocks)
    return _Work(
        block=block,
        tiles=tiles,
        inputs=tuple(sum(each.block_channels for each in group) for group in blocks),
        split=_split(blocks[0][0], sum(tiles), config),
    )


def map_pool(name: str, shape: PoolShape, config: AcceleratorConfig) -> Mapping:
    """The cheapest mapping of a layer without a second operand that needs no array. Raises
    ``CompileError`` if none fits."""
    mapping = _map_operands(shape, _Operand.NONE, config)
    return mapping or _refuse_pool(name, shape, config)


def map_elementwise(
    name: str, shape: PoolShape, broadcasts: bool, config: AcceleratorConfig
) -> Mapping:
    """The cheapest mapping of a layer of two operands, the second perhaps one pixel for all.
    Raises ``CompileError`` if none fits."""
    operand = _Operand.PIXEL if broadcasts else _Operand.MAP
    return _map_operands(shape, operand, config) or _refuse_pool(name, shape, config)


@lru_cache(maxsize=1024)
def _map_operands(shape: PoolShape, operand: _Operand, config: AcceleratorConfig) -> Mapping | None:
    """The cheapest mapping of a layer that needs no array, if one fits."""
    sizes = [channels for _, channels in spans(shape.ofmap.channels, config.cols)]
    best: tuple[float, Mapping] | None = None
    for inputs, operands, outputs in _operand_choices(operand, config):
        for tile in _tiles(shape, sizes, LOOP_LIMIT):
            in_height, in_width = halo_size(shape.window, shape.ifmap, tile.height, tile.width)
            channel_bytes = tile.channels * config.activation_bytes
            out_bytes = tile.height * tile.width * channel_bytes
            operand_bytes = channel_bytes if operand is _Operand.PIXEL else out_bytes
            fits = (
                in_height * in_width * channel_bytes <= slot_bytes(inputs, config)
                and out_bytes <= slot_bytes(outputs, config)
                and (operands is None or operand_bytes <= slot_bytes(operands, config))
            )
            if fits:
                cost = _pool_cost(shape, tile, inputs, operands is not None, config)
                if best is None or cost < best[0]:
                    mapping = _mapping(tile, tile.channels, (1, 1, 1), inputs, operands, outputs)
                    best = cost, mapping
    return None if best is None else best[1]


def _refuse_pool(name: str, shape: PoolShape, config: AcceleratorConfig) -> NoReturn:
    extent = halo_size(shape.window, shape.ifmap, 1, 1)
    _refuse(name, extent[0] * extent[1], min(config.cols, shape.ifmap.channels), config)


def _mapping(
    tile: _Tile,
    block: int,
    split: tuple[int, int, int],
    inputs: Slots,
    operands: Slots | None,
    outputs: Slots,
) -> Mapping:
    return Mapping(
        tile_height=tile.height,
        tile_width=tile.width,
        tile_groups=tile.groups,
        channel_block=block,
        order=tile.order,
        split=split,
        inputs=inputs,
        operands=operands,
        outputs=outputs,
    )


def _refuse(name: str, pixels: int, channels: int, config: AcceleratorConfig) -> NoReturn:
    need = pixels * channels * config.activation_bytes
    have = (config.activation_banks - 1) * config.activation_bank_bytes
    raise CompileError(
        f"{name}: {channels} input channels of one output pixel must fit the activation buffer "
        f"beside one bank of outputs: they take {need} bytes, {have} are there, short by "
        f"{need - have}; raise activation_buffer_bytes"
    )


def _slot_choices(config: AcceleratorConfig) -> Iterator[tuple[Slots, Slots]]:
    """Ways to divide the banks among inputs and outputs, double-buffered or not."""
    banks = config.activation_banks
    for in_banks in range(1, banks):
        for in_count, out_count in product((2, 1), (2, 1)):
            yield (
                Slots(first=0, banks=in_banks, count=in_count),
                Slots(first=in_banks, banks=banks - in_banks, count=out_count),
            )


def _operand_choices(
    operand: _Operand, config: AcceleratorConfig
) -> Iterator[tuple[Slots, Slots | None, Slots]]:
    """Ways to divide the banks among inputs, second operands and outputs: the post-processor
    reads both operands at once, so they lie in different banks."""
    for both, outputs in _slot_choices(config):
        if operand is _Operand.NONE:
            yield both, None, outputs
            continue
        for banks in range(1, 2 if operand is _Operand.PIXEL else both.banks):
            if banks < both.banks:
                inputs = Slots(first=0, banks=both.banks - banks, count=both.count)
                yield inputs, Slots(first=inputs.banks, banks=banks, count=both.count), outputs


def _split(reduction: Reduction, tiles: int, config: AcceleratorConfig) -> tuple[int, int, int]:
    """The largest box of the reduction of which two fit the weight buffer; all of it if the
    ``tiles`` tiles of the whole layer fit."""
    limit = config.weight_buffer_bytes // (2 * config.weight_tile_bytes)
    if tiles * config.weight_tile_bytes <= config.weight_buffer_bytes:
        limit = max(limit, reduction.tiles)
    limit = min(limit, LOOP_LIMIT)
    row = reduction.kx * reduction.kc
    if row <= limit:
        return min(reduction.ky, limit // row), reduction.kx, reduction.kc
    if reduction.kc <= limit:
        return 1, min(reduction.kx, limit // reduction.kc), reduction.kc
    return 1, 1, min(reduction.kc, limit)


def _tiles(shape: ConvShape | PoolShape, sizes: list[int], pixels: int) -> Iterator[_Tile]:
    """Balanced tile sizes of at most ``pixels`` output pixels, with every order.

    ``sizes`` are the channels of each group of columns.
    """
    ofmap = shape.ofmap
    for width in _balanced(ofmap.width, min(ofmap.width, pixels)):
        for height in _balanced(ofmap.height, min(ofmap.height, pixels // width)):
            for groups in _balanced(len(sizes), len(sizes)):
                # Without whole pixels, a store or load row by row needs the tile's full width.
                if groups < len(sizes) and width < ofmap.width:
                    continue
                channels = max(sum(sizes[at : at + groups]) for at, _ in spans(len(sizes), groups))
                for order in Order:
                    yield _Tile(
                        height=height, width=width, groups=groups, channels=channels, order=order
                    )


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
    work: _Work,
    tile: _Tile,
    inputs: Slots,
    outputs: Slots,
    config: AcceleratorConfig,
) -> float:
    """Rough cycles of the layer: the busiest of array, memory and post-processor."""
    ofmap, ifmap = shape.ofmap, shape.ifmap
    tiles = ceil_div(ofmap.height, tile.height) * ceil_div(ofmap.width, tile.width)
    columns = len(work.tiles)
    groups = ceil_div(columns, tile.groups)
    weight_tiles = sum(work.tiles)

    execute = tiles * weight_tiles * step_cycles(config, tile.height * tile.width)
    window_cycles = config.cols // config.requantiser_lanes
    post = columns * (ofmap.height * ofmap.width * window_cycles + tiles * _COMMAND_CYCLES)

    in_height, in_width = halo_size(shape.window, ifmap, tile.height, tile.width)
    in_pixels = tiles * in_height * in_width
    whole = work.block >= ifmap.channels
    in_bytes = in_pixels * (ifmap.channels if whole else sum(work.inputs)) * config.activation_bytes
    weights = weight_tiles * config.weight_tile_bytes
    group_weights = max(work.tiles) * tile.groups * config.weight_tile_bytes
    if tile.order is Order.PIXELS_OUTER:
        weights *= 1 if weights <= config.weight_buffer_bytes else tiles
    else:
        weights *= 1 if group_weights <= config.weight_buffer_bytes else tiles
        in_bytes *= 1 if tiles <= inputs.count or not whole else groups
    load = (in_bytes + weights) / config.memory_bytes_per_cycle
    store = ofmap.elements * config.activation_bytes / config.memory_bytes_per_cycle
    # Rows that are not contiguous in memory cost a burst each.
    if not whole:
        load += in_pixels * len(work.inputs) * 4
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
    first_bytes = in_height * in_width * ifmap.channels * config.activation_bytes
    first = first_bytes / config.memory_bytes_per_cycle
    return hidden + exposed + first + tiles * groups * _COMMAND_CYCLES


def _pool_cost(
    shape: PoolShape, tile: _Tile, inputs: Slots, operand: bool, config: AcceleratorConfig
) -> float:
    ofmap, ifmap = shape.ofmap, shape.ifmap
    tiles = ceil_div(ofmap.height, tile.height) * ceil_div(ofmap.width, tile.width)
    groups = ceil_div(ceil_div(ofmap.channels, config.cols), tile.groups)
    in_height, in_width = halo_size(shape.window, ifmap, tile.height, tile.width)
    in_bytes = tiles * in_height * in_width * ifmap.channels * config.activation_bytes
    load = (in_bytes * 2 if operand else in_bytes) / config.memory_bytes_per_cycle
    if groups > 1:
        load += tiles * groups * in_height * in_width * 4
    taps = shape.window.kernel[0] * shape.window.kernel[1]
    period = max(taps, config.cols // config.requantiser_lanes)
    post = ofmap.height * ofmap.width * ceil_div(ofmap.channels, config.cols) * period
    exposed = load if inputs.count == 1 and tiles * groups > 1 else 0.0
    return max(load, post) + exposed + tiles * groups * _COMMAND_CYCLES
