"""Weights, biases and multipliers in the form in which the machine reads them from memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from arch.formats import accumulator_format
from arch.layers import ConvShape
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
    if layer.depthwise is not None:
        found["depthwise"] = depthwise_blocks(layer.depthwise, config).ravel()
    if layer.table is not None:
        found["table"] = np.ascontiguousarray(layer.table.table).view(np.uint8).ravel()
    return found


def constant_sizes(
    layer: FusedLayer, mapping: Mapping, config: AcceleratorConfig
) -> dict[str, int]:
    """The sizes of ``constants``, from shapes alone."""
    blocks, sizes = 1, {}
    if layer.conv is not None:
        groups = column_groups(layer.conv.shape, config.cols)
        blocks = len(groups)
        tiles = sum(
            each.tiles
            for columns in groups
            for each in reductions(layer.conv.shape, columns, mapping.channel_block, config.rows)
        )
        sizes["weights"] = tiles * config.weight_tile_bytes
    if layer.depthwise is not None:
        depthwise = layer.depthwise.shape
        count = len(column_groups(depthwise, config.cols))
        sizes["depthwise"] = count * depthwise_words(depthwise, config) * config.bus_bytes
    if isinstance(layer.pool, AveragePool):
        blocks = len(np.unique(_tap_counts(layer.pool), axis=0))
    if layer.table is not None:
        sizes["table"] = config.table_bytes
    return {"parameters": blocks * block_words(layer, config) * config.bus_bytes, **sizes}


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
    for reduction in reductions(layer.shape, columns, block, config.rows):
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


def block_words(layer: FusedLayer, config: AcceleratorConfig) -> int:
    """Words of the parameter buffer that one block of ``layer`` takes."""
    operand = 0 if layer.join is None else config.operand_block_words
    return config.parameter_block_words + operand


def parameter_blocks(layer: FusedLayer, config: AcceleratorConfig) -> NDArray[np.uint8]:
    """Bias and multiplier of each column, as uint8 [block, bytes].

    A convolution has a block for each group of columns, an average pooling those that
    ``block_numbers`` names, others one. An operand's constants follow the columns'. The bias takes
    in the input's zero point, so that the array may multiply raw activations. Raises
    ``CompileError`` if an accumulator could overflow.
    """
    conv = layer.conv
    pairs = _uniform(layer, config) if conv is None else _conv_pairs(conv, config)
    blocks = _column_blocks(pairs, block_words(layer, config), config)
    if layer.join is not None:
        start = config.parameter_block_words * config.bus_bytes
        blocks[:, start : start + config.operand_block_bytes] = _operand_constants(layer, config)
    return blocks


def depthwise_words(shape: ConvShape, config: AcceleratorConfig) -> int:
    """Words of the parameter buffer that a block of a depthwise convolution in front takes."""
    return post_constant_words(config, operand=False, kernel_rows=shape.window.kernel[0])


def depthwise_blocks(layer: Conv, config: AcceleratorConfig) -> NDArray[np.uint8]:
    """For each group of columns, as uint8 [block, bytes]: bias and multiplier of each column, what
    padding reads as, and the rows of the kernel, from right to left. Raises ``CompileError`` if an
    accumulator could overflow."""
    columns = _column_blocks(_conv_pairs(layer, config), config.parameter_block_words, config)
    padding = np.zeros(config.bus_bytes, np.uint8)
    zero_point = np.array([layer.input.zero_point], layer.input.dtype)
    padding[: config.activation_bytes] = zero_point.view(np.uint8)
    height, width = layer.shape.window.kernel
    lanes = config.tap_words * config.bus_bytes // config.weight_bytes
    blocks = []
    for block, group in zip(columns, column_groups(layer.shape, config.cols), strict=True):
        own = layer.weights[group.channel : group.channel + group.channels, :, ::-1, 0]
        rows = np.zeros((height, lanes), element_type(config.weight_bits, True))
        # [row, weight of the row, column]
        weights = rows[:, : width * config.cols].reshape(height, width, config.cols)
        weights[..., : group.channels] = own.transpose(1, 2, 0)
        rows[:, : width * config.cols] = weights.reshape(height, -1)
        blocks.append(np.concatenate([block, padding, rows.view(np.uint8).ravel()]))
    return np.stack(blocks)


def block_numbers(layer: AveragePool) -> NDArray[np.int64]:
    """For each output pixel [height, width], the number of its parameter block."""
    _, numbers = np.unique(_tap_counts(layer), axis=0, return_inverse=True)
    return numbers.reshape(layer.taps.shape)


def _tap_counts(layer: AveragePool) -> NDArray[np.int64]:
    """For each output pixel, how many taps lie inside the map, and how many count: [pixels, 2]."""
    inside = replace(layer, include_padding=False).taps
    return np.stack([inside.ravel(), layer.taps.ravel()], axis=1)


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
        for inside, taps in np.unique(_tap_counts(pool), axis=0):
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
