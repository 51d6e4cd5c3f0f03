"""The systolic array under vectors and tiles with random gaps, against matrix products."""

import random
from collections import deque
from typing import Any

import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from arch.config import AcceleratorConfig
from arch.timing import array_latency
from tests.cocotb.watch import PinMonitor, Pins, bounded_test
from tests.support.machines import CONFIGS
from tests.support.streams import bench_parameters, bench_random, random_stalls, start_clock

CYCLES = 2000
LEAST_TILES = 50
Vector = NDArray[np.int64]


def int8s(value: int, count: int) -> Vector:
    """The elements of a vector of int8."""
    return np.frombuffer(value.to_bytes(count, "little"), np.int8).astype(np.int64)


class ArrayModel:
    """Each vector times the tile that the last swap made active."""

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._tiles: deque[list[Vector]] = deque()
        self._coming: list[Vector] = []
        self._active: list[Vector] | None = None
        self._vectors: deque[tuple[Vector, list[Vector] | None]] = deque()

    def hear(self, pins: Pins) -> Vector | None:
        """The inputs of a cycle; gives the psums of the same cycle, None before the first tile."""
        rows, cols = self._config.rows, self._config.cols
        if pins["swap"]:
            self._active = self._tiles.popleft()
        if pins["weight_valid"]:
            if pins["weight_row"] == 0:
                # In use before its last rows are presented.
                self._coming = []
                self._tiles.append(self._coming)
            self._coming.append(int8s(pins["weights"], cols))
        self._vectors.append((int8s(pins["activations"], rows), self._active))
        if len(self._vectors) <= array_latency(self._config):
            return None
        vector, tile = self._vectors.popleft()
        return None if tile is None else vector @ np.array(tile)


class Driver:
    """A vector in every cycle; tiles and swaps as early as allowed, or later."""

    def __init__(self, dut: Any, config: AcceleratorConfig, rng: random.Random) -> None:
        self._dut, self._config, self._rng = dut, config, rng
        self._row, self._is_loaded = config.rows, False
        self._tile_stalls, self._swap_stalls = random_stalls(rng), random_stalls(rng)
        self.tiles = 0

    def cycle(self) -> None:
        """Drive all inputs for the next cycle."""
        dut, rows, cols = self._dut, self._config.rows, self._config.cols
        # A tile may be swapped in from the cycle after its first row on, and the next may begin
        # with that.
        swap = self._is_loaded and not next(self._swap_stalls)
        dut.swap.value = swap
        self.tiles += swap
        if swap:
            self._is_loaded = False
        if self._row == rows and not self._is_loaded and not next(self._tile_stalls):
            self._row, self._is_loaded = 0, True
        valid = self._row < rows
        dut.weight_valid.value = valid
        dut.weight_row.value = self._row if valid else self._rng.randrange(rows)
        self._row += valid
        dut.weights.value = self._bytes(cols)
        dut.activations.value = self._bytes(rows)

    def _bytes(self, count: int) -> int:
        """Elements from the whole range, or of its extremes alone."""
        if self._rng.random() < 0.2:
            return int.from_bytes(self._rng.choices((0x7F, 0x80), k=count), "little")
        return self._rng.getrandbits(8 * count)


@bounded_test
async def psums_are_products_with_the_active_tile(dut: Any) -> None:
    rng, config = bench_random(), CONFIGS[bench_parameters()["config"]]
    driver, model = Driver(dut, config, rng), ArrayModel(config)

    def check(pins: Pins) -> None:
        expected = model.hear(pins)
        if expected is not None:
            bits = config.psum_bits
            wanted = sum(
                (int(value) & (1 << bits) - 1) << bits * column
                for column, value in enumerate(expected)
            )
            assert pins["psums"] == wanted

    inputs = ("activations", "swap", "weight_valid", "weight_row", "weights")
    PinMonitor(dut, (*inputs, "psums")).listeners.append(check)
    dut.swap.value, dut.weight_valid.value = 0, 0
    await start_clock(dut)
    for _ in range(CYCLES):
        driver.cycle()
        await RisingEdge(dut.clk)
    assert driver.tiles > LEAST_TILES
