r"""The analytical model equals the command-level simulator, in every counter and in cycles, for
layers that find maps on chip or leave them there.

Layers of random networks are run by themselves, under the compiler's mapping or a random one of
those that it may choose. Their data lie in memory where the network has them, and the model is
given these addresses: it would take others, and bursts are cut at every 4 KiB.

The seed is in the message. Replay seed 17 on `uneven16`::

    TILEWRIGHT_SEED=17 pytest \
        'tests/sim/analytical/machine/test_on_chip.py::test_seed[uneven16]'
"""

import os

import numpy as np
import pytest

from arch.errors import CompileError, MappingError, ModelError
from arch.mapping import Mapping
from compiler.place import choose_mapping
from compiler.plan import Plan
from compiler.tiling import all_mappings
from sim.analytical.machine.bound import least_cycles
from tests.support.machine_layers import Inside, compile_inside
from tests.support.machines import CONFIGS
from tests.support.random_chains import CHAIN_LIMITS, random_chain
from tests.support.random_maps import of_words
from tests.support.seeds import replayed

MACHINES = ("tiny", "small", "uneven16", "gemmini16")
SEEDS = 12
SOAK_FROM = 100_000


def layers(name: str, seed: int) -> list[Inside]:
    """The layers of the network of ``seed`` on the machine ``name``; every second one is under
    mappings by chance.

    Raises ``CompileError`` if one does not fit, ``ModelError`` if no requantiser takes a scale.
    """
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    network, _ = random_chain(rng, of_words(CHAIN_LIMITS, config))

    def choose(plan: Plan, index: int) -> Mapping:
        mappings = all_mappings(plan.layers[index].shape, plan.room(index), config)
        if seed % 2 == 0 or not mappings:
            return choose_mapping(plan, index)
        return mappings[int(rng.integers(len(mappings)))]

    return compile_inside(network, config, choose)


def check(name: str, seed: int) -> set[str]:
    """All layers of ``seed`` that the model covers must agree; which ways of being on chip there
    were."""
    found: set[str] = set()
    for inside in layers(name, seed):
        where = f"TILEWRIGHT_SEED={seed} on {name}, layer {inside.index}"
        try:
            tiling = inside.tiling
        except MappingError:
            continue
        priced, expected = inside.priced, inside.counters
        wrong = {
            each: (priced[each], expected[each])
            for each in priced
            if priced[each] != expected[each]
        }
        assert not wrong, f"{where}: (model, command level) {wrong}"
        assert priced.keys() == expected.keys()
        assert 0 < least_cycles(tiling, priced) <= expected["cycles"], where
        layer = tiling.layer
        if layer.input_home.on_chip:
            found.add("input")
        if layer.operand_home.on_chip:
            found.add("operand")
        if layer.output_home.on_chip:
            found.add("output and memory" if layer.stores else "output")
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_layers_of_random_networks(name: str) -> None:
    found: set[str] = set()
    for seed in range(SEEDS):
        try:
            found |= check(name, seed)
        except CompileError:
            continue
    assert found == {"input", "operand", "output", "output and memory"}


@pytest.mark.parametrize("name", MACHINES)
def test_seed(name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    check(name, replayed())


@pytest.mark.soak
@pytest.mark.parametrize("name", MACHINES)
def test_soak(name: str) -> None:
    for seed in range(SOAK_FROM, SOAK_FROM + int(os.environ.get("TILEWRIGHT_SOAK_CASES", "500"))):
        try:
            check(name, seed)
        except (CompileError, ModelError):
            # It does not fit, or no requantiser takes the scales that were drawn.
            continue
