"""The array against a matrix product, at the cycles that its contract states."""

import random
from typing import Any

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from arch.timing import array_latency
from hw.systolic import WeightStationaryArray
from tests.support.amaranth_sim import simulate, to_verilog

CYCLES = 300


def array_config(rows: int, cols: int) -> AcceleratorConfig:
    return AcceleratorConfig.from_mapping(
        PRESETS["tiny"].model_dump() | {"rows": rows, "cols": cols}
    )


def schedule(rng: random.Random, rows: int) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    """Cycles of weight rows, as (tile, row), and of swaps, as tiles: often as early as allowed."""
    weights: dict[int, tuple[int, int]] = {}
    swaps: dict[int, int] = {}
    begin, swap, tile = rng.randrange(3), -1, 0
    while begin + rows < CYCLES:
        weights |= {begin + row: (tile, row) for row in range(rows)}
        swap = max(begin + 1, swap + 1) + rng.choice([0, 0, 1, rows, rng.randrange(3 * rows)])
        swaps[swap] = tile
        begin = max(begin + rows, swap) + rng.choice([0, 0, 1, rng.randrange(2 * rows)])
        tile += 1
    return weights, swaps


def int8s(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random, and in some vectors extreme, so that the widest psums occur."""
    values = rng.integers(-128, 128, shape)
    extreme = rng.random(shape[:-1]) < 0.3
    return np.where(extreme[..., None], -128, values)


@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (2, 5), (6, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_psums_are_the_product_with_the_weights_swapped_in(seed: int, rows: int, cols: int) -> None:
    config = array_config(rows, cols)
    dut = WeightStationaryArray(config=config)
    weights, swaps = schedule(random.Random(seed), rows)
    rng = np.random.default_rng(seed)
    tiles = int8s(rng, (len(swaps), rows, cols))
    vectors = int8s(rng, (CYCLES, rows))
    expected: dict[int, list[int]] = {}
    compared = 0

    async def run(ctx: Any) -> None:
        nonlocal compared
        active = None
        for cycle in range(CYCLES):
            tile, row = weights.get(cycle, (rng.integers(len(swaps)), rng.integers(rows)))
            ctx.set(dut.weight_valid, cycle in weights)
            ctx.set(dut.weight_row, int(row))
            ctx.set(dut.weights, tiles[tile, row].tolist())
            active = swaps.get(cycle, active)
            ctx.set(dut.swap, cycle in swaps)
            ctx.set(dut.activations, vectors[cycle].tolist())
            if active is not None:
                expected[cycle + array_latency(config)] = (vectors[cycle] @ tiles[active]).tolist()
            if cycle in expected:
                psums = [ctx.get(dut.psums[column]) for column in range(cols)]
                assert psums == expected[cycle], cycle
                compared += 1
            await ctx.tick()

    simulate(dut, run)
    assert compared > CYCLES // 2


def test_converts_to_verilog() -> None:
    assert "module dut" in to_verilog(WeightStationaryArray(config=array_config(2, 3)))
