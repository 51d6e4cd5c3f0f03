"""Sums over even splits, in closed form and for arrays of splits at once.

A size is split evenly into parts that differ by at most one, the larger first; parts are split
again in the same way. All parts of one level are then of two sizes, and how many there are of each
does not depend on the levels between.
"""

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.float64]
"""Whole numbers, exact up to 2^53: floats divide several times as fast as 64-bit integers."""


def quotient(size: Whole | int, parts: Whole | int) -> Whole:
    """``size / parts`` rounded down; exact, since a quotient rounds to a whole number only from
    within 2^-53 of it."""
    return np.floor(np.divide(size, parts))


def ceil_div(size: Whole | int, parts: Whole | int) -> Whole:
    """``size / parts`` rounded up: the largest part."""
    return np.ceil(np.divide(size, parts))


def excess(size: int, parts: Whole, taken: int) -> Whole:
    """Sum over all parts of what is above ``taken`` in each."""
    if taken == 1:
        return size - np.minimum(parts, size)
    small, large = _sizes(size, parts)
    return (parts - large) * np.maximum(small - taken, 0) + large * np.maximum(small + 1 - taken, 0)


def steps(size: int, parts: Whole, lanes: Whole) -> Whole:
    """Sum over all parts of the steps that ``lanes`` elements at a time take."""
    small, large = _sizes(size, parts)
    return (parts - large) * ceil_div(small, lanes) + large * ceil_div(small + 1, lanes)


def filled(size: int, parts: Whole, lanes: Whole) -> Whole:
    """Sum over all parts of the lanes that have something to do."""
    small, large = _sizes(size, parts)
    return (parts - large) * np.minimum(small, lanes) + large * np.minimum(small + 1, lanes)


def first_filled(size: int, parents: Whole, parts: Whole, lanes: Whole) -> Whole:
    """The same over the first, largest, of ``parts`` parts in each of ``parents`` parents."""
    small, large = _sizes(size, parents)
    rest = (parents - large) * np.minimum(ceil_div(small, parts), lanes)
    return rest + large * np.minimum(ceil_div(small + 1, parts), lanes)


def common(size: int, parents: Whole, parts: Whole, lag: int) -> Whole:
    """Sum over neighbours in each parent's ``parts`` parts of ``excess(both) - excess(each)``.

    Times the taps beyond their lag, it is what neighbouring tiles have in common.
    """
    if lag == 1:
        # Every part is at least one, so each pair of neighbours shares one.
        return parents * (parts - 1)
    small, large = _sizes(size, parents)
    return (parents - large) * _common(small, parts, lag) + large * _common(small + 1, parts, lag)


def _common(size: Whole, parts: Whole, lag: int) -> Whole:
    small = quotient(size, parts)
    large = size - small * parts
    return (
        np.maximum(large - 1, 0) * _pair(small + 1, small + 1, lag)
        + (large > 0) * _pair(small + 1, small, lag)
        + (parts - large - 1) * _pair(small, small, lag)
    )


def _pair(first: Whole, second: Whole, lag: int) -> Whole:
    both = np.maximum(first + second - lag, 0)
    return both - np.maximum(first - lag, 0) - np.maximum(second - lag, 0)


def _sizes(size: int, parts: Whole) -> tuple[Whole, Whole]:
    """The smaller part, and how many parts are larger by one."""
    small = quotient(size, parts)
    return small, size - small * parts
