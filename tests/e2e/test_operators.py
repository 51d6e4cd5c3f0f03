"""Every operator on three machines, in at least 50 random cases each: RTL = golden model to the
byte, RTL = command-level simulator to the cycle and to every counter.

A failure names its operator and seed, and how to replay that case alone.
"""

import os

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from compiler.place import place_network
from sim.network import Conv, Network
from tests.support.agreement import Case, assert_agreement
from tests.support.machines import rtl_machine
from tests.support.operator_cases import OPERATORS
from tests.support.seeds import replayed

CONFIGS = ("tiny", "small", "gemmini16")
SEEDS = range(50)
SOAK_FROM = 100_000


def drawn(operator: str, seed: int) -> Network:
    """The network of ``seed`` without its image."""
    return OPERATORS[operator].draw(np.random.default_rng(seed))[0]


def check(name: str, operator: str, seed: int) -> None:
    """The network of ``seed`` must agree on the machine ``name``."""
    network, image = OPERATORS[operator].draw(np.random.default_rng(seed))
    assert any(OPERATORS[operator].is_one(layer) for layer in network.layers)
    case = Case(program=place_network(network, PRESETS[name]), image=image)
    try:
        assert_agreement(rtl_machine(name), case)
    except AssertionError as error:
        raise AssertionError(
            f"{operator}, seed {seed} on {name}: replay with TILEWRIGHT_SEED={seed} pytest "
            f"'tests/e2e/test_operators.py::test_seed[{operator}-{name}]'"
        ) from error


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_agreement(operator: str, name: str) -> None:
    for seed in SEEDS:
        check(name, operator, seed)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_seed(operator: str, name: str) -> None:
    """The one seed in TILEWRIGHT_SEED."""
    check(name, operator, replayed())


def test_cases_are_enough_and_uneven() -> None:
    """At least 50 cases of each operator, half or more of which do not divide by the array."""
    for operator in OPERATORS:
        networks = [drawn(operator, seed) for seed in SEEDS]
        cases = len({_fingerprint(network) for network in networks})
        for name in CONFIGS:
            uneven = sum(_is_uneven(network, PRESETS[name]) for network in networks)
            print(f"{operator} on {name}: {cases} cases, {uneven} uneven")
            assert cases >= 50
            assert uneven >= cases / 2


def test_long_kernels_are_the_usual_ones() -> None:
    layers = [drawn("kernel 1x7, 7x1, 11x11", seed).layers[0] for seed in SEEDS]
    kernels = {layer.shape.window.kernel for layer in layers if isinstance(layer, Conv)}
    assert kernels >= {(1, 7), (7, 1), (11, 11)}


@pytest.mark.soak
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_soak(operator: str, name: str) -> None:
    cases = int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000")) // 10
    for seed in range(SOAK_FROM, SOAK_FROM + cases):
        check(name, operator, seed)


def _fingerprint(network: Network) -> str:
    """Tells networks apart by all of their sizes and quantisations."""
    return repr([(type(layer), layer.inputs, layer.output) for layer in network.layers])


def _is_uneven(network: Network, config: AcceleratorConfig) -> bool:
    """Whether some layer's channels do not fill the array's rows, or its columns, evenly."""
    return any(
        layer.input.shape.channels % config.rows or layer.output.shape.channels % config.cols
        for layer in network.layers
    )
