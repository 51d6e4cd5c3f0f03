"""Poolings whose window does not fit on chip: RTL = golden model to the byte, RTL = command-level
simulator in every counter.

The seed is in each test's name. Replay seed 17 on `small`::

    TILEWRIGHT_SEED=17 pytest 'tests/e2e/test_large_windows.py::test_seed[small]'
"""

import numpy as np
import pytest

from compiler.place import place_network
from sim.network import AveragePool, MaxPool
from tests.support.agreement import Case, assert_agreement
from tests.support.large_windows import random_large_window
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.seeds import numbered, replayed

SEEDS = {"tiny": 10, "small": 3, "small16": 2, "gemmini16": 2, "uneven": 8, "uneven16": 6}


def case_of(name: str, seed: int) -> Case:
    """The case of ``seed`` on the machine ``name``; every pooling is taken in parts."""
    network, image = random_large_window(np.random.default_rng(seed), CONFIGS[name])
    program = place_network(network, CONFIGS[name])
    for placed in program.layers:
        if placed.layer.pool is not None:
            assert placed.mapping.window != placed.layer.pool.shape.window.kernel
    return Case(program=program, image=image)


@pytest.mark.parametrize(("name", "seed"), numbered(SEEDS))
def test_agreement(name: str, seed: int) -> None:
    assert_agreement(rtl_machine(name), case_of(name, seed))


@pytest.mark.parametrize("name", CONFIGS)
def test_seed(name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    assert_agreement(rtl_machine(name), case_of(name, replayed()))


def test_the_seeds_are_worth_it() -> None:
    """Both kinds of pooling, blocks of rows and parts of rows, padding, and fused layers."""
    layers = [
        placed
        for name in ("tiny", "uneven")
        for seed in range(SEEDS[name])
        for placed in case_of(name, seed).program.layers
        if placed.layer.pool is not None
    ]
    assert {type(each.layer.pool) for each in layers} == {AveragePool, MaxPool}
    assert {each.layer.input.signed for each in layers} == {False, True}
    assert any(any(each.layer.shape.window.window.padding) for each in layers)
    assert any(each.layer.join is not None and each.layer.table is not None for each in layers)
    kernels = [each.layer.shape.window.window.kernel for each in layers]
    windows = [each.mapping.window for each in layers]
    pairs = list(zip(windows, kernels, strict=True))
    assert any(1 < part[0] < whole[0] and part[1] == whole[1] for part, whole in pairs)
    assert any(part[0] == 1 < whole[0] and part[1] < whole[1] for part, whole in pairs)
