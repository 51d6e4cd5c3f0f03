"""The analytical model equals the command-level simulator, counter for counter, for random layers
under random mappings.

The seed is in each test's name. Replay seed 17 on `uneven`::

    pytest 'tests/sim/analytical/machine/test_random_mappings.py' -k 'uneven-17]'
"""

import os

import numpy as np
import pytest

from arch.errors import CompileError, MappingError
from sim.analytical.machine.counts import count
from tests.support.machine_layers import Alone, compile_alone, network_of
from tests.support.machines import CONFIGS
from tests.support.random_layers import COMPUTING_KINDS, random_layer
from tests.support.random_mappings import random_mapping
from tests.support.random_maps import SizeLimits, of_words

MACHINES = ("tiny", "uneven16", "gemmini16")
SEEDS = range(200)
SOAK_FROM = 100_000
LIMITS = SizeLimits(max_height=12, max_width=12, max_channels=40, max_macs=300_000)


def draw(name: str, seed: int) -> Alone | None:
    """A random layer alone under a random mapping; None for one that fits nowhere."""
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    layer, _ = random_layer(rng, of_words(LIMITS, config), COMPUTING_KINDS)
    try:
        return compile_alone(
            network_of(layer), config, lambda fused: random_mapping(rng, fused, config)
        )
    except (CompileError, LookupError):
        return None


def check(name: str, seed: int) -> bool:
    """The layer of ``seed`` must agree on the machine ``name``; False if it is not covered."""
    alone = draw(name, seed)
    if alone is None:
        return False
    try:
        layer = alone.layer
    except MappingError:
        return False
    found = count(layer, alone.mapping, alone.program.config)
    expected = {
        name: number
        for name, number in alone.counters.items()
        if name != "cycles" and not name.startswith("stall_")
    }
    assert {name: found[name] for name in expected} == expected
    return True


@pytest.mark.parametrize("name", MACHINES)
def test_random_pairs(name: str) -> None:
    covered = sum(check(name, seed) for seed in SEEDS)
    assert covered >= 190
