"""How often each command touches each storage: closed forms of the command's fields."""

from collections import Counter
from math import prod

import numpy as np

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, Command, LoadTarget, PostSource
from arch.config import AcceleratorConfig, ceil_div
from sim.command.affine import loop_counts


def execute_accesses(command: Command, config: AcceleratorConfig) -> Counter[str]:
    """Counts of an execute command."""
    ky, kx, kc, oy, ox = loop_counts(command, EXECUTE_LOOPS)
    tiles, vectors = ky * kx * kc, oy * ox
    overwritten = 0 if command["accumulate"] else vectors
    return Counter(
        array_busy=tiles * vectors,
        activation_read_execute=_positions_inside(command, EXECUTE_LOOPS, config.rows),
        weight_read=tiles * config.rows,
        accumulator_read=tiles * vectors - overwritten,
        accumulator_write=tiles * vectors,
    )


def post_accesses(command: Command, config: AcceleratorConfig) -> Counter[str]:
    """Counts of a post command."""
    py, px, wy, wx = loop_counts(command, POST_LOOPS)
    inside = _positions_inside(command, POST_LOOPS, 1)
    source = "activation_read_post" if command["source"] == PostSource.ACTIVATION else None
    groups = ceil_div(command["channels"] + 1, config.requantiser_lanes)
    return Counter(
        {
            "post_busy": py * px * wy * wx,
            source or "accumulator_drain": inside,
            "parameter_read": config.parameter_block_words,
            "activation_write_post": py * px * groups,
        }
    )


def load_accesses(command: Command, beats: int) -> Counter[str]:
    """Counts of a load command of ``beats`` beats in all."""
    target = LoadTarget(command["target"])
    written = {
        LoadTarget.ACTIVATION: "activation_write_load",
        LoadTarget.WEIGHT: "weight_write",
        LoadTarget.PARAMETER: "parameter_write",
    }[target]
    return Counter({"memory_read_beats": beats, written: beats})


def store_accesses(beats: int) -> Counter[str]:
    """Counts of a store command of ``beats`` beats in all."""
    return Counter(memory_write_beats=beats, activation_read_store=beats)


def _positions_inside(command: Command, loops: tuple[str, ...], lanes: int) -> int:
    """Positions that lie in a row of the map, and one of whose ``lanes`` lanes lies inside the row.

    A compiled program's loops move either y or x, so that rows and offsets are counted apart; only
    loops that move both are walked through.
    """
    down = {loop for loop in loops if command[f"{loop}_dy"]}
    along = {loop for loop in loops if command[f"{loop}_dx"]}
    both = [loop for loop in loops if loop in down & along]
    y = _walk(command, "y", "dy", [*both, *sorted(down - along)])
    x = _walk(command, "x", "dx", [*both, *sorted(along - down)])
    apart = tuple(range(len(both), y.ndim)), tuple(range(len(both), x.ndim))
    rows = ((y >= 0) & (y < command["height"])).sum(axis=apart[0])
    offsets = ((x > -lanes) & (x < command["width"])).sum(axis=apart[1])
    still = prod(command[f"{loop}_count"] + 1 for loop in loops if loop not in down | along)
    return still * int((rows * offsets).sum())


def _walk(command: Command, origin: str, step: str, loops: list[str]) -> np.ndarray:
    """Every value of ``origin`` as ``loops`` move it, loops as axes."""
    total = np.array(command[origin], np.int64)
    for loop in loops:
        total = (
            total[..., None] + np.arange(command[f"{loop}_count"] + 1) * command[f"{loop}_{step}"]
        )
    return total
