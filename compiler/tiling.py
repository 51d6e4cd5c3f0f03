"""Choosing a layer's mapping: every tiling that fits is priced, and the cheapest is taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig, ceil_div
from arch.errors import CompileError
from arch.layers import ConvShape
from arch.mapping import Mapping, Order, Slots
from compiler.conv_cost import ConvWork
from compiler.fusion import LayerShape, Operand
from compiler.geometry import column_inputs, halo_size, spans
from compiler.homes import slot_banks
from compiler.map_cost import MapWork
from compiler.tile_cost import Counts, Room, Tile, Work

_ROW_LIMIT = 1 << 16
"""Most rows of a load or store command."""


Banks = tuple[int, ...]
"""Banks of inputs, second operands, outputs, and inputs of a depthwise convolution in front."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A mapping and its price in cycles, good for comparing only."""

    mapping: Mapping
    cycles: float


def map_layer(name: str, shape: LayerShape, config: AcceleratorConfig) -> Choice:
    """The cheapest mapping of a layer that finds nothing on chip. Raises ``CompileError`` if none
    fits."""
    return find_mapping(shape, Room.whole(config), config) or _refuse(name, shape, config)


def cycles_alone(shape: LayerShape, config: AcceleratorConfig) -> float:
    """Rough cycles of a layer that finds nothing on chip; infinite if no mapping fits."""
    choice = find_mapping(shape, Room.whole(config), config)
    return float("inf") if choice is None else choice.cycles


def find_mapping(shape: LayerShape, room: Room, config: AcceleratorConfig) -> Choice | None:
    """The cheapest mapping of a layer, if one fits.

    Input channels that a sum needs are taken in blocks, as few as fit, and a pooling's window in
    parts, if nothing else fits.
    """
    choice = _find_from_bank_0(shape, replace(room, first_bank=0), config)
    if choice is None or room.first_bank == 0:
        return choice
    return replace(choice, mapping=_moved(choice.mapping, room.first_bank))


@lru_cache(maxsize=4096)
def _find_from_bank_0(shape: LayerShape, room: Room, config: AcceleratorConfig) -> Choice | None:
    """Whichever banks are free, only their number matters."""
    for works in _works(shape, room, config):
        best: Choice | None = None
        for work in works:
            best = _cheapest(work, config, best)
        if best is not None:
            return best
    return None


def all_mappings(shape: LayerShape, room: Room, config: AcceleratorConfig) -> list[Mapping]:
    """The mappings among which ``find_mapping`` chooses, none if none fits."""
    for works in _works(shape, room, config):
        found = [
            _mapping(work, tile, counts, banks)
            for work in works
            for tile in _tiles(work, config)
            for counts, banks in _slots(work, tile, config)
        ]
        if found:
            return found
    return []


def _works(shape: LayerShape, room: Room, config: AcceleratorConfig) -> Iterator[Sequence[Work]]:
    """Ways to take input channels and windows on chip; those that come later are for layers that
    none of those before fits."""
    conv = shape.conv
    if conv is None:
        yield [MapWork(shape, room, config)]
        # A window of products is taken whole.
        if not shape.depthwise:
            yield from _in_parts(shape, room, config)
    elif shape.depthwise is not None:
        # It makes all channels of a tile.
        yield [ConvWork(shape, conv, room, conv.ifmap.channels, config)]
    elif room.input_pitch is not None:
        yield [ConvWork(shape, conv, room, room.input_pitch, config)]
    else:
        yield [ConvWork(shape, conv, room, block, config) for block in _whole_blocks(conv, config)]
        for block in _part_blocks(conv, config):
            yield [ConvWork(shape, conv, room, block, config)]


def _whole_blocks(conv: ConvShape, config: AcceleratorConfig) -> Iterator[int]:
    """Input channels on chip at a time: all, or those of 1, 2, 4, ... groups of columns."""
    yield conv.ifmap.channels
    block = column_inputs(conv, config.cols)
    while block < conv.ifmap.channels:
        yield block
        block *= 2


def _part_blocks(conv: ConvShape, config: AcceleratorConfig) -> Iterator[int]:
    """A half, a quarter, ... of the input channels that a group of columns sees, in whole rows of
    the array."""
    block = column_inputs(conv, config.cols)
    while block > config.rows:
        block = ceil_div(ceil_div(block, 2), config.rows) * config.rows
        yield block


def _in_parts(shape: LayerShape, room: Room, config: AcceleratorConfig) -> Iterator[Sequence[Work]]:
    """Windows in blocks of rows, or else in parts of a row."""
    rows, columns = shape.window.window.kernel
    blocks = [(each, columns) for each in _balanced(rows)]
    parts_of_rows = [(1, each) for each in _balanced(columns)]
    for candidates in (blocks[1:], parts_of_rows[1:]):
        yield [MapWork(shape, room, config, taps) for taps in candidates]


def _cheapest(work: Work, config: AcceleratorConfig, other: Choice | None = None) -> Choice | None:
    """The cheapest mapping with ``work.block`` input channels on chip at a time, if one fits;
    ``other`` if that is as cheap."""
    least = float("inf") if other is None else other.cycles
    best: tuple[Tile, Counts, Banks] | None = None
    for tile in _tiles(work, config):
        if work.least_cycles(tile) >= least:
            continue
        for counts, banks in _slots(work, tile, config):
            cycles = work.cycles(tile, counts)
            if cycles < least:
                least, best = cycles, (tile, counts, banks)
    if best is None:
        return other
    return Choice(mapping=_mapping(work, *best), cycles=least)


def _slots(work: Work, tile: Tile, config: AcceleratorConfig) -> Iterator[tuple[Counts, Banks]]:
    """How many slots ``tile`` may have, and the banks that they take, as far as they fit."""
    sizes = work.sizes_on_chip(tile)
    if sum(sizes) > work.room.banks * config.activation_bank_bytes:
        return
    for counts in _counts(sizes):
        if work.depthwise is not None and counts.inputs == 1:
            return  # The next tile is made while the array reads this one.
        banks = _banks(sizes, counts, config)
        if sum(banks) <= work.room.banks:
            yield counts, banks
            # The first has two slots of all that needs slots: fewer never cost less.
            if counts == (2, 2):
                return


def _counts(sizes: tuple[int, ...]) -> Iterator[Counts]:
    """How many slots inputs and outputs may have; what needs none waits for none, as with two."""
    inputs = (2, 1) if sizes[0] or sizes[1] else (2,)
    outputs = (2, 1) if sizes[2] else (2,)
    for in_count, out_count in product(inputs, outputs):
        yield Counts(inputs=in_count, outputs=out_count)


def _banks(sizes: tuple[int, ...], counts: Counts, config: AcceleratorConfig) -> Banks:
    """Banks of inputs, second operands, outputs, and inputs of a depthwise convolution: of each its
    own, because engines read them, and the post-processor both of its operands, at the same
    time."""
    numbers = _slot_counts(counts)
    pairs = zip(sizes, numbers, strict=True)
    return tuple(slot_banks(size, count, config) for size, count in pairs)


def _slot_counts(counts: Counts) -> tuple[int, ...]:
    """Slots of inputs, second operands, outputs, and inputs of a depthwise convolution."""
    return counts.inputs, counts.inputs, counts.outputs, 2


def _mapping(work: Work, tile: Tile, counts: Counts, banks: Banks) -> Mapping:
    first = work.room.first_bank
    slots: list[Slots | None] = []
    for number, count in zip(banks, _slot_counts(counts), strict=True):
        slots.append(Slots(first=first, banks=number, count=count) if number else None)
        first += number
    return Mapping(
        tile_height=tile.height,
        tile_width=tile.width,
        tile_groups=tile.groups,
        channel_block=work.block,
        order=tile.order,
        split=work.split,
        window=work.taps,
        inputs=slots[0],
        operands=slots[1],
        outputs=slots[2],
        depthwise=slots[3],
    )


def _moved(mapping: Mapping, banks: int) -> Mapping:
    """``mapping`` with its slots so many banks higher."""

    def moved(slots: Slots | None) -> Slots | None:
        return None if slots is None else replace(slots, first=slots.first + banks)

    return replace(
        mapping,
        inputs=moved(mapping.inputs),
        operands=moved(mapping.operands),
        outputs=moved(mapping.outputs),
        depthwise=moved(mapping.depthwise),
    )


def _refuse(name: str, shape: LayerShape, config: AcceleratorConfig) -> Choice:
    conv: ConvShape | None = shape.conv
    if conv is None:
        # Windows in parts fit one bank each of inputs and outputs, which is the least there is.
        raise CompileError(
            f"{name}: inputs, second operands and outputs must each have a bank of the activation "
            f"buffer, got {config.activation_banks} banks; raise activation_banks"
        )
    extent = halo_size(conv.window, conv.ifmap, 1, 1)
    channels = min(_part_blocks(conv, config), default=column_inputs(conv, config.cols))
    need = extent[0] * extent[1] * channels * config.activation_bytes
    have = (config.activation_banks - 1) * config.activation_bank_bytes
    raise CompileError(
        f"{name}: {channels} input channels of one output pixel must fit the activation buffer "
        f"beside one bank of outputs: they take {need} bytes, {have} are there, short by "
        f"{need - have}; raise activation_buffer_bytes"
    )


def _tiles(work: Work, config: AcceleratorConfig) -> Iterator[Tile]:
    """Balanced tile sizes that fit the accumulators, with every order that makes a difference; one
    pixel of one group if windows are taken in parts."""
    ofmap, sizes = work.shape.window.ofmap, work.sizes
    if max(work.taps) > LOOP_LIMIT:
        return
    if work.in_parts:
        pixel = Tile(height=1, width=1, groups=1, channels=max(sizes), order=Order.PIXELS_OUTER)
        height, width = work.source(pixel)
        if height * width <= _ROW_LIMIT:
            yield pixel
        return
    walks = work.shape.conv is not None and work.depthwise is None
    orders = tuple(Order) if walks else (Order.PIXELS_OUTER,)
    shares = [
        (groups, max(sum(sizes[at : at + groups]) for at, _ in spans(len(sizes), groups)))
        for groups in _balanced(len(sizes))
    ]
    for width in _balanced(ofmap.width):
        for height in _balanced(ofmap.height):
            if not _fits(work, height, width, config):
                continue
            for groups, channels in shares:
                # Without whole pixels, a store or load of rows needs the tile's full width.
                in_rows = ofmap.height > 1 and width < ofmap.width
                if groups < len(sizes) and in_rows and _moves_pixels(work):
                    continue
                for order in orders:
                    yield Tile(
                        height=height, width=width, groups=groups, channels=channels, order=order
                    )


def _fits(work: Work, height: int, width: int, config: AcceleratorConfig) -> bool:
    """Whether a tile of so many outputs keeps within the accumulators and the loops' limits."""
    window = work.shape.window
    if max(height, width) > LOOP_LIMIT or height * width > _ROW_LIMIT:
        return False
    if work.shape.conv is None:
        return True
    if work.depthwise is not None and not work.depthwise.fits(width):
        return False
    sums = halo_size(window.window, window.ifmap, height, width)
    return max(sums) <= LOOP_LIMIT and sums[0] * sums[1] <= config.accumulator_half_entries


def _moves_pixels(work: Work) -> bool:
    """Whether some of a pixel's channels go to memory or come from there tile by tile."""
    room = work.room
    return (
        room.output_in_memory
        or (work.shape.conv is None and room.input_pitch is None)
        or (work.shape.operand is Operand.MAP and not room.other_on_chip)
    )


def _balanced(total: int) -> Iterator[int]:
    """Sizes that cut ``total`` into 1, 2, 3, ... nearly equal pieces."""
    previous = 0
    pieces = 1
    while True:
        size = ceil_div(total, pieces)
        if size != previous:
            yield size
            previous = size
        if size == 1:
            return
        # Beyond 16 pieces, doubling keeps the list short.
        pieces = pieces + 1 if pieces < 16 else pieces * 2
