"""Constrained-random quantised layers, each with its input maps, drawn from a NumPy generator.

``random_layer(np.random.default_rng(seed), limits)`` draws any kind; the same seed and limits give
the same layer. Scales are chosen so that outputs spread over the range rather than saturate. A
share of the layers has multipliers that put products on rounding ties or next to them, or
accumulators beyond 2**24 (whose conversion to float32 rounds).
"""

from collections.abc import Callable

import numpy as np

from sim.network import Layer
from tests.support.random_convolutions import (
    random_conv,
    random_conv_1d,
    random_fully_connected,
    random_grouped_conv,
)
from tests.support.random_elementwise import (
    random_add,
    random_concat,
    random_multiply,
    random_slice,
    random_table,
)
from tests.support.random_maps import DEFAULT_LIMITS, Maps, SizeLimits
from tests.support.random_pools import random_average, random_global_average, random_pool

Draw = Callable[[np.random.Generator, SizeLimits], tuple[Layer, Maps]]

DRAWS: dict[str, Draw] = {
    "conv": random_conv,
    "grouped_conv": random_grouped_conv,
    "conv_1d": random_conv_1d,
    "fully_connected": random_fully_connected,
    "max_pool": random_pool,
    "average": random_average,
    "global_average": random_global_average,
    "add": random_add,
    "multiply": random_multiply,
    "table": random_table,
    "concat": random_concat,
    "slice": random_slice,
}
KINDS = tuple(DRAWS)
COMPUTING_KINDS = KINDS[:-2]
"""The kinds that compute; concat and slice move bytes."""
# Convolutions have by far the most parameters.
_WEIGHTS = {"conv": 5.0, "grouped_conv": 3.0}


def random_layer(
    rng: np.random.Generator,
    limits: SizeLimits = DEFAULT_LIMITS,
    kinds: tuple[str, ...] = KINDS,
) -> tuple[Layer, Maps]:
    """A layer of one of ``kinds`` and one map for each of its operands."""
    weights = np.array([_WEIGHTS.get(kind, 1.0) for kind in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    return DRAWS[kind](rng, limits)
