"""Post commands: what happens to results between window and activation buffer."""

from collections.abc import Iterator
from typing import NamedTuple

from arch.commands import Engine, Pattern, PostOperand, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import block_count, block_words
from compiler.emit_common import Emission, Placement, window_fields
from compiler.fusion import FusedLayer
from compiler.geometry import Span2D, first_tap
from compiler.homes import OnChip, Tiles
from compiler.parameter_blocks import ParameterBlocks
from compiler.post_walk import PostWalk
from compiler.waits import Region, Step
from sim.network import Add

_ONE_PIXEL = Span2D(y=0, x=0, height=1, width=1)
_NO_STEPS = {"operand_py": 0, "operand_px": 0}
_NO_OPERAND = {"operand": PostOperand.NONE, "operand_unsigned": 0} | _NO_STEPS


class PostSourceTile(NamedTuple):
    """What a post command reads: a tile of sums in the accumulators, or a tile of a map, and the
    window's taps that it reads there."""

    source: PostSource
    tile: OnChip
    reads: Region
    taps: Span2D


class PostEmitter:
    """Makes the post commands of one layer, and the loads of what they need.

    ``shared`` is that of ``ParameterBlocks``.
    """

    def __init__(
        self,
        layer: FusedLayer,
        mapping: Mapping,
        place: Placement,
        emission: Emission,
        config: AcceleratorConfig,
        shared: int | None = None,
    ) -> None:
        self._layer = layer
        self._place = place
        self._config = config
        self._emission = emission
        self._walk = PostWalk.of(layer)
        self._entries = config.accumulator_entries
        self._other_is_pixel = layer.other_is_pixel
        self._patterns: dict[tuple[object, ...], Pattern] = {}
        self._parameters = ParameterBlocks(
            emission,
            config,
            memory=place.parameters,
            blocks=block_count(layer, config),
            words=block_words(layer, config),
            shared=shared,
        )
        self._others: Tiles | None = None
        if layer.other is not None and place.other is not None:
            self._others = Tiles(layer.other.shape, place.other, mapping.operands, config)
        self._tables: tuple[Region, ...] = ()
        if layer.table is not None:
            table = place.table_number * config.table_bytes
            self._tables = (Region("table", table, table + config.table_bytes),)

    def start(self) -> Iterator[Step]:
        """What the layer needs once."""
        if self._layer.table is not None:
            yield self._emission.load_table()

    def operand(self, out: Span2D, channel: int, channels: int) -> tuple[OnChip | None, list[Step]]:
        """Where the second operand of some channels of ``out`` lies, and the loads that bring it
        there; None without one."""
        if self._others is None or self._place.other is None:
            return None, []
        part = _ONE_PIXEL if self._other_is_pixel else out
        tile, missing = self._others.take(part, channel, channels)
        loads = self._emission.load_map(self._place.other.memory, tile) if missing else ()
        return tile, list(loads)

    def post(
        self,
        source: PostSourceTile,
        part: Span2D,
        span: tuple[int, int],
        block: int,
        operand: OnChip | None,
        out: OnChip,
    ) -> Iterator[Step]:
        """The outputs ``part``, channels ``span`` (first, count; at most as many as columns), with
        the parameters of block number ``block``.

        If the source's taps are not the window's first, it is one output, and goes on from where
        the command before left it.
        """
        parameters, loads = self._parameters.take(block)
        yield from loads
        channel, channels = span
        drains = source.source is PostSource.ACCUMULATOR
        size = self._entries if drains else self._config.activation_buffer_bytes
        tile, place = source.tile, source.tile.place
        windows = self._walk.over(part)
        y, x = first_tap(self._walk.window, windows, source.taps)
        first = y - tile.area.y, x - tile.area.x
        offset = first[0] * place.row_pitch
        if not drains:
            offset += (channel - tile.channel) * place.element
        addresses = (
            (place.address + offset) % size,
            parameters.start,
            out.address(part.y, part.x, channel),
            0 if operand is None else self._operand_address(operand, part, channel),
        )
        pattern = self._pattern(source, windows, first, channels, operand, out)
        reads = source.reads, parameters, *self._tables
        if operand is not None:
            where = _ONE_PIXEL if self._other_is_pixel else part
            reads = *reads, operand.region(where, operand.channel, operand.channels)
        # All channels that are there: fewer regions differ, and the last one ends them all.
        writes = (out.region(part, out.channel, out.channels),)
        yield self._emission.step(pattern, addresses, reads, writes)

    def _operand_address(self, operand: OnChip, part: Span2D, channel: int) -> int:
        where = _ONE_PIXEL if self._other_is_pixel else part
        return operand.address(where.y, where.x, channel)

    def _pattern(
        self,
        source: PostSourceTile,
        windows: Span2D,
        first: tuple[int, int],
        channels: int,
        operand: OnChip | None,
        out: OnChip,
    ) -> Pattern:
        """The pattern of a post command whose first tap is at ``first`` (y, x) of the source."""
        tile, place, target = source.tile, source.tile.place, out.place
        key = (
            *(*first, source.taps, windows.height, windows.width, channels),
            *(tile.area.height, tile.row_bytes, place.row_pitch, place.pixel_pitch),
            *(target.row_pitch, target.pixel_pitch),
            *(() if operand is None else (operand.place.row_pitch, operand.place.pixel_pitch)),
        )
        pattern = self._patterns.get(key)
        if pattern is not None:
            return pattern
        layer = self._layer
        drains = source.source is PostSource.ACCUMULATOR
        zero_point, (low, high) = layer.requantised
        fields = {
            **window_fields(self._walk.window, source.taps, windows, tile, first),
            "source": source.source,
            "mode": self._walk.mode,
            **self._walk.products,
            "continues": int(source.taps.y > 0 or source.taps.x > 0),
            "unsigned": int(not drains and not layer.input.signed),
            "channels": channels - 1,
            "zero_point": zero_point,
            "low": low,
            "high": high,
            "out_py": target.row_pitch,
            "out_px": target.pixel_pitch,
            **self._operand_fields(operand),
            "table": 0 if layer.table is None else self._place.table_number + 1,
        }
        pattern = self._patterns[key] = Pattern(Engine.POST, fields)
        return pattern

    def _operand_fields(self, tile: OnChip | None) -> dict[str, int]:
        join, other = self._layer.join, self._layer.other
        if tile is None or join is None or other is None:
            return _NO_OPERAND
        steps = {"operand_py": tile.place.row_pitch, "operand_px": tile.place.pixel_pitch}
        return {
            "operand": PostOperand.ADD if isinstance(join, Add) else PostOperand.MULTIPLY,
            "operand_unsigned": int(not other.signed),
            **(_NO_STEPS if self._other_is_pixel else steps),
        }
