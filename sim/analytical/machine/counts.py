"""Every access counter of a layer in closed form.

A count of a tile is a number of rows times a number of columns, so that the sum over all tiles is
the product of two sums, one along each axis.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig, ceil_div
from arch.post_timing import post_cycles, post_interval, post_overlap
from sim.analytical.machine.axis import Numbers, Spans
from sim.analytical.machine.columns import Block
from sim.analytical.machine.inputs import Channels, channel_ranges, input_fills
from sim.analytical.machine.ring import Requests
from sim.analytical.machine.tiling import Tiling
from sim.analytical.machine.transfers import Area, span_beats

Accesses = Counter[str]
"""Counts by the names of the machine's counters."""


def count(tiling: Tiling) -> Accesses:
    """All counters of a layer but cycles and stalls."""
    parts = [_post(tiling), _parameters(tiling), _inputs(tiling), _operands(tiling)]
    parts += [_outputs(tiling), _table(tiling)]
    if tiling.layer.conv is not None:
        parts += [_array(tiling), _weights(tiling)]
    total: Accesses = Counter()
    for part in parts:
        total.update(part)
    total["memory_read_beats"] += total["commands"] * (COMMAND_BYTES // tiling.config.bus_bytes)
    return total


def _array(tiling: Tiling) -> Accesses:
    """What the execute engine does."""
    rows, columns = tiling.sums
    vectors = int(rows.size.sum() * columns.size.sum())
    weights = sum(group.tiles for group in tiling.groups)
    seen = Counter(block for group in tiling.groups for block in group.blocks)
    return Counter(
        array_busy=vectors * weights,
        activation_read_execute=sum(
            times * _vectors_inside(tiling, block) for block, times in seen.items()
        ),
        weight_read=tiling.tiles * weights * tiling.config.rows,
        # The first tile of a sum overwrites.
        accumulator_read=vectors * (weights - len(tiling.groups)),
        accumulator_write=vectors * weights,
        commands=tiling.tiles * sum(map(len, tiling.boxes)),
    )


def _vectors_inside(tiling: Tiling, block: Block) -> int:
    """Vectors of all tiles that are not padding alone, for one group of columns."""
    config = tiling.config
    element, (rows, columns) = config.activation_bytes, tiling.sums
    chunks = (block.offset + np.arange(block.kc, dtype=np.int64) * config.rows) * element
    size, pitch = config.rows * element, block.channels * element
    if not tiling.layer.loads_input:
        pitch, _ = tiling.input_pitches
    along_x = tiling.walk(block).reaching(columns, chunks, size, pitch)
    return int(tiling.taps[0].inside(rows).sum() * along_x.sum())


def windows(tiling: Tiling) -> tuple[int, int]:
    """Windows that the post-processor takes in all, and its commands."""
    rows, columns = (spans.size.sum() for spans in tiling.outputs)
    if tiling.layer.products:
        # A window is a column of the kernel, at every column of the input.
        along_x, number = tiling.windows[1], len(tiling.outputs[1])
        columns = (columns - number) * along_x.stride + number * along_x.kernel
    groups = len(tiling.groups)
    return int(rows * columns) * groups, sum(map(len, tiling.areas)) * groups


def post_cycles_in_all(tiling: Tiling) -> int:
    """Cycles of all post commands one right after the other."""
    config, (taken, commands) = tiling.config, windows(tiling)
    one = post_cycles(config, 1, tiling.window_size, tiling.constant_words)
    overlap = (commands - 1) * post_overlap(config)
    return commands * one + (taken - commands) * post_interval(config, tiling.window_size) - overlap


def _post(tiling: Tiling) -> Accesses:
    """What the post-processor does."""
    layer, (rows, columns), (along_y, along_x) = tiling.layer, tiling.outputs, tiling.windows
    taken, commands = windows(tiling)
    inside = _walked_inside(tiling) if layer.products else along_x.inside(columns).sum()
    lanes = tiling.config.requantiser_lanes
    outputs = layer.ofmap.height * layer.ofmap.width
    written = outputs * sum(ceil_div(group.channels, lanes) for group in tiling.groups)
    source = "activation_read_post" if layer.conv is None else "accumulator_drain"
    return Counter(
        {
            "post_busy": taken * tiling.window_size,
            source: int(along_y.inside(rows).sum() * inside) * len(tiling.groups),
            "activation_read_operand": 0 if layer.operand is None else written,
            "parameter_read": commands * tiling.constant_words,
            "table_read": written if layer.table else 0,
            "activation_write_post": written,
            "commands": commands,
        }
    )


def _walked_inside(tiling: Tiling) -> int:
    """Columns of the input, all tiles together, that a depthwise convolution walks over."""
    along_x, columns = tiling.windows[1], tiling.outputs[1]
    first = columns.start * along_x.stride - along_x.before
    stop = first + (columns.size - 1) * along_x.stride + along_x.kernel
    inside = np.minimum(stop, along_x.length) - np.maximum(first, 0)
    return int(np.maximum(inside, 0).sum())


def _weights(tiling: Tiling) -> Accesses:
    """Loads of weights: boxes of one group of columns follow those of the one before."""
    bus, tile = tiling.config.bus_bytes, tiling.config.weight_tile_bytes
    sizes = np.array([box for group in tiling.boxes for box in group], np.int64) * tile
    beats = span_beats(np.cumsum(sizes) - sizes, sizes, bus).tolist()
    numbers = iter(range(len(sizes)))
    boxes = [[next(numbers) for _ in group] for group in tiling.boxes]
    ring, found = Requests(tiling.weight_slots), Counter[int]()
    for groups in tiling.passes(boxes):
        asked = [box for group in groups for box in group]
        found.update(ring.fills_of_passes(asked, tiling.tiles))
    moved = sum(beats[box] * times for box, times in found.items())
    return _loads("weight_write", found.total(), moved)


def _parameters(tiling: Tiling) -> Accesses:
    """Loads of constants for the post-processor."""
    ring, strip = Requests(tiling.parameter_slots), tiling.parameter_strip
    blocks = [tiling.block_of(group) for group in range(len(tiling.groups))]
    if tiling.layer.blocks is None:
        found = Counter[int]()
        for groups in tiling.passes(blocks):
            asked = dict.fromkeys(block // strip for block in groups)
            found.update(ring.fills_of_passes(list(asked), tiling.tiles))
    else:
        # Tiles differ in what they ask for, each of their ranges asks for the same.
        found = ring.fills_of(
            (block or 0) // strip
            for areas in tiling.areas
            for _ in tiling.ranges
            for _, block in areas
        )
    moved = sum(tiling.blocks_of_strip(strip) * times for strip, times in found.items())
    return _loads("parameter_write", found.total(), moved * tiling.constant_words)


def _table(tiling: Tiling) -> Accesses:
    """The load of the table."""
    if not tiling.layer.table:
        return Counter()
    beats = ceil_div(tiling.config.table_bytes, tiling.config.bus_bytes)
    return _loads("table_write", 1, beats)


def _inputs(tiling: Tiling) -> Accesses:
    """Loads of inputs."""
    if not tiling.layer.loads_input:
        return Counter()
    rows, columns = (spans.different for spans in tiling.sources)
    offset = tiling.layer.input_home.offset
    copies = _Copies(rows, columns, tiling.input_pitches, offset, tiling.config)
    return _map_loads(copies.count(*fills) for fills in input_fills(tiling))


def _operands(tiling: Tiling) -> Accesses:
    """Loads of second operands."""
    layer, slots = tiling.layer, tiling.mapping.operands
    if not layer.loads_operand:
        return Counter()
    assert slots is not None
    ranges = list(channel_ranges(tiling))
    rows, columns, times = *tiling.outputs, np.int64(1)
    if layer.broadcasts:
        rows = columns = Spans.cut(1, 1)
        stays = not tiling.pixels_outer or len(ranges) <= slots.count
        times = np.int64(1 if stays else tiling.tiles)
    offset = layer.operand_home.offset
    copies = _Copies(rows, columns, tiling.operand_pitches, offset, tiling.config)
    return _map_loads(copies.count(channels, times) for channels in ranges)


def _outputs(tiling: Tiling) -> Accesses:
    """Stores."""
    if not tiling.layer.stores:
        return Counter()
    offset = tiling.layer.output_home.offset
    copies = _Copies(*tiling.outputs, tiling.output_pitches, offset, tiling.config)
    counts = (copies.count(channels, np.int64(1)) for channels in channel_ranges(tiling))
    commands, beats = map(sum, zip(*counts, strict=True))
    return Counter(memory_write_beats=beats, activation_read_store=beats, commands=commands)


class _Copies:
    """Copies of the rectangles ``rows`` x ``columns`` of a map in memory, which lies there with
    ``pitches``, ``offset`` bytes from where a beat begins."""

    def __init__(
        self,
        rows: Spans,
        columns: Spans,
        pitches: tuple[int, int],
        offset: int,
        config: AcceleratorConfig,
    ) -> None:
        self._rectangles = rows, columns, pitches
        self._offset = offset
        self._element = config.activation_bytes
        self._bus = config.bus_bytes
        self._known: dict[tuple[int, int], tuple[Numbers, Numbers]] = {}

    def count(self, channels: Channels, times: Numbers | np.int64) -> tuple[int, int]:
        """Commands and beats, if ``channels`` of each rectangle are copied so many ``times``."""
        # Only where in a beat they begin makes a difference.
        first = (self._offset + channels.first * self._element) % self._bus
        key = first, channels.number * self._element
        if key not in self._known:
            area = Area(*self._rectangles, *key)
            self._known[key] = area.commands(), area.beats(self._bus)
        commands, beats = self._known[key]
        return int((commands * times).sum()), int((beats * times).sum())


def _map_loads(counts: Iterable[tuple[int, int]]) -> Accesses:
    """Loads of ``counts`` (commands, beats) into the activation buffer."""
    commands, beats = map(sum, zip(*counts, strict=True))
    return _loads("activation_write_load", commands, beats)


def _loads(written: str, commands: int, beats: int) -> Accesses:
    return Counter({"memory_read_beats": beats, written: beats, "commands": commands})
