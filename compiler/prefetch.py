"""Moves loads of weights and parameters ahead of the end of the layer before.

Engines take their commands in order, so a load of weights behind one that waits for the former
layer's outputs waits as well. Weights need not: they come as soon as their slot is free.
"""

from collections.abc import Iterable

from arch.commands import Engine, LoadTarget
from arch.config import AcceleratorConfig
from compiler.waits import Region, Step


def prefetch_constants(steps: Iterable[Step], config: AcceleratorConfig) -> list[Step]:
    """``steps`` with each load of constants as far ahead as its slot is free, within reach.

    Reach is what the engines' queues hold: further ahead, a load would only block the program.
    """
    ordered: list[Step] = []
    for step in steps:
        place = len(ordered)
        if _loads_constants(step):
            least = max(0, place - 2 * config.command_queue_depth)
            while place > least and _may_overtake(step, ordered[place - 1]):
                place -= 1
        ordered.insert(place, step)
    return ordered


def _loads_constants(step: Step) -> bool:
    pattern = step.pattern
    return pattern.engine is Engine.LOAD and pattern.fields["target"] != LoadTarget.ACTIVATION


def _may_overtake(load: Step, other: Step) -> bool:
    """Commands of other layers are overtaken if they do not use the slot, and the first inputs of
    the load's own. Loads of constants keep their order."""
    if _loads_constants(other) or (
        other.layer == load.layer and other.pattern.engine is not Engine.LOAD
    ):
        return False
    used = (*other.reads, *other.writes)
    return not any(_overlap(mine, theirs) for mine in load.writes for theirs in used)


def _overlap(one: Region, other: Region) -> bool:
    return one.storage == other.storage and one.start < other.stop and other.start < one.stop
