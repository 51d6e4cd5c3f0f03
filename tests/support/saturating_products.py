"""Accumulators of a CPU that adds pairs of u8 x s8 products in saturating 16 bits.

x86 CPUs with AVX2 but without VNNI multiply with VPMADDUBSW: products of neighbouring operands are
added in 16 bits, and saturate. Signed maps are taken as shifted to unsigned ones.
"""

import numpy as np
from numpy.typing import NDArray

from sim.network import Bytes, Conv

INT16_LIMITS = (-(1 << 15), (1 << 15) - 1)


def accumulate_saturating(layer: Conv, x: Bytes) -> NDArray[np.int32]:
    """As ``sim.golden.convolution.accumulate``, with saturating pairs of products.

    Pairs are neighbours in the order kernel row, kernel column, input channel of the group.
    """
    groups = layer.shape.groups
    shift = 128 if layer.input.signed else 0
    parts = zip(
        np.split(x.astype(np.int32) + shift, groups, axis=2),
        np.split(layer.weights, groups),
        np.split(layer.bias, groups),
        strict=True,
    )
    zero_point = layer.input.zero_point + shift
    return np.concatenate([_one_group(layer, *part, zero_point) for part in parts], axis=2)


def _one_group(
    layer: Conv,
    x: NDArray[np.int32],
    group_weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    zero_point: int,
) -> NDArray[np.int32]:
    rows = _window_rows(layer, x, zero_point)
    weights = group_weights.reshape(len(bias), -1).astype(np.int32)
    spare = rows.shape[-1] % 2
    rows = np.pad(rows, ((0, 0), (0, 0), (0, spare)))
    padded_weights = np.pad(weights, ((0, 0), (0, spare)))
    total = np.zeros((*rows.shape[:2], len(weights)), np.int32)
    for first in range(0, rows.shape[-1], 2):
        pair = rows[..., first : first + 2] @ padded_weights[:, first : first + 2].T
        total += np.clip(pair, *INT16_LIMITS)
    return np.asarray(total - zero_point * weights.sum(axis=1) + bias, np.int32)


def _window_rows(layer: Conv, x: NDArray[np.int32], zero_point: int) -> NDArray[np.int32]:
    """[output height, output width, reduction]: each window's values, padding included."""
    window, ofmap = layer.shape.window, layer.shape.ofmap
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=zero_point)
    rows = [
        padded[y * window.stride[0] :, x_ * window.stride[1] :][
            : window.extent[0] : window.dilation[0], : window.extent[1] : window.dilation[1]
        ].ravel()
        for y in range(ofmap.height)
        for x_ in range(ofmap.width)
    ]
    return np.stack(rows).reshape(ofmap.height, ofmap.width, -1)
