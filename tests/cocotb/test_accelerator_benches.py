"""The whole accelerator, with cocotbext-axi at both of its buses."""

import pytest

from hw.top import Accelerator
from tests.cocotb.seeds import seeds
from tests.support.cocotb_runner import run_cocotb
from tests.support.machines import CONFIGS

NAME = "tiny"


def run(bench: str, seed: int) -> None:
    accelerator = Accelerator(config=CONFIGS[NAME])
    run_cocotb(accelerator, f"tests.cocotb.{bench}", seed=seed, parameters={"config": NAME})


@pytest.mark.parametrize("seed", seeds(1))
def test_layers(seed: int) -> None:
    run("layers_bench", seed)


@pytest.mark.parametrize("seed", seeds(1))
def test_network(seed: int) -> None:
    run("network_bench", seed)


@pytest.mark.parametrize("seed", seeds(1))
def test_faults(seed: int) -> None:
    run("faults_bench", seed)
