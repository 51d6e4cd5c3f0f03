"""Load and store engine between random stalls, with cocotbext-axi as the memory."""

import pytest

from hw.load import LoadEngine
from hw.store import StoreEngine
from tests.cocotb.axi_pins import MemoryPins
from tests.cocotb.seeds import seeds
from tests.support.cocotb_runner import run_cocotb
from tests.support.machines import CONFIGS

NAMES = ("tiny", "small", "gemmini16")


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", NAMES)
def test_load(name: str, seed: int) -> None:
    config = CONFIGS[name]
    engine = MemoryPins(LoadEngine(config=config), config, bus="memory")
    run_cocotb(engine, "tests.cocotb.load_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", NAMES)
def test_store(name: str, seed: int) -> None:
    config = CONFIGS[name]
    engine = MemoryPins(StoreEngine(config=config), config, bus="memory")
    run_cocotb(engine, "tests.cocotb.store_bench", seed=seed, parameters={"config": name})
