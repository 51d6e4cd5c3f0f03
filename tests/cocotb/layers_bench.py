"""Random layers of every kind on the whole accelerator, crossed with patterns of stalls."""

from typing import Any

import cocotb

from tests.cocotb.cases import KINDS, random_case
from tests.cocotb.machine import PATTERNS, Machine
from tests.cocotb.watch import bounded_test
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random


@bounded_test
@cocotb.parametrize(pattern=list(PATTERNS))
async def layers_are_exact(dut: Any, pattern: str) -> None:
    rng, config = bench_random(), CONFIGS[bench_parameters()["config"]]
    machine = Machine(dut, pattern, rng)
    await machine.reset()
    seed = rng.getrandbits(32)
    for kind in KINDS:
        await machine.run_exactly(random_case(kind, seed, config))
