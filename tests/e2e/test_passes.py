"""Random chains of layers through the compiler's passes: with all of them, with none, and with one
left out, RTL bytes are golden, and RTL cycles and counters the command-level simulator's.

The seed is in each test's name. Replay seed 17 on `small`::

    TILEWRIGHT_SEED=17 pytest 'tests/e2e/test_passes.py::test_seed[small]'
"""

import os
from collections import Counter
from collections.abc import Collection

import numpy as np
import pytest

from compiler.passes import PASSES
from compiler.place import place_network
from tests.support.agreement import Case, assert_agreement
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.random_chains import CHAIN_LIMITS, random_chain
from tests.support.random_maps import of_words
from tests.support.seeds import replayed

FIXED_SEEDS = range(20)
SOAK_FROM = 100_000

NAMES = tuple(each.name for each in PASSES)
VARIANTS: tuple[Collection[str], ...] = ((), NAMES, *((name,) for name in NAMES))
"""What is left out, by turns."""


def case_of(seed: int, config: str, without: Collection[str]) -> Case:
    limits = of_words(CHAIN_LIMITS, CONFIGS[config])
    network, image = random_chain(np.random.default_rng(seed), limits)
    return Case(program=place_network(network, CONFIGS[config], without=without), image=image)


def check(name: str, seed: int) -> None:
    """The chain of ``seed`` must agree on the machine ``name``, with all passes and one variant."""
    variant = VARIANTS[1 + seed % (len(VARIANTS) - 1)]
    for without in ((), variant):
        assert_agreement(rtl_machine(name), case_of(seed, name, without))


@pytest.mark.parametrize("seed", FIXED_SEEDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_agreement(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_seed(name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    check(name, replayed())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_fixed_seeds_are_worth_it(name: str) -> None:
    """Every pass does something for many of them."""
    programs = [case_of(seed, name, ()).program for seed in FIXED_SEEDS]
    kinds = Counter(placed.layer.kind for program in programs for placed in program.layers)
    depthwise = ("Conv+Conv",) if CONFIGS[name].depthwise_kernel else ()
    for pair in (*depthwise, "Conv+MaxPool", "Conv+Add", "Conv+Multiply", "Conv+Table"):
        assert sum(count for kind, count in kinds.items() if kind.startswith(pair)) >= 3, kinds
    residents = [each for program in programs for each in program.residents]
    assert len(residents) >= len(programs)
    assert any(each.in_memory for each in residents)


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
def test_soak(name: str) -> None:
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "500"))
    for seed in range(SOAK_FROM, SOAK_FROM + cases):
        try:
            check(name, seed)
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed} on {name}: replay with TILEWRIGHT_SEED={seed} pytest "
                f"'tests/e2e/test_passes.py::test_seed[{name}]'"
            ) from error
