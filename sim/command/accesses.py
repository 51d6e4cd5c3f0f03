"""How often each command touches each storage: closed forms of the command's fields."""

from collections import Counter

import numpy as np

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    Command,
    Engine,
    LoadTarget,
    PostOperand,
    PostSource,
)
from arch.config import AcceleratorConfig, ceil_div
from sim.command.affine import loop_counts
from sim.command.bursts import burst_beats


def command_accesses(command: Command, config: AcceleratorConfig) -> Counter[str]:
    """Counts of any command, its own fetch left out."""
    if command.engine is Engine.EXECUTE:
        return execute_accesses(command, config)
    if command.engine is Engine.POST:
        return post_accesses(command, config)
    beats = sum(burst_beats(command, config))
    if command.engine is Engine.LOAD:
        return load_accesses(command, beats)
    return store_accesses(beats)


def execute_accesses(command: Command, config: AcceleratorConfig) -> Counter[str]:
    """Counts of an execute command."""
    ky, kx, kc, oy, ox = loop_counts(command, EXECUTE_LOOPS)
    tiles, vectors = ky * kx * kc, oy * ox
    overwritten = 0 if command["accumulate"] else vectors
    return Counter(
        array_busy=tiles * vectors,
        activation_read_execute=_rows_inside(command, ("ky", "oy"))
        * _offsets_inside(command, ("kx", "kc", "ox"), config.rows * config.activation_bytes),
        weight_read=tiles * config.rows,
        accumulator_read=tiles * vectors - overwritten,
        accumulator_write=tiles * vectors,
    )


def post_accesses(command: Command, config: AcceleratorConfig) -> Counter[str]:
    """Counts of a post command."""
    py, px, wy, wx = loop_counts(command, POST_LOOPS)
    inside = _rows_inside(command, ("py", "wy")) * _offsets_inside(command, ("px", "wx"), 1)
    groups = py * px * ceil_div(command["channels"] + 1, config.requantiser_lanes)
    operand = command["operand"] != PostOperand.NONE
    from_buffer = command["source"] == PostSource.ACTIVATION
    return Counter(
        post_busy=py * px * wy * wx,
        activation_read_post=inside if from_buffer else 0,
        accumulator_drain=0 if from_buffer else inside,
        activation_read_operand=groups if operand else 0,
        parameter_read=config.parameter_block_words
        + (config.operand_block_words if operand else 0),
        table_read=groups if command["table"] else 0,
        activation_write_post=groups,
    )


def load_accesses(command: Command, beats: int) -> Counter[str]:
    """Counts of a load command of ``beats`` beats in all."""
    target = LoadTarget(command["target"])
    written = {
        LoadTarget.ACTIVATION: "activation_write_load",
        LoadTarget.WEIGHT: "weight_write",
        LoadTarget.PARAMETER: "parameter_write",
        LoadTarget.TABLE: "table_write",
    }[target]
    return Counter({"memory_read_beats": beats, written: beats})


def store_accesses(beats: int) -> Counter[str]:
    """Counts of a store command of ``beats`` beats in all."""
    return Counter(memory_write_beats=beats, activation_read_store=beats)


def _rows_inside(command: Command, loops: tuple[str, ...]) -> int:
    """Iterations of the loops that move y for which it lies inside the map."""
    y = _walk(command, "y", "dy", loops)
    return int(((y >= 0) & (y < command["height"])).sum())


def _offsets_inside(command: Command, loops: tuple[str, ...], size: int) -> int:
    """Iterations of the loops that move x for which a vector of so many bytes has one inside the
    row."""
    x = _walk(command, "x", "dx", loops)
    return int(((x > -size) & (x < command["width"])).sum())


def _walk(command: Command, origin: str, step: str, loops: tuple[str, ...]) -> np.ndarray:
    total = np.array(command[origin], np.int64)
    for loop in loops:
        total = (
            total[..., None] + np.arange(command[f"{loop}_count"] + 1) * command[f"{loop}_{step}"]
        )
    return total
