"""Weights, biases and multipliers in the form in which the machine reads them from memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.formats import accumulator_format
from arch.mapping import Mapping
from arch.post_timing import post_constant_words
from compiler.fusion import FusedLayer
from compiler.geometry import Columns, column_groups, reductions
from sim.network import AveragePool, Conv, element_type


def constants(
    layer: FusedLayer, mapping: Mapping, config: AcceleratorConfig
) -> dict[str, NDArray[np.uint8]]:
    """The bytes of the layer's weights, parameters and table, as far as it has them."""
    found = {"parameters": parameter_blocks(layer, config).ravel()}
    if layer.conv is not None:
        tiles = [
            weight_tiles(layer.conv, columns, mapping.channel_block, config).ravel()
            for columns in column_groups(layer.conv.shape, config.cols)
        ]
        found["weights"] = np.concatenate(tiles).view(np.uint8)
    if layer.front is not None:
        found["depthwise"] = parameter_blocks(alone(layer.front), config).ravel()
    if layer.table is not None:
        found["table"] = np.ascontiguousarray(layer.table.table).view(np.uint8).ravel()
    return found


def constant_sizes(
    layer: FusedLayer, mapping: Mapping, config: AcceleratorConfig
) -> dict[str, int]:
    """The sizes of ``constants``, from shapes alone."""
    sizes = {"parameters": _blocks_bytes(layer, config)}
    if layer.conv is not None:
        tiles = sum(
            each.tiles
            for columns in column_groups(layer.conv.shape, config.cols)
            for each in reductions(layer.conv.shape, columns, mapping.channel_block, config)
        )
        sizes["weights"] = tiles * config.weight_tile_bytes
    if layer.front is not None:
        sizes["depthwise"] = _blocks_bytes(alone(layer.front), config)
    if layer.table is not None:
        sizes["table"] = config.table_bytes
    return sizes


def _blocks_bytes(layer: FusedLayer, config: AcceleratorConfig) -> int:
    return block_count(layer, config) * block_words(layer, config) * config.bus_bytes


def weight_tiles(
    layer: Conv, columns: Columns, block: int, config: AcceleratorConfig
) -> NDArray[Any]:
    """Weights of one group of columns [tile, rows, cols] in the machine's width, zero where the
    array is larger.

    ``block`` is the mapping's ``channel_block``: tiles are in the order in which they are used.
    """
    dense = _dense(layer, columns)
    dtype = element_type(config.weight_bits, True)
    tiles = []
    for reduction in reductions(layer.shape, columns, block, config):
        first = reduction.channel - columns.input_channel
        runs = dense[..., first : first + reduction.channels].reshape(
            columns.channels, reduction.ky * reduction.kx, reduction.run
        )
        padded = np.zeros(
            (config.cols, reduction.ky * reduction.kx, reduction.kc * config.rows), dtype
        )
        padded[: columns.channels, :, : reduction.run] = runs
        tiles.append(padded.reshape(config.cols, reduction.tiles, config.rows))
    return np.ascontiguousarray(np.concatenate(tiles, axis=1).transpose(1, 2, 0))


def _dense(layer: Conv, columns: Columns) -> NDArray[Any]:
    """Weights [channels, ky, kx, input channels] of ``columns``, zero between groups."""
    shape = layer.shape
    own = layer.weights[columns.channel : columns.channel + columns.channels]
    if columns.input_channels == shape.group_inputs:
        return own
    dense = np.zeros((*own.shape[:3], columns.input_channels), own.dtype)
    for group in range(columns.input_channels // shape.group_inputs):
        outputs = slice(group * shape.group_outputs, (group + 1) * shape.group_outputs)
        inputs = slice(group * shape.group_inputs, (group + 1) * shape.group_inputs)
        dense[outputs, :, :, inputs] = own[outputs]
    return dense


def alone(layer: Conv) -> FusedLayer:
    """A depthwise convolution as a layer of its own for the post-processor."""
    return FusedLayer(layers=(layer,), in_post=True)


def block_count(layer: FusedLayer, config: AcceleratorConfig) -> int:
    """How many blocks ``parameter_blocks`` gives for ``layer``, from shapes alone."""
    if isinstance(layer.pool, AveragePool):
        return len(np.unique(_tap_counts(layer.pool), axis=0))
    conv = layer.conv or layer.depthwise
    return 1 if conv is None else len(column_groups(conv.shape, config.cols))


def block_words(layer: FusedLayer, config: AcceleratorConfig) -> int:
    """Words of the parameter buffer that one block of ``layer`` takes."""
    depthwise = layer.depthwise if layer.conv is None else None
    return post_constant_words(
        config,
        operand=layer.join is not None,
        kernel_rows=0 if depthwise is None else depthwise.shape.window.kernel[0],
    )


def parameter_blocks(layer: FusedLayer, config: AcceleratorConfig) -> NDArray[np.uint8]:
    """Bias and multiplier of each column, as uint8 [block, bytes].

    A convolution has a block for each group of columns, an average pooling those that
    ``block_numbers`` names, others one. An operand's constants follow the columns', and a depthwise
    convolution's weights these, if it has no other one behind it. The bias takes in the input's
    zero point, so that raw activations may be multiplied. Raises ``CompileError`` if an accumulator
    could overflow.
    """
    conv = layer.conv or layer.depthwise
    pairs = _uniform(layer, config) if conv is None else _conv_pairs(conv, config)
    blocks = _column_blocks(pairs, block_words(layer, config), config)
    start = config.parameter_block_words * config.bus_bytes
    if layer.join is not None:
        blocks[:, start : start + config.operand_block_bytes] = _operand_constants(layer, config)
        start += config.operand_block_words * config.bus_bytes
    if layer.conv is None and layer.depthwise is not None:
        blocks[:, start:] = _kernel_rows(layer.depthwise, config)
    return blocks


def _kernel_rows(layer: Conv, config: AcceleratorConfig) -> NDArray[np.uint8]:
    """For each group of columns, as uint8 [block, bytes]: what padding reads as, in a word of its
    own, then the kernel row by row, of each the rightmost weights of all columns first."""
    padding = np.zeros(config.bus_bytes, np.uint8)
    zero_point = np.array([layer.input.zero_point], layer.input.dtype)
    padding[: config.activation_bytes] = zero_point.view(np.uint8)
    height, width = layer.shape.window.kernel
    lanes = config.tap_words * config.bus_bytes // config.weight_bytes
    blocks = []
    for group in column_groups(layer.shape, config.cols):
        own = layer.weights[group.channel : group.channel + group.channels, :, ::-1, 0]
        # [row, weight of the row, column]
        weights = np.zeros((height, width, config.cols), element_type(config.weight_bits, True))
        weights[..., : group.channels] = own.transpose(1, 2, 0)
        rows = np.zeros((height, lanes), weights.dtype)
        rows[:, : width * config.cols] = weights.reshape(height, -1)
        blocks.append(np.concatenate([padding, rows.view(np.uint8).ravel()]))
    return np.stack(blocks)


def block_numbers(layer: AveragePool) -> NDArray[np.int64]:
    """For each output pixel [height, width], the number of its parameter block."""
    (rows, row_kinds), (columns, column_kinds) = (_kinds_along(layer, axis) for axis in (0, 1))
    _, numbers = np.unique(_products(rows, columns), axis=0, return_inverse=True)
    by_kind = numbers.reshape(len(rows), len(columns))
    return np.asarray(by_kind[np.ix_(row_kinds, column_kinds)])


def _tap_counts(layer: AveragePool) -> NDArray[np.int64]:
    """How many taps lie inside the map, and how many count, wherever that differs: [blocks, 2]."""
    (rows, _), (columns, _) = (_kinds_along(layer, axis) for axis in (0, 1))
    return np.unique(_products(rows, columns), axis=0)


def _kinds_along(layer: AveragePool, axis: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The same of rows or columns of taps, [kinds, 2], and which kind each of the outputs is.

    There are few kinds, as only windows at the map's edges differ.
    """
    inside = replace(layer, include_padding=False).taps_along(axis)
    pairs = np.stack([inside, layer.taps_along(axis)], axis=1)
    kinds, numbers = np.unique(pairs, axis=0, return_inverse=True)
    return kinds, numbers.reshape(-1)


def _products(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    return (rows[:, None] * columns).reshape(-1, 2)


def raw_zero_point(layer: FusedLayer | Conv) -> int:
    """The input's zero point as the array sees it: an unsigned q is taken as q - 2^(bits - 1)."""
    return layer.input.zero_point - (0 if layer.input.signed else _magnitude(layer))


def _magnitude(layer: FusedLayer | Conv) -> int:
    """The largest magnitude of an input as the array sees it."""
    return 1 << layer.input.bits - 1


_Pair = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Biases and multipliers of the columns."""


def _column_blocks(
    pairs: Iterable[_Pair], words: int, config: AcceleratorConfig
) -> NDArray[np.uint8]:
    """Blocks of so many words that begin with the columns' biases and multipliers."""
    blocks = []
    for bias, multiplier in pairs:
        block = np.zeros(words * config.bus_bytes, np.uint8)
        columns = np.zeros(len(bias), [("bias", f"<i{config.bias_bytes}"), ("multiplier", "<f4")])
        columns["bias"], columns["multiplier"] = bias, multiplier
        block[: columns.nbytes] = columns.view(np.uint8)
        blocks.append(block)
    return np.stack(blocks)


def _conv_pairs(layer: Conv, config: AcceleratorConfig) -> Iterator[_Pair]:
    """One block for each group of columns."""
    weights = layer.weights.reshape(layer.shape.out_channels, -1).astype(np.int64)
    bias = layer.bias.astype(np.int64) - raw_zero_point(layer) * weights.sum(axis=1)
    # Every partial sum is one of |activation| times |weight|.
    bound = _magnitude(layer) * np.abs(weights).sum(axis=1) + np.abs(bias)
    _check_bound(layer, int(bound.max()))
    for columns in column_groups(layer.shape, config.cols):
        own = slice(columns.channel, columns.channel + columns.channels)
        yield bias[own], layer.multiplier[own]


def _uniform(layer: FusedLayer, config: AcceleratorConfig) -> Iterator[_Pair]:
    """Blocks whose columns are all alike."""
    columns = np.ones(config.cols, np.int64)
    bias = -raw_zero_point(layer) * columns
    pool = layer.pool
    if isinstance(pool, AveragePool):
        kernel = pool.shape.window.kernel
        _check_bound(layer, 2 * _magnitude(layer) * kernel[0] * kernel[1])
        for inside, taps in _tap_counts(pool):
            yield bias * inside, pool.multiplier(int(taps)) * columns.astype(np.float32)
    else:
        multiplier = np.float32(1) if pool is None else pool.multiplier
        yield bias, multiplier * columns.astype(np.float32)


def _operand_constants(layer: FusedLayer, config: AcceleratorConfig) -> NDArray[np.uint8]:
    join, other = layer.join, layer.other
    assert join is not None
    assert other is not None
    low, high = join.clamp
    own_multiplier, other_multiplier = layer.multipliers
    values = [other.zero_point, join.output.zero_point, low, high]
    numbers = np.array(values, f"<i{config.operand_number_bytes}")
    words = np.array([own_multiplier | join.shift << 24, other_multiplier], np.uint32)
    return np.concatenate([words.view(np.uint8), numbers.view(np.uint8)])


def _check_bound(layer: FusedLayer | Conv, bound: int) -> None:
    limits = accumulator_format(layer.input.bits)
    if bound > limits.maximum:
        raise CompileError(
            f"{layer.name}: an accumulator must hold any sum: the bound is {bound}, {limits.bits} "
            f"bits hold {limits.maximum}; make the bias or the number of inputs smaller"
        )
