"""All positions of an affine address generator at once, as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from arch.commands import ROW_LOOPS


@dataclass(frozen=True)
class Positions:
    """Address, row and row offset of every position, loops as axes, outermost first."""

    address: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]


def loop_counts(fields: dict[str, int], loops: tuple[str, ...]) -> tuple[int, ...]:
    """Iterations of each of ``loops`` of a command with these ``fields``."""
    return tuple([count + 1 for count in _counts(loops)(fields)])


@cache
def _counts(loops: tuple[str, ...]) -> Callable[[dict[str, int]], tuple[int, ...]]:
    return itemgetter(*(f"{loop}_count" for loop in loops))


def positions(fields: dict[str, int], loops: Sequence[str]) -> Positions:
    """Every position that ``loops`` of a command with these ``fields`` visit."""

    def walk(origin: str, step: str) -> NDArray[np.int64]:
        total = np.array(fields[origin], np.int64)
        for loop in loops:
            moves = (loop in ROW_LOOPS) == (step != "dx")
            count = np.arange(fields[f"{loop}_count"] + 1)
            total = total[..., None] + count * (fields[f"{loop}_{step}"] if moves else 0)
        return total

    x = walk("x", "dx")
    return Positions(address=walk("address", "da") + x, y=walk("y", "dy"), x=x)
