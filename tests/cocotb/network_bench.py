"""The compiled network of handwritten digits on the whole accelerator, between random stalls."""

from typing import Any

from tests.cocotb.cases import digits_case
from tests.cocotb.machine import Machine
from tests.cocotb.watch import bounded_test
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random


@bounded_test
async def every_map_is_exact(dut: Any) -> None:
    rng, config = bench_random(), CONFIGS[bench_parameters()["config"]]
    machine = Machine(dut, "random", rng)
    await machine.reset()
    await machine.run_exactly(digits_case(rng.randrange(100), config))
