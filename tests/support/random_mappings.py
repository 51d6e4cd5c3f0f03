"""Random mappings: any that fits a layer and a machine, not only those that the compiler takes."""

from math import prod

import numpy as np

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape
from arch.mapping import Mapping, Order, Slots
from compiler.fusion import FusedLayer, Operand
from compiler.geometry import column_groups, column_inputs, halo_size, reductions
from compiler.homes import slot_banks
from tests.support.random_maps import up_to


def random_mapping(
    rng: np.random.Generator, layer: FusedLayer, config: AcceleratorConfig
) -> Mapping:
    """A mapping of ``layer``, nothing of which is on chip; the first of random ones that fits."""
    for _ in range(10_000):
        mapping = _draw(rng, layer, config)
        if mapping is not None:
            return mapping
    raise LookupError(f"no mapping of {layer.name} was found for {config.name}")


def _draw(rng: np.random.Generator, layer: FusedLayer, config: AcceleratorConfig) -> Mapping | None:
    shape, conv = layer.shape, layer.shape.conv
    ofmap, window = shape.window.ofmap, shape.window.window
    height, width = _size(rng, ofmap.height), _size(rng, ofmap.width)
    if conv is None:
        sizes = [
            min(config.cols, ofmap.channels - at) for at in range(0, ofmap.channels, config.cols)
        ]
    else:
        sizes = [columns.channels for columns in column_groups(conv, config.cols)]
    groups = _size(rng, len(sizes))
    if groups < len(sizes):
        # A part of the channels of a part of a row is no rectangle that a store can copy.
        width = ofmap.width
    sums = source = halo_size(window, shape.window.ifmap, height, width)
    block, split = 0, (1, 1, 1)
    if conv is not None:
        if prod(sums) > config.accumulator_half_entries:
            return None
        source = halo_size(conv.window, conv.ifmap, *sums)
        block = _block(rng, conv, config)
        split = _split(rng, layer, block, config)
        if prod(split) * config.weight_tile_bytes > config.weight_buffer_bytes:
            return None
    channels = max(sum(sizes[at : at + groups]) for at in range(0, len(sizes), groups))
    element = config.activation_bytes
    outputs = height * width * channels * element
    inputs = prod(source) * (block or channels) * element
    operands = {Operand.NONE: 0, Operand.MAP: outputs, Operand.PIXEL: channels * element}
    first, slots = 0, []
    for size in (inputs, operands[shape.operand], outputs):
        count = up_to(rng, 3)
        banks = slot_banks(size, count, config)
        slots.append(Slots(first=first, banks=banks, count=count) if banks else None)
        first += banks
    if first > config.activation_banks:
        return None
    walks = conv is not None and rng.random() < 0.5
    return Mapping(
        tile_height=height,
        tile_width=width,
        tile_groups=groups,
        channel_block=block,
        order=Order.CHANNELS_OUTER if walks else Order.PIXELS_OUTER,
        split=split,
        window=window.kernel,
        inputs=slots[0],
        operands=slots[1],
        outputs=slots[2],
    )


def _size(rng: np.random.Generator, total: int) -> int:
    """All of ``total`` as often as any other size."""
    return total if rng.random() < 0.3 else up_to(rng, total)


def _block(rng: np.random.Generator, conv: ConvShape, config: AcceleratorConfig) -> int:
    """All input channels, those of some groups of columns, or a part of one's in whole rows."""
    total, seen, rows = conv.ifmap.channels, column_inputs(conv, config.cols), config.rows
    kind = rng.integers(3)
    if kind == 0:
        return min(total, seen * up_to(rng, ceil_div(total, seen)))
    if kind == 1 and seen > rows:
        return rows * up_to(rng, ceil_div(seen, rows) - 1)
    return total


def _split(
    rng: np.random.Generator, layer: FusedLayer, block: int, config: AcceleratorConfig
) -> tuple[int, int, int]:
    """Boxes whose tiles follow one another: whole inner loops, a part of one, single outer ones."""
    conv = layer.shape.conv
    assert conv is not None
    first = reductions(conv, column_groups(conv, config.cols)[0], block, config)[0]
    kind = rng.integers(3)
    if kind == 0:
        return up_to(rng, first.ky), first.kx, first.kc
    if kind == 1:
        return 1, up_to(rng, first.kx), first.kc
    return 1, 1, up_to(rng, first.kc)
