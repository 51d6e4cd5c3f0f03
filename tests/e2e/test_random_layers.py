"""Random layers: RTL = golden model to the byte, RTL = command-level simulator to the cycle and to
every counter.

The seed is in each test's name. Replay seed 17 on `small`::

    TILEWRIGHT_SEED=17 pytest 'tests/e2e/test_random_layers.py::test_seed[small]'
"""

import os

import pytest

from sim.network import Add, AveragePool, Conv, MaxPool, Multiply, Table
from tests.support.agreement import assert_agreement, random_case
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.seeds import replayed

FIXED_SEEDS = range(70)
SOAK_FROM = 100_000


def check(name: str, seed: int) -> None:
    """The layer of ``seed`` must agree on the machine ``name``."""
    assert_agreement(rtl_machine(name), random_case(seed, CONFIGS[name]))


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
    """Every kind of layer is there, at least half do not divide by the array, and some inputs are
    packed."""
    config = CONFIGS[name]
    programs = [random_case(seed, config).program for seed in FIXED_SEEDS]
    layers = [
        layer for program in programs for placed in program.layers for layer in placed.layer.layers
    ]
    assert {type(layer) for layer in layers} == {Conv, MaxPool, AveragePool, Add, Multiply, Table}
    uneven = [
        layer
        for layer in layers
        if layer.output.shape.channels % config.cols or layer.input.shape.channels % config.rows
    ]
    assert len(uneven) >= len(layers) / 2
    assert sum(program.packing is not None for program in programs) >= len(programs) / 10


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
def test_soak(name: str) -> None:
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))
    for seed in range(SOAK_FROM, SOAK_FROM + cases):
        try:
            check(name, seed)
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed} on {name}: replay with TILEWRIGHT_SEED={seed} pytest "
                f"'tests/e2e/test_random_layers.py::test_seed[{name}]'"
            ) from error
