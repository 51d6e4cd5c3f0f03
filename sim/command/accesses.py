"""How often each command touches each storage: closed forms of the command's fields."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    ROW_LOOPS,
    LoadTarget,
    Pattern,
    PostMode,
    PostOperand,
    PostSource,
)
from arch.config import AcceleratorConfig, ceil_div
from arch.post_timing import post_constant_words
from sim.command.affine import loop_counts

Accesses = dict[str, int]
"""Counts by the counters' names. Commands that do the same share one."""


def _walk_fields(loops: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that say which positions of ``loops`` are padding."""
    steps = [f"{loop}_{'dy' if loop in ROW_LOOPS else 'dx'}" for loop in loops]
    return ("y", "x", "height", "width", *(f"{loop}_count" for loop in loops), *steps)


_EXECUTE_KEY = itemgetter(*_walk_fields(EXECUTE_LOOPS), "accumulate")
_POST_KEY = itemgetter(
    *_walk_fields(POST_LOOPS),
    *("channels", "source", "operand", "table", "mode", "kernel_rows", "lead", "skip"),
)

_WRITTEN = {
    LoadTarget.ACTIVATION: "activation_write_load",
    LoadTarget.WEIGHT: "weight_write",
    LoadTarget.PARAMETER: "parameter_write",
    LoadTarget.TABLE: "table_write",
}


class AccessCounts:
    """Counts the accesses of commands on ``config``, their own fetch left out.

    Patterns that differ in steps through the buffer alone are counted once.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._execute: dict[tuple[int, ...], Accesses] = {}
        self._post: dict[tuple[int, ...], Accesses] = {}

    def execute(self, pattern: Pattern) -> Accesses:
        """Counts of an execute command."""
        return self._once(self._execute, _EXECUTE_KEY(pattern.fields), pattern, execute_accesses)

    def post(self, pattern: Pattern) -> Accesses:
        """Counts of a post command."""
        return self._once(self._post, _POST_KEY(pattern.fields), pattern, post_accesses)

    def _once(
        self,
        known: dict[tuple[int, ...], Accesses],
        key: tuple[int, ...],
        pattern: Pattern,
        count: Callable[[dict[str, int], AcceleratorConfig], Accesses],
    ) -> Accesses:
        found = known.get(key)
        if found is None:
            found = known[key] = count(pattern.fields, self._config)
        return found


@cache
def load_accesses(target: int, beats: int) -> Accesses:
    """Counts of a load command of ``beats`` beats in all."""
    return {"memory_read_beats": beats, _WRITTEN[LoadTarget(target)]: beats}


@cache
def store_accesses(beats: int) -> Accesses:
    """Counts of a store command of ``beats`` beats in all."""
    return {"memory_write_beats": beats, "activation_read_store": beats}


def sum_accesses(accesses: Sequence[Accesses]) -> Counter[str]:
    """Counts of several commands together."""
    # Millions of commands share some hundred counts.
    kinds = {id(each): each for each in accesses}
    total: Counter[str] = Counter()
    for kind, times in Counter(map(id, accesses)).items():
        for name, count in kinds[kind].items():
            total[name] += count * times
    return total


def execute_accesses(fields: dict[str, int], config: AcceleratorConfig) -> Accesses:
    """Counts of an execute command."""
    ky, kx, kc, oy, ox = loop_counts(fields, EXECUTE_LOOPS)
    tiles, vectors = ky * kx * kc, oy * ox
    overwritten = 0 if fields["accumulate"] else vectors
    return {
        "array_busy": tiles * vectors,
        "activation_read_execute": _rows_inside(fields, ("ky", "oy"))
        * _offsets_inside(fields, ("kx", "kc", "ox"), config.rows * config.activation_bytes),
        "weight_read": tiles * config.rows,
        "accumulator_read": tiles * vectors - overwritten,
        "accumulator_write": tiles * vectors,
    }


def post_accesses(fields: dict[str, int], config: AcceleratorConfig) -> Accesses:
    """Counts of a post command."""
    py, px, wy, wx = loop_counts(fields, POST_LOOPS)
    inside = _rows_inside(fields, ("py", "wy")) * _offsets_inside(fields, ("px", "wx"), 1)
    outputs = py * len(range(fields["lead"], px, fields["skip"] + 1))
    groups = outputs * ceil_div(fields["channels"] + 1, config.requantiser_lanes)
    from_buffer = fields["source"] == PostSource.ACTIVATION
    return {
        "post_busy": py * px * wy * wx,
        "activation_read_post": inside if from_buffer else 0,
        "accumulator_drain": 0 if from_buffer else inside,
        "activation_read_operand": 0 if fields["operand"] == PostOperand.NONE else groups,
        "parameter_read": constant_words(fields, config),
        "table_read": groups if fields["table"] else 0,
        "activation_write_post": groups,
    }


def constant_words(fields: dict[str, int], config: AcceleratorConfig) -> int:
    """Words of constants that a post command reads."""
    return post_constant_words(
        config,
        operand=fields["operand"] != PostOperand.NONE,
        kernel_rows=fields["kernel_rows"] + 1 if fields["mode"] == PostMode.PRODUCTS else 0,
    )


def _rows_inside(fields: dict[str, int], loops: tuple[str, ...]) -> int:
    """Iterations of the loops that move y for which it lies inside the map."""
    y = _walk(fields, "y", "dy", loops)
    return int(((y >= 0) & (y < fields["height"])).sum())


def _offsets_inside(fields: dict[str, int], loops: tuple[str, ...], size: int) -> int:
    """Iterations of the loops that move x for which a vector of so many bytes has one inside the
    row."""
    x = _walk(fields, "x", "dx", loops)
    return int(((x > -size) & (x < fields["width"])).sum())


def _walk(
    fields: dict[str, int], origin: str, step: str, loops: tuple[str, ...]
) -> NDArray[np.int64]:
    total = np.array(fields[origin], np.int64)
    for loop in loops:
        total = total[..., None] + np.arange(fields[f"{loop}_count"] + 1) * fields[f"{loop}_{step}"]
    return total
