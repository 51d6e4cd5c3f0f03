"""Layers that run as one: each later one works on results on their way to the activation buffer.

The post-processor takes what the array or the buffer gives it through a window, the requantiser, a
second operand and a table, in this order. Layers that fit this order make one ``FusedLayer``. Its
bytes are those of the layers one by one: every rounding and clamp in between stays.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from arch.layers import ConvShape, PoolShape, Window
from sim.network import Add, AveragePool, Conv, MaxPool, Multiply, Table, TensorSpec

MapLayer = Conv | MaxPool | AveragePool | Add | Multiply | Table
"""The layers that run on the machine."""


class Operand(Enum):
    """What second operand a layer has: none, a map, or one pixel for the whole map."""

    NONE = 0
    MAP = 1
    PIXEL = 2


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """All of a layer that its mapping depends on.

    ``window`` slides over what the convolution gives, or, without one, over the layer's input.
    ``depthwise`` is a depthwise convolution for the post-processor: it makes the convolution's
    input, or it is what ``window`` is of.
    """

    conv: ConvShape | None
    window: PoolShape
    operand: Operand
    depthwise: ConvShape | None = None
    changes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Rows and columns of outputs from which on a pooling alone takes other constants."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedLayer:
    """One or more layers that run as one, in order: maybe a convolution, and maybe a depthwise one
    in front of it, maybe a pooling, maybe a sum or product with a second operand, maybe a table; at
    least one of them."""

    layers: tuple[MapLayer, ...]
    in_post: bool = False
    """The convolution is a depthwise one, and the post-processor computes it, not the array."""

    @property
    def name(self) -> str:
        """The first layer's."""
        return self.layers[0].name

    @property
    def kind(self) -> str:
        """The layers' kinds, joined by ``+``."""
        return "+".join(type(layer).__name__ for layer in self.layers)

    @property
    def input(self) -> TensorSpec:
        """The map that the first layer reads."""
        return self.layers[0].input

    @property
    def output(self) -> TensorSpec:
        """The map that the last layer gives."""
        return self.layers[-1].output

    @property
    def conv(self) -> Conv | None:
        """The convolution that the array computes, if there is one."""
        return self._convs[-1] if self._convs and not self.in_post else None

    @property
    def depthwise(self) -> Conv | None:
        """The depthwise convolution that the post-processor computes, if there is one."""
        return self._convs[0] if len(self._convs) > 1 or self.in_post else None

    @property
    def front(self) -> Conv | None:
        """The depthwise convolution in front of ``conv``, if there are both."""
        return None if self.conv is None else self.depthwise

    @property
    def pool(self) -> MaxPool | AveragePool | None:
        """The pooling, if there is one."""
        pools = (layer for layer in self.layers if isinstance(layer, MaxPool | AveragePool))
        return next(pools, None)

    @property
    def join(self) -> Add | Multiply | None:
        """The sum or product, if there is one."""
        return next((layer for layer in self.layers if isinstance(layer, Add | Multiply)), None)

    @property
    def table(self) -> Table | None:
        """The table, if there is one."""
        return next((layer for layer in self.layers if isinstance(layer, Table)), None)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolutions."""
        return sum(conv.shape.macs for conv in self._convs)

    @property
    def other(self) -> TensorSpec | None:
        """The second operand of the sum or product: the one that does not come from this layer."""
        join = self.join
        if join is None:
            return None
        return join.input if self._swaps(join) else join.other

    @property
    def other_is_pixel(self) -> bool:
        """Whether the second operand is one pixel for all pixels."""
        return self.join is not None and self.join.broadcasts

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """All maps that are read."""
        return (self.input,) if self.other is None else (self.input, self.other)

    @property
    def multipliers(self) -> tuple[int, int]:
        """The multipliers of the sum or product: of this layer's own operand, and of the other's
        (0 for a product)."""
        join = self.join
        if isinstance(join, Add):
            own, other = join.multiplier, join.other_multiplier
            return (other, own) if self._swaps(join) else (own, other)
        return (0 if join is None else join.multiplier), 0

    @property
    def requantised(self) -> tuple[int, tuple[int, int]]:
        """Zero point and limits of the value that the requantiser gives, before second operand and
        table. A second operand meets it less its zero point."""
        zero_point, (low, high) = self._requantised()
        if self.join is None:
            return zero_point, (low, high)
        return 0, (low - zero_point, high - zero_point)

    @property
    def shape(self) -> LayerShape:
        """What the layer's mapping depends on."""
        conv, pool, depthwise = self.conv, self.pool, self.depthwise
        operand = Operand.NONE
        if self.join is not None:
            operand = Operand.PIXEL if self.other_is_pixel else Operand.MAP
        if conv is None and depthwise is not None:
            window = depthwise.shape.window
        else:
            window = Window(kernel=(1, 1)) if pool is None else pool.shape.window
        source = self.input.shape if conv is None else conv.output.shape
        return LayerShape(
            conv=None if conv is None else conv.shape,
            window=PoolShape(ifmap=source, window=window),
            operand=operand,
            depthwise=None if depthwise is None else depthwise.shape,
            changes=_changes(pool) if conv is None and isinstance(pool, AveragePool) else ((), ()),
        )

    @property
    def _convs(self) -> list[Conv]:
        return [layer for layer in self.layers if isinstance(layer, Conv)]

    def _swaps(self, join: Add | Multiply) -> bool:
        """Whether this layer's own operand is the second one of ``join``."""
        place = self.layers.index(join)
        return place > 0 and self.layers[place - 1].output.name != join.input.name

    def _requantised(self) -> tuple[int, tuple[int, int]]:
        conv, pool = self.conv or self.depthwise, self.pool
        if conv is None and pool is None:
            return self.input.zero_point, self.input.limits
        if pool is None or conv is None:
            last = conv or pool
            assert last is not None
            return last.output.zero_point, last.clamp
        # The pooling only moves the zero point and clamps once more.
        zero_point = pool.output.zero_point
        shift = zero_point - conv.output.zero_point
        low, high = (min(max(end + shift, pool.clamp[0]), pool.clamp[1]) for end in conv.clamp)
        return zero_point, (low, high)


def _changes(pool: AveragePool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows and columns of outputs whose windows have other numbers of taps inside the map, or of
    those that count, than the ones before."""
    inside = replace(pool, include_padding=False)
    rows, columns = (
        tuple((np.flatnonzero(_differ(pool, axis) | _differ(inside, axis)) + 1).tolist())
        for axis in (0, 1)
    )
    return rows, columns


def _differ(pool: AveragePool, axis: int) -> NDArray[np.bool_]:
    """Whether each row (columns for ``axis`` 1) of outputs has other taps than the one before."""
    return np.asarray(np.diff(pool.taps_along(axis)) != 0)
