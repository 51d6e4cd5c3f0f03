r"""The analytical model equals the command-level simulator, in every counter and in cycles, for
random layers under random mappings.

The seed is in the message. Replay seed 17 on `uneven16`::

    TILEWRIGHT_SEED=17 pytest \
        'tests/sim/analytical/machine/test_random_mappings.py::test_seed[uneven16]'
"""

import os

import numpy as np
import pytest

from arch.errors import CompileError, MappingError
from tests.support.machine_layers import Alone, compile_alone, network_of
from tests.support.machines import CONFIGS
from tests.support.random_fused import random_fused
from tests.support.random_layers import COMPUTING_KINDS, random_layer
from tests.support.random_mappings import random_mapping
from tests.support.random_maps import SizeLimits, of_words
from tests.support.seeds import replayed

MACHINES = ("tiny", "uneven16", "gemmini16")
PAIRS = 200
SOAK_FROM = 100_000
LIMITS = SizeLimits(max_height=12, max_width=12, max_channels=40, max_macs=300_000)


def draw(name: str, seed: int) -> Alone:
    """The layer of ``seed`` alone under a random mapping on the machine ``name``: every fourth a
    convolution with others fused to it.

    Raises ``CompileError`` if no mapping fits, ``LookupError`` if layers are not fused.
    """
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    limits = of_words(LIMITS, config)
    if seed % 4 == 3:
        layers = random_fused(rng, limits)
    else:
        layers = (random_layer(rng, limits, COMPUTING_KINDS)[0],)
    return compile_alone(
        network_of(*layers), config, lambda fused: random_mapping(rng, fused, config)
    )


def check(name: str, seed: int) -> bool:
    """The pair of ``seed`` must agree; False if there is none, or the layer is not covered."""
    try:
        alone = draw(name, seed)
        found = alone.priced
    except (CompileError, LookupError, MappingError):
        return False
    expected = alone.counters
    wrong = {each: (found[each], expected[each]) for each in found if found[each] != expected[each]}
    assert not wrong, f"TILEWRIGHT_SEED={seed} on {name}: (model, command level) {wrong}"
    assert found.keys() == expected.keys()
    return True


@pytest.mark.parametrize("name", MACHINES)
def test_random_pairs(name: str) -> None:
    seeds, covered = iter(range(2 * PAIRS)), 0
    while covered < PAIRS:
        covered += check(name, next(seeds))


@pytest.mark.parametrize("name", MACHINES)
def test_seed(name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    check(name, replayed())


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
def test_soak(name: str) -> None:
    for seed in range(SOAK_FROM, SOAK_FROM + int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))):
        check(name, seed)
