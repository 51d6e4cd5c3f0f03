"""The machine's event counters. The RTL counts them, the command-level simulator predicts them.

All run from start to the end of a run and restart at the next start. Every cycle of a run is
exactly one of ``array_busy`` or one of the stalls: they sum to ``cycles``. Accesses are counted per
port access of a storage (one vector or word), whatever its width.
"""

from dataclasses import dataclass

COUNTER_BITS = 32


@dataclass(frozen=True)
class Counter:
    """One counter: its name and what one count means."""

    name: str
    doc: str


COUNTERS: tuple[Counter, ...] = (
    Counter("cycles", "cycles from start until the run ended"),
    Counter("array_busy", "cycles in which the array took in a vector of activations"),
    Counter("stall_weights", "cycles between tiles in which the next weights were being loaded"),
    Counter("stall_load", "cycles in which the next execute command waited for a load"),
    Counter("stall_post", "cycles in which the next execute command waited for the post-processor"),
    Counter("stall_store", "cycles in which the next execute command waited for a store"),
    Counter("stall_idle", "all other cycles: no execute command at hand, or one being taken up"),
    Counter("post_busy", "cycles in which the post-processor read a position"),
    Counter("activation_read_execute", "vectors of activations read for the array"),
    Counter("activation_read_post", "vectors of activations read by the post-processor"),
    Counter("activation_read_operand", "vectors of second operands read by the post-processor"),
    Counter("activation_read_store", "vectors of activations read to be stored"),
    Counter("activation_write_load", "vectors of activations written by loads"),
    Counter("activation_write_post", "vectors of activations written by the post-processor"),
    Counter("weight_read", "rows of weights read for the array"),
    Counter("weight_write", "vectors of weights written by loads"),
    Counter("accumulator_read", "accumulator entries read to be added to"),
    Counter("accumulator_write", "accumulator entries written"),
    Counter("accumulator_drain", "accumulator entries read by the post-processor"),
    Counter("parameter_read", "words of parameters read"),
    Counter("parameter_write", "words of parameters written by loads"),
    Counter("table_read", "groups of outputs looked up in a table"),
    Counter("table_write", "vectors of table entries written by loads"),
    Counter("memory_read_beats", "bus beats read from memory, commands included"),
    Counter("memory_write_beats", "bus beats written to memory"),
    Counter("commands", "commands dispatched to the engines"),
)

COUNTER_NAMES: tuple[str, ...] = tuple(counter.name for counter in COUNTERS)
