"""Latencies that the RTL keeps and the models count on, in clock cycles.

A latency from an event in cycle t to an effect in cycle t + n means n register stages between.
"""

from arch.config import AcceleratorConfig

BUFFER_READ_LATENCY = 3
"""From a buffer's read request to its data: memory, output register, rotation."""

BUFFER_WRITE_LATENCY = 2
"""From a buffer's write request to the first read request that sees it: rotation, memory."""

ACCUMULATE_LATENCY = 3
"""From a psum's arrival at the accumulators to the first read request that sees the sum."""

MINIMUM_STEP = 4
"""Least cycles between visits to one accumulator entry, so that no sum is read before it is
written."""

FETCH_AHEAD = 8
"""Commands requested from memory and not yet dispatched, at most."""

WRITE_FIFO_DEPTH = 8
"""Beats between the activation buffer and the bus: more than the BUFFER_READ_LATENCY + 2 cycles
from a read request to its credit's return, so that a memory that is always ready gets a beat per
cycle."""

BURST_BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of this (AMBA AXI4, A3.4.1)."""


def array_latency(config: AcceleratorConfig) -> int:
    """From a vector of activations to its row of psums: an input stage, the skew of the rows,
    product, sum, and the skew of the columns."""
    return config.rows + config.cols + 1


def execute_latency(config: AcceleratorConfig) -> int:
    """From the request of a vector to the first drain that sees its sum."""
    return BUFFER_READ_LATENCY + array_latency(config) + ACCUMULATE_LATENCY


def step_cycles(config: AcceleratorConfig, vectors: int) -> int:
    """Cycles that one tile of weights takes for ``vectors`` output positions: streaming them,
    unless loading the next tile's rows takes longer."""
    return max(vectors, config.rows, MINIMUM_STEP)
