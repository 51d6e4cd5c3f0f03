"""A lower bound of a layer's cycles, far sooner told than the cycles."""

from collections.abc import Mapping
from itertools import product

import numpy as np

from arch.post_timing import post_cycles
from arch.timing import step_cycles
from sim.analytical.machine.axis import Spans
from sim.analytical.machine.counts import post_cycles_in_all
from sim.analytical.machine.tiling import Tiling
from sim.analytical.machine.transfers import Area


def least_cycles(tiling: Tiling, accesses: Mapping[str, int]) -> int:
    """No layer with these ``accesses`` takes less.

    Before the array or the post-processor begins, what it reads first has passed the bus; behind
    its last vector or window come the last outputs. The bus itself takes all beats one by one.
    """
    config = tiling.config
    work = max(_array(tiling), _post(tiling))
    beats = max(accesses["memory_read_beats"], accesses["memory_write_beats"])
    moved = config.memory_latency + beats * config.beat_interval
    return max(_first_loads(tiling) + work + _last_store(tiling), moved)


def _first_loads(tiling: Tiling) -> int:
    """Until what the first command reads has come: of the array weights, of the post-processor
    constants, and inputs that are not on chip."""
    layer, config = tiling.layer, tiling.config
    if layer.conv is not None:
        channels = tiling.groups[0].blocks[0].channels
        beats = tiling.boxes[0][0] * config.weight_tile_bytes // config.bus_bytes
    else:
        channels = sum(group.channels for group in tiling.ranges[0])
        beats = tiling.constant_words
    if layer.loads_input:
        rows, columns = (Spans(each.start[:1], each.size[:1]) for each in tiling.sources)
        size = channels * config.activation_bytes
        area = Area(rows, columns, tiling.input_pitches, layer.input_home.offset, size)
        beats += int(area.beats(config.bus_bytes)[0, 0])
    return config.memory_latency + beats * config.beat_interval


def _array(tiling: Tiling) -> int:
    """From the array's first vector to the last command of the post-processor."""
    if tiling.layer.conv is None:
        return 0
    config, weights = tiling.config, sum(group.tiles for group in tiling.groups)
    rows, columns = (_sizes(spans) for spans in tiling.sums)
    streamed = sum(
        step_cycles(config, height * width) * times * more
        for (height, times), (width, more) in product(rows.items(), columns.items())
    )
    (height, width), (outputs_y, outputs_x) = (
        tuple(int(each.size[-1]) for each in spans) for spans in (tiling.sums, tiling.outputs)
    )
    # The last tile of weights has had its last vector before its step ends.
    idle = step_cycles(config, height * width) - height * width
    drain = post_cycles(config, outputs_y * outputs_x, tiling.window_size, tiling.constant_words)
    return streamed * weights - idle + drain


def _post(tiling: Tiling) -> int:
    """From the array's first vector, or the post-processor's first command, to its last one's
    end; it takes one after the other."""
    first = 0
    if tiling.layer.conv is not None:
        rows, columns = tiling.sums
        vectors = int(rows.size[0] * columns.size[0])
        step = step_cycles(tiling.config, vectors)
        first = (tiling.groups[0].tiles - 1) * step + vectors
    return first + post_cycles_in_all(tiling)


def _last_store(tiling: Tiling) -> int:
    """From the end of the last post command to that of the run."""
    config, layer = tiling.config, tiling.layer
    if not layer.stores:
        return 0
    rows, columns = (Spans(each.start[-1:], each.size[-1:]) for each in tiling.outputs)
    channels = sum(group.channels for group in tiling.ranges[-1])
    size = channels * config.activation_bytes
    first = layer.output_home.offset + layer.ofmap.channels * config.activation_bytes - size
    area = Area(rows, columns, tiling.output_pitches, first, size)
    if area.commands()[0, 0] > 1:
        # Row by row: those before the last may be on their way already.
        rows = Spans(rows.start + rows.size - 1, np.ones_like(rows.size))
        area = Area(rows, columns, tiling.output_pitches, first, size)
    beats = int(area.beats(config.bus_bytes)[0, 0])
    return beats * config.beat_interval + config.memory_latency


def _sizes(spans: Spans) -> dict[int, int]:
    """How often each size comes."""
    found: dict[int, int] = {}
    for size in spans.size.tolist():
        found[size] = found.get(size, 0) + 1
    return found
