"""A layer as eight nested loops."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from math import gcd, prod

from arch.architecture import DataType
from arch.errors import ShapeError
from arch.layers import ConvShape
from arch.sparsity import DENSE, Densities


class Dim(IntEnum):
    """The loops of a convolution; the value is the row in every array over dimensions."""

    N = 0
    """Images of the batch."""
    G = 1
    """Groups."""
    M = 2
    """Output channels of a group."""
    C = 3
    """Input channels of a group."""
    P = 4
    """Output rows."""
    Q = 5
    """Output columns."""
    R = 6
    """Kernel rows."""
    S = 7
    """Kernel columns."""


RELEVANT: dict[DataType, frozenset[Dim]] = {
    DataType.IFMAP: frozenset(Dim) - {Dim.M},
    DataType.WEIGHT: frozenset({Dim.G, Dim.M, Dim.C, Dim.R, Dim.S}),
    DataType.PSUM: frozenset({Dim.N, Dim.G, Dim.M, Dim.P, Dim.Q}),
}
"""The loops that choose which word of a data type is used; over the others it is reused."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One image axis: output position ``output`` and tap ``kernel`` meet at input position
    ``stride * output + dilation * kernel``."""

    output: Dim
    kernel: Dim
    stride: int
    dilation: int

    @cached_property
    def lag(self) -> tuple[int, int]:
        """(outputs, taps): moving on by so many outputs is moving back by so many taps."""
        common = gcd(self.stride, self.dilation)
        return self.dilation // common, self.stride // common


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Loop bounds in the order of ``Dim``, the two image axes, and how many words are not zero.

    Padding counts: as words of the ifmap and as multiply-accumulates, as in the literature.
    """

    name: str
    bounds: tuple[int, ...]
    axes: tuple[Axis, Axis]
    densities: Densities = DENSE

    @classmethod
    def conv(cls, name: str, shape: ConvShape, batch: int = 1) -> "Problem":
        """``shape`` for a batch of images; raises ``ShapeError``."""
        if batch < 1:
            raise ShapeError(f"a batch must be at least 1, got {batch}")
        window, ofmap = shape.window, shape.ofmap
        return cls(
            name=name,
            bounds=(
                batch,
                shape.groups,
                shape.group_outputs,
                shape.group_inputs,
                ofmap.height,
                ofmap.width,
                *window.kernel,
            ),
            axes=(
                Axis(
                    output=Dim.P, kernel=Dim.R, stride=window.stride[0], dilation=window.dilation[0]
                ),
                Axis(
                    output=Dim.Q, kernel=Dim.S, stride=window.stride[1], dilation=window.dilation[1]
                ),
            ),
        )

    @classmethod
    def matmul(cls, name: str, rows: int, inner: int, cols: int, groups: int = 1) -> "Problem":
        """``groups`` products of ``rows`` x ``inner`` inputs and ``inner`` x ``cols`` weights."""
        if min(rows, inner, cols, groups) < 1:
            raise ShapeError(
                "a matrix product's sizes must be at least 1, got "
                f"{groups} of {rows} x {inner} x {cols}"
            )
        y = Axis(output=Dim.P, kernel=Dim.R, stride=1, dilation=1)
        x = Axis(output=Dim.Q, kernel=Dim.S, stride=1, dilation=1)
        return cls(name=name, bounds=(rows, groups, cols, inner, 1, 1, 1, 1), axes=(y, x))

    @property
    def macs(self) -> int:
        """Multiply-accumulates, taps on padding included."""
        return prod(self.bounds)

    def words(self, data: DataType) -> int:
        """Distinct words of ``data``."""
        dims = RELEVANT[data]
        if data is not DataType.IFMAP:
            return prod(self.bounds[dim] for dim in dims)
        rows, cols = (
            distinct(axis, self.bounds[axis.output], self.bounds[axis.kernel]) for axis in self.axes
        )
        return prod(self.bounds[dim] for dim in (Dim.N, Dim.G, Dim.C)) * rows * cols


def distinct(axis: Axis, outputs: int, taps: int) -> int:
    """Distinct input positions under ``outputs`` x ``taps`` neighbouring outputs and taps.

    (output, tap) and (output + lag, tap - lag) share a position, which is counted at its first.
    """
    output_lag, tap_lag = axis.lag
    return outputs * taps - max(outputs - output_lag, 0) * max(taps - tap_lag, 0)
