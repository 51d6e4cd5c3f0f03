"""A mapping as text: the loops that move, and what is shared among PEs."""

from collections.abc import Iterator

from sim.analytical.mapping import Mapping, Order
from sim.analytical.problem import Dim, Problem


def loop_nest(problem: Problem, mapping: Mapping) -> str:
    """The loop nest, outermost loop first; tiles of an uneven split differ by one."""
    return "\n".join(f"{'  ' * depth}{line}" for depth, line in enumerate(_lines(problem, mapping)))


def _lines(problem: Problem, mapping: Mapping) -> Iterator[str]:
    outer_tile = [-(-b // o) for b, o in zip(problem.bounds, mapping.outer, strict=True)]
    tiles = [o * i for o, i in zip(mapping.outer, mapping.inner, strict=True)]
    array_tile = [-(-b // t) for b, t in zip(problem.bounds, tiles, strict=True)]
    yield from _loops("buffers", mapping.outer, outer_tile, mapping.outer_order)
    yield from _loops("array", mapping.inner, array_tile, mapping.inner_order)
    spread = [
        f"{dim.name} over {mapping.lanes[dim]} PEs ({mapping.rows[dim]} x {mapping.cols[dim]})"
        for dim in Dim
        if mapping.lanes[dim] > 1
    ]
    if spread:
        yield f"in parallel: {', '.join(spread)}"
    in_turn = [
        f"{dim.name} {-(-array_tile[dim] // mapping.lanes[dim])}"
        for dim in Dim
        if -(-array_tile[dim] // mapping.lanes[dim]) > 1
    ]
    yield f"each PE in turn: {', '.join(in_turn) or '1 multiply-accumulate'}"


def _loops(what: str, trips: tuple[int, ...], tile: list[int], order: Order) -> Iterator[str]:
    for dim in order:
        if trips[dim] > 1:
            yield f"for {dim.name} in {trips[dim]} tiles of {tile[dim]}:  # {what}"
