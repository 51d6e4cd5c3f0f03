"""Where the elements of an ONNX tensor lie in memory, where bytes are never moved.

Maps are stored channels-last, while ONNX counts channels first. Reshape, Transpose and their like
only give the same bytes another shape; what that does to the order of elements is kept here.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from arch.layers import FeatureMap

Shape = tuple[int, ...]


def map_axes(shape: Shape, axis: int) -> list[int]:
    """Which axes are height and width where ``axis`` is the channels; the width alone, if one.

    A first axis of size 1 is the batch.
    """
    return [each for each in range(len(shape)) if each != axis and (each > 0 or shape[0] > 1)]


def map_shape(shape: Shape, axis: int) -> FeatureMap:
    """The map that a tensor is where ``axis`` is the channels.

    More than two other axes are one long row.
    """
    sizes = [shape[each] for each in map_axes(shape, axis)]
    height, width = sizes if len(sizes) == 2 else (1, prod(sizes))
    return FeatureMap(height=height, width=width, channels=shape[axis])


@dataclass(frozen=True, kw_only=True)
class View:
    """A tensor as a map whose channels are one of its axes.

    That axis is a row-major array of ``sizes``, whose dimensions lie in memory by ``ranks``, the
    outermost first.
    """

    shape: FeatureMap
    sizes: Shape
    ranks: Shape

    @property
    def in_order(self) -> bool:
        """Whether channels lie in memory as ONNX counts them."""
        return self.ranks == tuple(range(len(self.ranks)))

    def order(self) -> NDArray[np.int64]:
        """The index in ONNX of each channel in memory."""
        apart = np.arange(prod(self.sizes)).reshape(self.sizes)
        return np.asarray(apart.transpose(self.ranks).ravel(), np.int64)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Memory as a row-major array of ``sizes``, all above 1, and the tensor's axes made of them.

    Each entry of ``axes`` lists the dimensions of memory that make up that axis, the outermost
    first. Two tensors of the same shape are in the same order exactly if their layouts are equal.
    """

    sizes: Shape
    axes: tuple[tuple[int, ...], ...]

    @classmethod
    def with_channels(cls, shape: Shape, axis: int) -> "Layout":
        """``axis`` innermost, the others outside it in their order; a scalar has none."""
        if not shape:
            return cls(sizes=(), axes=())
        axis %= len(shape)
        order = [each for each in range(len(shape)) if each != axis and shape[each] > 1]
        order += [axis] if shape[axis] > 1 else []
        axes: list[tuple[int, ...]] = [()] * len(shape)
        for dimension, each in enumerate(order):
            axes[each] = (dimension,)
        return cls(sizes=tuple(shape[each] for each in order), axes=tuple(axes))._merged()

    @property
    def shape(self) -> Shape:
        """The tensor's shape in ONNX."""
        return tuple(prod(self.sizes[each] for each in axis) for axis in self.axes)

    def transposed(self, permutation: Shape) -> "Layout":
        """The same bytes with the axes in another order."""
        return Layout(sizes=self.sizes, axes=tuple(self.axes[axis] for axis in permutation))

    def reshaped(self, shape: Shape) -> "Layout | None":
        """The same bytes in another ``shape``.

        None where that has not as many elements, or where an axis would have to be cut at a place
        that no loop over memory can express.
        """
        if prod(shape) != prod(self.sizes):
            return None
        runs = deque(self._runs())
        axes: list[list[tuple[int, int, int]]] = []
        for size in shape:
            axes.append([])
            missing = size
            while missing > 1:
                key, part, length = runs.popleft()
                if missing % length and length % missing:
                    return None
                taken = min(missing, length)
                axes[-1].append((key, part, taken))
                missing //= taken
                if length > taken:
                    runs.appendleft((key, part + 1, length // taken))
        memory = sorted(piece for axis in axes for piece in axis)
        places = {piece: dimension for dimension, piece in enumerate(memory)}
        layout = Layout(
            sizes=tuple(length for _, _, length in memory),
            axes=tuple(tuple(places[piece] for piece in axis) for axis in axes),
        )
        return layout._merged()

    def view(self, axis: int) -> View | None:
        """The tensor as a map whose channels are ``axis``.

        None where the other axes do not lie outside it in their order.
        """
        axis %= len(self.axes)
        others = [each for each in range(len(self.axes)) if each != axis]
        outer = [dimension for each in others for dimension in self.axes[each]]
        if outer != list(range(len(outer))):
            return None
        return View(
            shape=map_shape(self.shape, axis),
            sizes=tuple(self.sizes[dimension] for dimension in self.axes[axis]),
            ranks=tuple(int(rank) for rank in np.argsort(self.axes[axis])),
        )

    def to_memory(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """[N, elements] in the order of memory, of values [N, ...] in that of ONNX."""
        logical = [dimension for axis in self.axes for dimension in axis]
        apart = values.reshape(-1, *(self.sizes[dimension] for dimension in logical))
        places = [1 + logical.index(dimension) for dimension in range(len(logical))]
        return apart.transpose(0, *places).reshape(len(apart), -1)

    def from_memory(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """[N, elements] in the order of ONNX, of values [N, ...] in that of memory."""
        apart = values.reshape(-1, *self.sizes)
        logical = [1 + dimension for axis in self.axes for dimension in axis]
        return apart.transpose(0, *logical).reshape(len(apart), -1)

    def _runs(self) -> list[tuple[int, int, int]]:
        """(first dimension, 0, length) of what follows one another in ONNX and in memory alike."""
        runs: list[tuple[int, int, int]] = []
        last = -2
        for dimension in (each for axis in self.axes for each in axis):
            if dimension == last + 1:
                key, part, length = runs[-1]
                runs[-1] = (key, part, length * self.sizes[dimension])
            else:
                runs.append((dimension, 0, self.sizes[dimension]))
            last = dimension
        return runs

    def _merged(self) -> "Layout":
        """The same with dimensions that follow one another within one axis made one."""
        joined = {
            inner for axis in self.axes for outer, inner in pairwise(axis) if inner == outer + 1
        }
        kept = [each for each in range(len(self.sizes)) if each not in joined]
        places = {dimension: place for place, dimension in enumerate(kept)}
        ends = pairwise([*kept, len(self.sizes)])
        return Layout(
            sizes=tuple(prod(self.sizes[start:end]) for start, end in ends),
            axes=tuple(
                tuple(places[dimension] for dimension in axis if dimension in places)
                for axis in self.axes
            ),
        )
