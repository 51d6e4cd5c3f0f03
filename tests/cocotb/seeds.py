"""How many seeds a bench runs with."""

import os
from collections.abc import Iterable

import pytest

_SOAK_FROM = 1000
_CASES_PER_SEED = 100
"""A bench's run is worth a hundred random layers."""


def seeds(count: int) -> Iterable[object]:
    """Parameters of a test: the seeds 0 ... ``count`` - 1, and those of a soak."""
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))
    more = range(_SOAK_FROM, _SOAK_FROM + cases // _CASES_PER_SEED)
    return [*range(count), *(pytest.param(seed, marks=pytest.mark.soak) for seed in more)]
