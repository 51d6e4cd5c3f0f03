"""What a tiling costs of a layer without the array: loads, post commands and stores as a pipeline.

A step is one tile of pixels for one range of channels: its loads, its post commands, its store.
The three engines work on different steps at a time, as far as slots and queues let them. So the
layer takes as long as the busiest of them, or as slots take to be filled, used and free again, and
what comes before its first step and behind its last.
"""

from functools import cache
from itertools import pairwise, product
from typing import NamedTuple

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.layers import FeatureMap
from arch.post_timing import post_cycles, post_interval, post_overlap
from arch.timing import FETCH_AHEAD
from compiler.fusion import LayerShape, Operand
from compiler.geometry import spans
from compiler.post_walk import kernel_columns
from compiler.tile_cost import Counts, Room, Tile, Work
from compiler.transfer_cost import Cut, Port, Times

_TRAFFIC = 1 / 1024
"""The part of the memory's cycles that counts even if they hide: of equals, the mapping that moves
less leaves more to the layers around."""

_FIRST_LOADS = 3
"""Commands in front of the first post command: constants, input, second operand."""

_FIRST = FETCH_AHEAD + _FIRST_LOADS
"""Commands that are fetched before the data of the first loads: those before the first post command
are dispatched meanwhile, and each lets another one be fetched."""


class _Axis(NamedTuple):
    """Rows or columns of all tiles."""

    outputs: Cut
    source: Cut
    windows: Times
    """Of the post-processor."""
    commands: Times
    """Parts with constants of their own."""
    parts: list[int]
    """Windows in those of the first tile."""

    @property
    def tiles(self) -> int:
        """How many tiles there are side by side."""
        return sum(count for _, count in self.outputs.sizes)


class _Flow(NamedTuple):
    """What the engines do, in so many steps. Times are in cycles."""

    steps: int
    loads: Times
    posts: Times
    stores: Times
    fetch: float
    """The memory's read side gives commands and constants."""
    start: float
    """The first commands hold up the first load."""
    queued: float
    """From a step's first post command until its last one has room in the queue."""
    uneven: int
    """How often a smaller step is in front of one like the first."""


class MapWork(Work):
    """The work of a layer that the post-processor does alone."""

    def __init__(
        self,
        shape: LayerShape,
        room: Room,
        config: AcceleratorConfig,
        taps: tuple[int, int] | None = None,
    ) -> None:
        sizes = [count for _, count in spans(shape.window.ofmap.channels, config.cols)]
        super().__init__(shape, room, 0, sizes, config, taps)
        self._axis = cache(self._find_axis)
        self._flow = cache(self._find_flow)
        self._ranges = cache(self._find_ranges)
        self._read, self._write = Port.read(config), Port.write(config)
        window = self.taps[0] if self._by_columns else self.taps[0] * self.taps[1]
        self._interval = post_interval(config, window)
        self._overlap = post_overlap(config)
        self._command = post_cycles(config, 1, window, self._constants) - self._interval
        self._command -= self._overlap

    def least_cycles(self, tile: Tile) -> float:
        """No more than ``cycles``, and sooner told."""
        rows, columns = self._axis(0, tile.height), self._axis(1, tile.width)
        return self._posts(rows, columns, tile.groups).total

    def cycles(self, tile: Tile, counts: Counts) -> float:
        """Rough cycles of the layer."""
        flow = self._flow(tile)
        steps, loads, posts, stores = flow[:4]
        read = self._read.latency if loads.total else 0
        write = self._write.latency if stores.total else 0
        before, behind = loads.first + read, posts.last + stores.last + write
        load, post, store = (each.total / steps for each in (loads, posts, stores))
        if loads.total and counts.inputs > 1:
            # Commands are fetched as post commands are taken, and share the bus with the loads.
            shared = flow.fetch / steps
            busy = max(post, load + shared)
            load *= busy / (busy - shared)
        # The engines follow one another from step to step: the last one's part is ``behind``.
        periods = [
            loads.total - loads.first + flow.fetch,
            posts.total - posts.last + flow.uneven * self._gap(flow, read, write),
            posts.first - posts.last + stores.total - stores.last,
        ]
        if loads.total:
            turn = load + read + post + self._overlap
            periods.append(_turns(steps, counts.inputs, turn, max(load, post)))
            if flow.queued:
                # Loads are dispatched behind the post commands of the step before.
                periods.append((steps - 1) * (flow.queued + read + load))
            if self.room.joined and len(self._ranges(tile.groups)) > 1:
                # A load waits for the store of other channels of the same pixels.
                periods.append((steps - 1) * (load + read + post + store + write))
        if stores.total:
            turn = post + self._overlap + store + write
            periods.append(_turns(steps, counts.outputs, turn, max(store, post)))
        traffic = (loads.total + stores.total) * _TRAFFIC
        return flow.start + before + max(periods) + behind + traffic

    def _gap(self, flow: _Flow, read: int, write: int) -> float:
        """How long the post-processor waits, behind a smaller step, for a slot of the size of the
        first step's: that is taken up again when the step in front of the smaller one is done."""
        refill = max(flow.loads.first + read, flow.stores.first + write) + self._overlap
        return max(0.0, refill - (flow.posts.last - self._overlap))

    def _find_flow(self, tile: Tile) -> _Flow:
        rows, columns = self._axis(0, tile.height), self._axis(1, tile.width)
        ranges, tiles = self._ranges(tile.groups), rows.tiles * columns.tiles
        steps = tiles * len(ranges) * self._parts
        posts = self._posts(rows, columns, tile.groups)
        number = len(self.sizes) * self._parts * rows.commands.total * columns.commands.total
        commands = number + steps * (2 + (self.shape.operand is not Operand.NONE))
        uneven = 0
        if len(self.sizes) % tile.groups:
            uneven = tiles - 1
        elif columns.outputs.last < columns.outputs.first:
            uneven = rows.tiles - 1
        return _Flow(
            steps=steps,
            loads=self._loads(rows, columns, ranges),
            posts=posts,
            stores=self._stores(rows, columns, ranges),
            fetch=self._fetch(commands, tiles),
            start=self._start(commands),
            queued=max(0.0, posts.total / steps - self._waiting(rows, columns, tile.groups)),
            uneven=uneven,
        )

    def _find_axis(self, axis: int, size: int) -> _Axis:
        window, changes = self.shape.window, self.shape.changes[axis]
        total, source = ((fmap.height, fmap.width)[axis] for fmap in (window.ofmap, window.ifmap))
        pieces = self._pieces(axis, size)
        tiles = sum(count for _, count in pieces)
        start = (tiles - 1) * size
        outputs = Cut([(each.outputs, count) for each, count in pieces], total - start, tiles == 1)
        windows = [count * self._windows(axis, each.outputs) for each, count in pieces]
        inside = [each for each in changes if each % size]
        return _Axis(
            outputs=outputs,
            source=Cut(
                [(each.source, count) for each, count in pieces],
                pieces[-1][0].source,
                pieces[0][0].source == source,
            ),
            windows=Times(
                self._windows(axis, size), self._windows(axis, total - start), sum(windows)
            ),
            commands=Times(
                1 + sum(each < size for each in inside),
                1 + sum(each > start for each in inside),
                tiles + len(inside),
            ),
            parts=[
                self._windows(axis, stop - first)
                for first, stop in pairwise([0, *(each for each in changes if each < size), size])
            ],
        )

    def _windows(self, axis: int, outputs: int) -> int:
        """The post-processor's windows for so many rows or columns of outputs."""
        if axis == 1 and self._by_columns:
            return kernel_columns(self._window, outputs)
        return outputs

    def _find_ranges(self, groups: int) -> list[int]:
        """The channels of so many groups of columns at a time."""
        return [sum(self.sizes[at : at + count]) for at, count in spans(len(self.sizes), groups)]

    def _posts(self, rows: _Axis, columns: _Axis, groups: int) -> Times:
        """The post commands, ``groups`` of columns at a time."""
        first, last, total = (
            self._command * rows.commands[at] * columns.commands[at]
            + self._interval * rows.windows[at] * columns.windows[at]
            for at in range(3)
        )
        behind = (len(self.sizes) - 1) % groups + 1
        return Times(
            groups * first + self._overlap,
            behind * last + self._overlap,
            len(self.sizes) * self._parts * total + self._overlap,
        )

    def _waiting(self, rows: _Axis, columns: _Axis, groups: int) -> float:
        """The last post commands of a step: one at work and a full queue, or all if that holds
        more."""
        left, cycles = self._config.command_queue_depth + 1, 0.0
        for height, width in product(reversed(rows.parts), reversed(columns.parts)):
            taken = min(left, groups)
            cycles += taken * (self._command + height * width * self._interval)
            left -= taken
        return cycles if not left else float("inf")

    def _loads(self, rows: _Axis, columns: _Axis, ranges: list[int]) -> Times:
        """The loads of inputs and second operands."""
        room, shape, found = self.room, self.shape.window, Times()
        if room.input_pitch is None:
            cuts = rows.source, columns.source
            first, last, total = self._read.tiles(
                shape.ifmap, cuts, ranges, scattered=room.input_scattered
            )
            found = Times(first, last, total * self._parts)
        if self.shape.operand is not Operand.NONE and not room.other_on_chip:
            operand, cuts = shape.ofmap, (rows.outputs, columns.outputs)
            if self.shape.operand is Operand.PIXEL:
                # If its channels are cut, the slots do not keep it from tile to tile.
                times = 1 if len(ranges) == 1 else rows.tiles * columns.tiles
                operand = FeatureMap(height=1, width=1, channels=operand.channels)
                cuts = Cut([(1, times)], 1, True), Cut([(1, 1)], 1, True)
            found = found.plus(self._read.tiles(operand, cuts, ranges, scattered=False))
        return found

    def _stores(self, rows: _Axis, columns: _Axis, ranges: list[int]) -> Times:
        if not self.room.output_in_memory:
            return Times()
        cuts = rows.outputs, columns.outputs
        return self._write.tiles(self.shape.window.ofmap, cuts, ranges, scattered=False)

    def _fetch(self, commands: float, tiles: int) -> float:
        """The memory's read side for commands behind the first ones, and for constants that do not
        stay on chip."""
        config, groups = self._config, len(self.sizes)
        cycles = max(0, commands - _FIRST) * COMMAND_BYTES / config.memory_bytes_per_cycle
        if self._by_columns and groups * self._constants > config.parameter_words:
            cycles += tiles * groups * self._constants * config.beat_interval
        return cycles

    def _start(self, commands: float) -> float:
        """How much longer it takes to fetch the first commands than the first load needs to come
        behind its own."""
        config = self._config
        fetch = COMMAND_BYTES / config.memory_bytes_per_cycle
        return max(0.0, (min(commands, _FIRST) - _FIRST_LOADS) * fetch - config.memory_latency)


def _turns(steps: int, slots: int, turn: float, part: float) -> float:
    """From the first step to the last one, if each of ``slots`` slots takes a ``turn`` from use to
    use, and the next slot follows ``part`` behind."""
    rounds, rest = divmod(steps - 1, slots)
    return rounds * turn + rest * part
