"""How often each command touches each storage: closed forms of the command's fields."""

from collections.abc import Callable
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    ROW_LOOPS,
    Command,
    LoadTarget,
    PostMode,
    PostOperand,
    PostSource,
)
from arch.config import AcceleratorConfig, ceil_div
from arch.post_timing import post_constant_words
from sim.command.affine import loop_counts

Accesses = dict[str, int]
"""Counts by the counters' names."""


def _walk_fields(loops: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that say which positions of ``loops`` are padding."""
    steps = [f"{loop}_{'dy' if loop in ROW_LOOPS else 'dx'}" for loop in loops]
    return ("y", "x", "height", "width", *(f"{loop}_count" for loop in loops), *steps)


_EXECUTE_KEY = itemgetter(*_walk_fields(EXECUTE_LOOPS), "accumulate")
_POST_KEY = itemgetter(
    *_walk_fields(POST_LOOPS),
    "channels",
    "source",
    "operand",
    "table",
    "mode",
    "kernel_rows",
    "lead",
    "skip",
)

_WRITTEN = {
    LoadTarget.ACTIVATION: "activation_write_load",
    LoadTarget.WEIGHT: "weight_write",
    LoadTarget.PARAMETER: "parameter_write",
    LoadTarget.TABLE: "table_write",
}


class AccessCounts:
    """Counts the accesses of execute and post commands on ``config``, their own fetch left out.

    Commands that differ in addresses alone, as those of a layer's tiles, are counted once.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._execute: dict[tuple[int, ...], Accesses] = {}
        self._post: dict[tuple[int, ...], Accesses] = {}

    def execute(self, command: Command) -> Accesses:
        """Counts of an execute command."""
        return self._once(self._execute, _EXECUTE_KEY(command.values), command, execute_accesses)

    def post(self, command: Command) -> Accesses:
        """Counts of a post command."""
        return self._once(self._post, _POST_KEY(command.values), command, post_accesses)

    def _once(
        self,
        known: dict[tuple[int, ...], Accesses],
        key: tuple[int, ...],
        command: Command,
        count: Callable[[Command, AcceleratorConfig], Accesses],
    ) -> Accesses:
        found = known.get(key)
        if found is None:
            found = known[key] = count(command, self._config)
        return found


def load_accesses(command: Command, beats: int) -> Accesses:
    """Counts of a load command of ``beats`` beats in all."""
    return {"memory_read_beats": beats, _WRITTEN[LoadTarget(command["target"])]: beats}


def store_accesses(beats: int) -> Accesses:
    """Counts of a store command of ``beats`` beats in all."""
    return {"memory_write_beats": beats, "activation_read_store": beats}


def execute_accesses(command: Command, config: AcceleratorConfig) -> Accesses:
    """Counts of an execute command."""
    ky, kx, kc, oy, ox = loop_counts(command, EXECUTE_LOOPS)
    tiles, vectors = ky * kx * kc, oy * ox
    overwritten = 0 if command["accumulate"] else vectors
    return {
        "array_busy": tiles * vectors,
        "activation_read_execute": _rows_inside(command, ("ky", "oy"))
        * _offsets_inside(command, ("kx", "kc", "ox"), config.rows * config.activation_bytes),
        "weight_read": tiles * config.rows,
        "accumulator_read": tiles * vectors - overwritten,
        "accumulator_write": tiles * vectors,
    }


def post_accesses(command: Command, config: AcceleratorConfig) -> Accesses:
    """Counts of a post command."""
    py, px, wy, wx = loop_counts(command, POST_LOOPS)
    inside = _rows_inside(command, ("py", "wy")) * _offsets_inside(command, ("px", "wx"), 1)
    outputs = py * len(range(command["lead"], px, command["skip"] + 1))
    groups = outputs * ceil_div(command["channels"] + 1, config.requantiser_lanes)
    from_buffer = command["source"] == PostSource.ACTIVATION
    return {
        "post_busy": py * px * wy * wx,
        "activation_read_post": inside if from_buffer else 0,
        "accumulator_drain": 0 if from_buffer else inside,
        "activation_read_operand": 0 if command["operand"] == PostOperand.NONE else groups,
        "parameter_read": constant_words(command, config),
        "table_read": groups if command["table"] else 0,
        "activation_write_post": groups,
    }


def constant_words(command: Command, config: AcceleratorConfig) -> int:
    """Words of constants that a post command reads."""
    return post_constant_words(
        config,
        operand=command["operand"] != PostOperand.NONE,
        kernel_rows=command["kernel_rows"] + 1 if command["mode"] == PostMode.PRODUCTS else 0,
    )


def _rows_inside(command: Command, loops: tuple[str, ...]) -> int:
    """Iterations of the loops that move y for which it lies inside the map."""
    y = _walk(command, "y", "dy", loops)
    return int(((y >= 0) & (y < command["height"])).sum())


def _offsets_inside(command: Command, loops: tuple[str, ...], size: int) -> int:
    """Iterations of the loops that move x for which a vector of so many bytes has one inside the
    row."""
    x = _walk(command, "x", "dx", loops)
    return int(((x > -size) & (x < command["width"])).sum())


def _walk(command: Command, origin: str, step: str, loops: tuple[str, ...]) -> NDArray[np.int64]:
    total = np.array(command[origin], np.int64)
    for loop in loops:
        total = (
            total[..., None] + np.arange(command[f"{loop}_count"] + 1) * command[f"{loop}_{step}"]
        )
    return total
