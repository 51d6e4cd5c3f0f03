"""What a tiling of a convolution costs, roughly: the cycles of the busiest of array, memory and
post-processor, and what nothing hides."""

from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from math import prod

from arch.config import AcceleratorConfig, ceil_div
from arch.layers import ConvShape
from arch.mapping import Order
from arch.post_timing import drain_to_done, execute_done_latency, post_cycles, post_overlap
from arch.timing import step_cycles
from compiler.depthwise_cost import DepthwiseWork
from compiler.fusion import LayerShape, Operand
from compiler.geometry import Columns, column_groups, reductions, spans
from compiler.tile_cost import Counts, Room, Tile, Work
from compiler.weight_boxes import count_boxes, split_weights

_LOAD_CYCLES = 24
"""Rough cycles of a load of inputs that nothing hides; these keep tiles from becoming needlessly
small."""

_COMMAND_CYCLES = 4
"""Likewise of the other commands of a tile and some groups of columns."""

_ROW_CYCLES = 4
"""Rough cost of a row that is not contiguous with the one before in memory: a burst of its own."""

_BURST_CYCLES = 2
"""A burst begins so many cycles after the one before, at the earliest."""

_BURST_LATENCY = 6
"""Rough cycles of a burst beyond the memory's latency."""

_TURN_GAP = 3
"""Rough cycles that commands take to be taken while a half of the accumulators goes from the array
to the post-processor and back."""

_HIDDEN_TRAFFIC = 32
"""So many cycles of the memory count as one, even if they hide behind the array: they hold up the
loads of the layers around, and take energy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Areas:
    """What a map cut into tiles sums up to."""

    tiles: int
    streamed: int
    """Cycles in which one tile of weights meets all of them."""
    post: int
    """Cycles of the largest tile's post command, for one group of columns."""
    posted: int
    """Of all tiles' together, less what they overlap."""
    drained: int
    """From the last vectors of all tiles to the next ones in the same half of the accumulators."""
    pixels: int
    """Of the inputs."""
    rows: int
    """Of the inputs."""
    ahead: float
    """Cycles of the post commands of a depthwise convolution in front."""
    loaded_ahead: float
    """Of its loads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loads:
    """Cycles that the memory takes for a layer's weights, and for its inputs and second operands;
    and how many loads the latter are."""

    weights: float
    inputs: float
    count: int


class ConvWork(Work):
    """The work of a convolution and of what is fused with it, with some number of input channels on
    chip at a time."""

    def __init__(
        self,
        shape: LayerShape,
        conv: ConvShape,
        room: Room,
        block: int,
        config: AcceleratorConfig,
    ) -> None:
        groups = column_groups(conv, config.cols)
        super().__init__(shape, room, block, [columns.channels for columns in groups], config)
        self._conv = conv
        if shape.depthwise is not None:
            self.depthwise = DepthwiseWork(
                shape.depthwise, from_memory=room.input_pitch is None, config=config
            )
        self._count_weights(groups)
        self._areas = cache(self._find_areas)

    def _count_weights(self, groups: list[Columns]) -> None:
        blocks = [reductions(self._conv, columns, self.block, self._config) for columns in groups]
        self._weights = sum(each.tiles for group in blocks for each in group)
        self.split = split_weights(blocks[0][0], self._weights, self._config)
        self._blocks = [[(each.block, each.block_channels) for each in group] for group in blocks]
        self._pixel_loads = cache(self._count_pixel_loads)
        boxes = [sum(count_boxes(each, self.split) for each in group) for group in blocks]
        self._boxes, self._most_boxes = sum(boxes), max(boxes)
        largest = prod(self.split) * self._config.weight_tile_bytes
        self._weight_slots = self._config.weight_buffer_bytes // largest
        self._box_cycles = largest / self._config.memory_bytes_per_cycle

    def _count_pixel_loads(self, groups: int) -> tuple[int, int]:
        """Channels that are loaded of each of a tile's pixels, and in how many loads, if its groups
        of columns are walked so many at a time, and a block stays for those that follow it."""
        channels = loads = 0
        for start, count in spans(len(self._blocks), groups):
            last = None
            for block in chain.from_iterable(self._blocks[start : start + count]):
                if block != last:
                    channels += block[1]
                    loads += 1
                    last = block
        return channels, loads

    def _find_areas(self, height: int, width: int) -> "_Areas":
        """The whole map in tiles of ``height`` x ``width``, those at its edges smaller."""
        config = self._config
        tiles = streamed = posted = pixels = rows = 0
        ahead = loaded_ahead = 0.0
        for (y, ny), (x, nx) in product(self._pieces(0, height), self._pieces(1, width)):
            count = ny * nx
            tiles += count
            streamed += count * step_cycles(config, y.sums * x.sums)
            posted += count * self._post(y.outputs, x.outputs)
            pixels += count * y.source * x.source
            rows += count * y.source
            if self.depthwise is not None:
                ahead += count * self.depthwise.post_cycles(y.outputs, x.outputs)
                loaded_ahead += count * self.depthwise.load_cycles(y.outputs, x.outputs)
        turn = execute_done_latency(config) + _TURN_GAP - drain_to_done(config)
        return _Areas(
            tiles=tiles,
            streamed=streamed,
            posted=posted - tiles * post_overlap(config),
            drained=posted + tiles * turn,
            post=self._post(height, width),
            pixels=pixels,
            rows=rows,
            ahead=ahead,
            loaded_ahead=loaded_ahead,
        )

    def _post(self, height: int, width: int) -> int:
        """Cycles of a post command for a tile of ``height`` x ``width``."""
        return post_cycles(self._config, height * width, prod(self.taps), self._constants)

    def least_cycles(self, tile: Tile) -> int:
        """No more than ``cycles``, and sooner told."""
        areas = self._areas(tile.height, tile.width)
        steps = areas.tiles * ceil_div(len(self.sizes), tile.groups)
        started = areas.tiles * _LOAD_CYCLES + steps * _COMMAND_CYCLES
        posts = len(self.sizes) * areas.posted
        return max(self._weights * areas.streamed, posts) + started

    def cycles(self, tile: Tile, counts: Counts) -> float:
        """Rough cycles of the layer."""
        areas = self._areas(tile.height, tile.width)
        columns = len(self.sizes)
        groups = ceil_div(columns, tile.groups)
        steps = areas.tiles * groups
        loads = self._loads(tile, areas, groups, counts)
        load = loads.weights + loads.inputs
        store = alone = 0.0
        if self.room.output_in_memory:
            store, alone = self._store_cycles(tile, groups)
        execute = self._weights * areas.streamed
        # A half of the accumulators is filled, then drained, then filled again.
        turns = (execute + columns * areas.drained) / 2
        hidden = max(execute, load, store, columns * areas.posted + areas.ahead, turns)
        # What nothing hides: the first loads, or all where a tile has to go before the next comes;
        # a first tile made ahead, the last one's post commands and stores.
        exposed = min(loads.weights, self._box_cycles)
        exposed += loads.inputs / (1 if counts.inputs == 1 else loads.count)
        exposed += areas.ahead / areas.tiles + areas.post
        exposed += store if counts.outputs == 1 else alone / (areas.tiles * groups)
        traffic = (load + store) / _HIDDEN_TRAFFIC
        started = min(loads.count, steps) * _LOAD_CYCLES + steps * _COMMAND_CYCLES
        return hidden + exposed + traffic + started

    def _loads(self, tile: Tile, areas: "_Areas", groups: int, counts: Counts) -> "_Loads":
        """What the memory's read side does."""
        config, conv, room = self._config, self._conv, self.room
        rate = config.memory_bytes_per_cycle
        # Elements in a cycle.
        elements = rate / config.activation_bytes
        tiles, pixels = areas.tiles, areas.pixels
        total = self._weights * config.weight_tile_bytes
        group = self._most_boxes * tile.groups
        walked = self._boxes if tile.order is Order.PIXELS_OUTER else group
        weights = total * (1 if walked <= self._weight_slots else tiles) / rate
        cycles = 0.0
        count = tiles * groups
        if self.depthwise is not None:
            cycles += areas.loaded_ahead
            count = tiles
        elif room.input_pitch is None:
            whole = self.block >= conv.ifmap.channels
            again = tile.order is Order.CHANNELS_OUTER and tiles > counts.inputs
            channels, times = self._pixel_loads(tile.groups if again else len(self.sizes))
            cycles += pixels * channels / elements
            if room.input_scattered or not whole:
                cycles += pixels * times * _ROW_CYCLES
            count = tiles * times
            if self.source(tile)[1] < conv.ifmap.width:
                cycles += areas.rows * times * _ROW_CYCLES
        if self.shape.operand is Operand.MAP and not room.other_on_chip:
            ofmap = self.shape.window.ofmap
            cycles += ofmap.elements / elements
            cycles += ofmap.height * ofmap.width * groups * _ROW_CYCLES if groups > 1 else 0
        return _Loads(weights=weights, inputs=cycles, count=count)

    def _store_cycles(self, tile: Tile, groups: int) -> tuple[float, float]:
        """Cycles of the memory's write side: beside other traffic, and with nothing beside it."""
        ofmap, config = self.shape.window.ofmap, self._config
        size = ofmap.elements * config.activation_bytes
        rows = 0
        if groups > 1:
            rows = ofmap.height * ofmap.width * groups
        elif tile.width < ofmap.width:
            rows = ofmap.height * ceil_div(ofmap.width, tile.width)
        beside = size / config.memory_bytes_per_cycle + rows * _ROW_CYCLES
        return beside, max(size / config.memory_bytes_per_cycle, rows * _burst_cycles(config))


def _burst_cycles(config: AcceleratorConfig) -> float:
    """Rough cycles from one burst of a beat to the next: of the last ``outstanding_bursts``, each
    must have been answered."""
    waiting = (config.memory_latency + _BURST_LATENCY) / config.outstanding_bursts
    return max(_BURST_CYCLES, waiting)
