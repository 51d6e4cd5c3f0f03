"""Buffers, address generators, array, accumulators and engines of the data path."""

import pytest

from arch.commands import EXECUTE_LOOPS, POST_LOOPS
from arch.config import AcceleratorConfig
from hw.accumulators import Accumulators
from hw.address import AffineGenerator
from hw.buffer import BankedBuffer
from hw.execute import ExecuteEngine
from hw.post import PostEngine
from hw.requantise import Requantiser
from hw.systolic import WeightStationaryArray
from tests.cocotb.seeds import seeds
from tests.support.cocotb_runner import run_cocotb
from tests.support.machines import CONFIGS


def activation_buffer(config: AcceleratorConfig) -> dict[str, int | str]:
    """Its parameters as in the accelerator, but for fewer words."""
    return {
        "lanes": config.activation_lanes,
        "words": 8,
        "banks": config.activation_banks,
        "readers": f"{config.rows} {config.cols} {config.bus_bytes}",
        "writers": f"{config.bus_bytes} {config.requantiser_lanes}",
    }


def parameter_buffer(config: AcceleratorConfig) -> dict[str, int | str]:
    """A single bank with one port each way."""
    bus = config.bus_bytes
    return {"lanes": bus, "words": 16, "banks": 1, "readers": f"{bus}", "writers": f"{bus}"}


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(
    "parameters",
    [
        activation_buffer(CONFIGS["tiny"]),
        activation_buffer(CONFIGS["uneven"]),
        parameter_buffer(CONFIGS["small"]),
    ],
    ids=["activation-tiny", "activation-uneven", "parameter-small"],
)
def test_buffer(parameters: dict[str, int | str], seed: int) -> None:
    lanes, words, banks = (int(parameters[key]) for key in ("lanes", "words", "banks"))
    readers, writers = (
        tuple(map(int, str(parameters[key]).split())) for key in ("readers", "writers")
    )
    buffer = BankedBuffer(lanes=lanes, words=words, banks=banks, readers=readers, writers=writers)
    run_cocotb(buffer, "tests.cocotb.buffer_bench", seed=seed, parameters=parameters)


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(("loops", "address_bits"), [(EXECUTE_LOOPS, 12), (POST_LOOPS, 20)])
def test_address(loops: tuple[str, ...], address_bits: int, seed: int) -> None:
    run_cocotb(
        AffineGenerator(loops=loops, address_bits=address_bits),
        "tests.cocotb.address_bench",
        seed=seed,
        parameters={"loops": " ".join(loops), "address_bits": address_bits},
    )


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_array(name: str, seed: int) -> None:
    array = WeightStationaryArray(config=CONFIGS[name])
    run_cocotb(array, "tests.cocotb.array_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_accumulators(name: str, seed: int) -> None:
    accumulators = Accumulators(config=CONFIGS[name])
    run_cocotb(
        accumulators, "tests.cocotb.accumulators_bench", seed=seed, parameters={"config": name}
    )


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_execute(name: str, seed: int) -> None:
    engine = ExecuteEngine(config=CONFIGS[name])
    run_cocotb(engine, "tests.cocotb.execute_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_post(name: str, seed: int) -> None:
    engine = PostEngine(config=CONFIGS[name])
    run_cocotb(engine, "tests.cocotb.post_bench", seed=seed, parameters={"config": name})


@pytest.mark.parametrize("seed", seeds(1))
def test_requantiser(seed: int) -> None:
    run_cocotb(Requantiser(), "tests.cocotb.requantise_bench", seed=seed)
