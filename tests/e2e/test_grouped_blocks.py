"""Grouped convolutions whose inputs come some groups of columns at a time: RTL = golden model to
the byte, RTL = command-level simulator in every counter.

The seed is in each test's name. Replay seed 17 on `small`::

    TILEWRIGHT_SEED=17 pytest 'tests/e2e/test_grouped_blocks.py::test_seed[small]'
"""

from dataclasses import replace

import numpy as np
import pytest

from arch.layers import ConvShape
from arch.mapping import Order
from compiler.geometry import column_inputs
from compiler.place import place_network
from compiler.program import Program
from tests.support.agreement import FUSING, Case, assert_agreement
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.random_maps import SizeLimits, of_words
from tests.support.random_networks import random_network
from tests.support.seeds import numbered, replayed

SEEDS = {"tiny": 12, "small": 4, "small16": 3, "gemmini16": 2, "uneven": 10, "uneven16": 8}


def conv_of(program: Program) -> ConvShape:
    """The shape of the only layer."""
    (placed,) = program.layers
    assert placed.layer.conv is not None
    return placed.layer.conv.shape


def case_of(name: str, seed: int) -> Case:
    """The case of ``seed`` on the machine ``name``: a layer of which some channels are on chip at a
    time."""
    rng, config = np.random.default_rng(seed), CONFIGS[name]
    limits = SizeLimits(max_height=20, max_width=20, max_channels=12 * config.cols)
    limits = of_words(replace(limits, max_kernel=3, max_macs=3_000_000), config)
    while True:
        network, image = random_network(rng, limits, ("grouped_conv",))
        program = place_network(network, config, without=FUSING)
        shape, block = conv_of(program), program.layers[0].mapping.channel_block
        if column_inputs(shape, config.cols) <= block < shape.ifmap.channels:
            return Case(program=program, image=image)


@pytest.mark.parametrize(("name", "seed"), numbered(SEEDS))
def test_agreement(name: str, seed: int) -> None:
    assert_agreement(rtl_machine(name), case_of(name, seed))


@pytest.mark.parametrize("name", CONFIGS)
def test_seed(name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    assert_agreement(rtl_machine(name), case_of(name, replayed()))


def test_the_seeds_are_worth_it() -> None:
    """One group of columns at a time and several, a last block that is smaller, both orders,
    depthwise layers and others, kernels."""
    cases = [case_of(name, seed) for name in ("tiny", "uneven") for seed in range(SEEDS[name])]
    shapes = [conv_of(case.program) for case in cases]
    mappings = [case.program.layers[0].mapping for case in cases]
    pairs = [(shape, each.channel_block) for shape, each in zip(shapes, mappings, strict=True)]
    cols = CONFIGS["tiny"].cols
    assert {column_inputs(shape, cols) < block for shape, block in pairs[: SEEDS["tiny"]]} == {
        False,
        True,
    }
    assert any(shape.ifmap.channels % block for shape, block in pairs)
    assert {each.order for each in mappings} == set(Order)
    assert {shape.group_inputs > 1 for shape in shapes} == {False, True}
    assert {max(shape.window.kernel) > 1 for shape in shapes} == {False, True}
