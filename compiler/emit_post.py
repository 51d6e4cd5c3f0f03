"""Post commands: what happens to results between window and activation buffer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arch.commands import Engine, PostMode, PostOperand, PostSource
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import block_words
from compiler.emit_common import Emission, Placement, window_fields
from compiler.fusion import FusedLayer
from compiler.geometry import Span2D
from compiler.homes import OnChip, Tiles
from compiler.parameter_blocks import ParameterBlocks
from compiler.waits import Region, Step
from sim.network import Add, AveragePool

_ONE_PIXEL = Span2D(y=0, x=0, height=1, width=1)


@dataclass(frozen=True, kw_only=True)
class PostSourceTile:
    """What a post command reads: a tile of sums in the accumulators, or a tile of a map, and the
    window's taps that it reads there."""

    source: PostSource
    tile: OnChip
    reads: Region
    taps: Span2D


NO_OPERAND = {
    "operand": PostOperand.NONE,
    "operand_unsigned": 0,
    "operand_address": 0,
    "operand_py": 0,
    "operand_px": 0,
}
"""Fields of a post command without a second operand."""


NO_PRODUCTS = {"kernel_rows": 0, "lead": 0, "skip": 0}
"""Fields of a post command whose windows give an output each."""


def post_step(
    emission: Emission,
    *,
    walk: dict[str, int],
    source: PostSourceTile,
    part: Span2D,
    span: tuple[int, int],
    mode: PostMode,
    unsigned: bool,
    requantised: tuple[int, tuple[int, int]],
    parameters: Region,
    out: OnChip,
    operand: dict[str, int],
    table: int,
    products: dict[str, int] = NO_PRODUCTS,
    reads: Sequence[Region] = (),
) -> Step:
    """A post command for the outputs ``part``, channels ``span`` (first, count; at most as many as
    columns).

    ``walk`` are the fields that say how windows slide over ``source``, ``products`` those that
    make outputs of several windows. ``requantised`` is the zero point and the limits behind the
    requantiser, ``operand`` the fields of a second operand; ``reads``: what is read but ``source``
    and ``parameters``.
    """
    channel, channels = span
    zero_point, (low, high) = requantised
    target = out.at(part.y, part.x, channel)
    values = {
        **walk,
        "source": source.source,
        "mode": mode,
        **products,
        "continues": int(source.taps.y > 0 or source.taps.x > 0),
        "unsigned": int(unsigned),
        "parameter_address": parameters.start,
        "channels": channels - 1,
        "zero_point": zero_point,
        "low": low,
        "high": high,
        "out_address": target.address,
        "out_py": target.row_pitch,
        "out_px": target.pixel_pitch,
        **operand,
        "table": table,
    }
    return emission.step(
        Engine.POST,
        values,
        reads=(source.reads, parameters, *reads),
        # All channels that are there: fewer regions differ, and the last one ends them all.
        writes=(out.region(part, out.channel, out.channels),),
    )


class PostEmitter:
    """Makes the post commands of one layer, and the loads of what they need."""

    def __init__(
        self,
        layer: FusedLayer,
        mapping: Mapping,
        place: Placement,
        emission: Emission,
        config: AcceleratorConfig,
    ) -> None:
        self._layer = layer
        self._place = place
        self._config = config
        self._emission = emission
        self._window = layer.shape.window.window
        self._requantised = layer.requantised
        self._parameters = ParameterBlocks(
            emission,
            config,
            memory=place.parameters,
            words=block_words(layer, config),
            shared=None if layer.depthwise is None else 0,
        )
        self._others: Tiles | None = None
        if layer.other is not None and place.other is not None:
            self._others = Tiles(layer.other.shape, place.other, mapping.operands, config)

    def start(self) -> Iterator[Step]:
        """What the layer needs once."""
        if self._layer.table is not None:
            yield self._emission.load_table()

    def operand(self, out: Span2D, channel: int, channels: int) -> tuple[OnChip | None, list[Step]]:
        """Where the second operand of some channels of ``out`` lies, and the loads that bring it
        there; None without one."""
        if self._others is None or self._place.other is None:
            return None, []
        part = _ONE_PIXEL if self._layer.other_is_pixel else out
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
        layer, reads = self._layer, []
        drains = source.source is PostSource.ACCUMULATOR
        size = self._config.accumulator_entries if drains else self._config.activation_buffer_bytes
        if operand is not None:
            where = _ONE_PIXEL if layer.other_is_pixel else part
            reads.append(operand.region(where, operand.channel, operand.channels))
        if layer.table is not None:
            first = self._place.table_number * self._config.table_bytes
            reads.append(Region("table", first, first + self._config.table_bytes))
        yield post_step(
            self._emission,
            walk=window_fields(
                self._window, source.taps, part, source.tile, 0 if drains else span[0], size
            ),
            source=source,
            part=part,
            span=span,
            mode=PostMode.SUM if isinstance(layer.pool, AveragePool) else PostMode.MAX,
            unsigned=not drains and not layer.input.signed,
            requantised=self._requantised,
            parameters=parameters,
            out=out,
            operand=self._operand_fields(operand, part, span[0]),
            table=0 if layer.table is None else self._place.table_number + 1,
            reads=reads,
        )

    def _operand_fields(self, tile: OnChip | None, part: Span2D, channel: int) -> dict[str, int]:
        layer = self._layer
        join, other = layer.join, layer.other
        if tile is None or join is None or other is None:
            return NO_OPERAND
        pixel = layer.other_is_pixel
        place = tile.at(0, 0, channel) if pixel else tile.at(part.y, part.x, channel)
        return {
            "operand": PostOperand.ADD if isinstance(join, Add) else PostOperand.MULTIPLY,
            "operand_unsigned": int(not other.signed),
            "operand_address": place.address,
            "operand_py": 0 if pixel else place.row_pitch,
            "operand_px": 0 if pixel else place.pixel_pitch,
        }
