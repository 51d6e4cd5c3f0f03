"""Fetch, decoder, queues, arbiter, control, registers and counters between random stalls."""

import pytest

from arch.commands import Engine
from hw.control import RunControl
from hw.counters import CounterBank
from hw.decode import CommandDecoder
from hw.fetch import CommandFetch
from hw.queue import EngineQueue
from hw.read_arbiter import ReadArbiter
from hw.registers import ControlRegisters
from tests.cocotb.axi_pins import MemoryPins, RegisterPins
from tests.cocotb.seeds import seeds
from tests.support.cocotb_runner import run_cocotb
from tests.support.machines import CONFIGS


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(("engine", "depth"), [(Engine.LOAD, 2), (Engine.EXECUTE, 8)])
def test_queue(engine: Engine, depth: int, seed: int) -> None:
    run_cocotb(
        EngineQueue(engine=engine, depth=depth),
        "tests.cocotb.queue_bench",
        seed=seed,
        parameters={"engine": int(engine), "depth": depth},
    )


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "gemmini16"])
def test_fetch(name: str, seed: int) -> None:
    config = CONFIGS[name]
    fetch = MemoryPins(CommandFetch(config=config), config, bus="memory")
    run_cocotb(fetch, "tests.cocotb.fetch_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
def test_arbiter(seed: int) -> None:
    arbiter = ReadArbiter(config=CONFIGS["small"])
    run_cocotb(arbiter, "tests.cocotb.arbiter_bench", seed=seed, parameters={"config": "small"})


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_decoder(name: str, seed: int) -> None:
    decoder = CommandDecoder(config=CONFIGS[name])
    run_cocotb(decoder, "tests.cocotb.decode_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
def test_control(seed: int) -> None:
    run_cocotb(RunControl(), "tests.cocotb.control_bench", seed=seed)


@pytest.mark.parametrize("seed", seeds(1))
def test_registers(seed: int) -> None:
    registers = RegisterPins(ControlRegisters(config=CONFIGS["tiny"]))
    run_cocotb(registers, "tests.cocotb.registers_bench", seed=seed, parameters={"config": "tiny"})


@pytest.mark.parametrize("seed", seeds(1))
def test_counters(seed: int) -> None:
    run_cocotb(CounterBank(), "tests.cocotb.counters_bench", seed=seed)
