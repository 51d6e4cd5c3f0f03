"""Weights, biases and multipliers in the form in which the machine reads them from memory."""

import numpy as np
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.errors import CompileError
from compiler.geometry import Columns, column_groups, reductions, spans
from sim.network import Conv, GlobalAveragePool, MaxPool

_INT32 = np.iinfo(np.int32)


def weight_tiles(
    layer: Conv, columns: Columns, block: int, config: AcceleratorConfig
) -> NDArray[np.int8]:
    """Weights of one group of columns as int8 [tile, rows, cols], zero where the array is larger.

    ``block`` is the mapping's ``channel_block``: tiles are in the order in which they are used.
    """
    dense = _dense(layer, columns)
    tiles = []
    for reduction in reductions(layer.shape, columns, block, config.rows):
        first = reduction.channel - columns.input_channel
        runs = dense[..., first : first + reduction.channels].reshape(
            columns.channels, reduction.ky * reduction.kx, reduction.run
        )
        padded = np.zeros(
            (config.cols, reduction.ky * reduction.kx, reduction.kc * config.rows), np.int8
        )
        padded[: columns.channels, :, : reduction.run] = runs
        tiles.append(padded.reshape(config.cols, reduction.tiles, config.rows))
    return np.ascontiguousarray(np.concatenate(tiles, axis=1).transpose(1, 2, 0))


def _dense(layer: Conv, columns: Columns) -> NDArray[np.int8]:
    """Weights [channels, ky, kx, input channels] of ``columns``, zero between groups."""
    shape = layer.shape
    own = layer.weights[columns.channel : columns.channel + columns.channels]
    if columns.input_channels == shape.group_inputs:
        return own
    dense = np.zeros((*own.shape[:3], columns.input_channels), np.int8)
    for group in range(columns.input_channels // shape.group_inputs):
        outputs = slice(group * shape.group_outputs, (group + 1) * shape.group_outputs)
        inputs = slice(group * shape.group_inputs, (group + 1) * shape.group_inputs)
        dense[outputs, :, :, inputs] = own[outputs]
    return dense


def parameter_blocks(
    layer: Conv | MaxPool | GlobalAveragePool, config: AcceleratorConfig
) -> NDArray[np.uint8]:
    """Bias and multiplier of each channel as uint8 [column group, bytes of a block].

    The bias takes in the input's zero point, so that the array may multiply raw activations. Raises
    ``CompileError`` if an accumulator could overflow.
    """
    bias, multiplier = _bias_and_multiplier(layer)
    _check_bound(layer, bias)
    if isinstance(layer, Conv):
        groups = [(each.channel, each.channels) for each in column_groups(layer.shape, config.cols)]
    else:
        groups = list(spans(len(bias), config.cols))
    block = np.zeros((len(groups), config.parameter_block_words * config.bus_bytes), np.uint8)
    for row, (channel, channels) in zip(block, groups, strict=True):
        pairs = np.zeros((channels, 2), np.int32)
        pairs[:, 0] = bias[channel : channel + channels]
        pairs[:, 1] = multiplier[channel : channel + channels].view(np.int32)
        row[: channels * 8] = pairs.view(np.uint8).ravel()
    return block


def _bias_and_multiplier(
    layer: Conv | MaxPool | GlobalAveragePool,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    zero = raw_zero_point(layer)
    if isinstance(layer, Conv):
        sums = layer.weights.reshape(layer.shape.out_channels, -1).sum(axis=1, dtype=np.int64)
        return layer.bias.astype(np.int64) - zero * sums, layer.multiplier
    fmap = layer.input.shape
    taps = fmap.height * fmap.width if isinstance(layer, GlobalAveragePool) else 1
    return (
        np.full(fmap.channels, -zero * taps, np.int64),
        np.full(fmap.channels, layer.multiplier, np.float32),
    )


def raw_zero_point(layer: Conv | MaxPool | GlobalAveragePool) -> int:
    """The input's zero point as the array sees it: uint8 is taken as q - 128."""
    return layer.input.zero_point - (0 if layer.input.signed else 128)


def _check_bound(layer: Conv | MaxPool | GlobalAveragePool, bias: NDArray[np.int64]) -> None:
    """Every partial sum is a sum of |activation| <= 128 times |weight|."""
    if isinstance(layer, Conv):
        magnitudes = np.abs(layer.weights.reshape(layer.shape.out_channels, -1).astype(np.int64))
        partial = 128 * magnitudes.sum(axis=1)
    else:
        fmap = layer.input.shape
        partial = np.full(fmap.channels, 128 * fmap.height * fmap.width, np.int64)
    bound = int((partial + np.abs(bias)).max())
    if bound > _INT32.max:
        raise CompileError(
            f"{layer.name}: an accumulator must hold any sum: the bound is {bound}, 32 bits hold "
            f"{_INT32.max}; make the bias or the number of inputs smaller"
        )
