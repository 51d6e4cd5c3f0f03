"""The requantiser, an element in every cycle, against the golden model."""

import random
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from cocotb.triggers import RisingEdge

from arch.layers import FeatureMap
from arch.post_timing import REQUANTISE_LATENCY
from sim.golden.requantise import requantise
from sim.network import TensorSpec
from tests.cocotb.watch import PinMonitor, Pins, bounded_test, to_signed
from tests.support.streams import bench_random, start_clock

PHASES, ELEMENTS = 12, 400


HELD = ("zero_point", "low", "high")


def golden(rows: list[Pins]) -> list[int]:
    """Outputs of the inputs of some cycles in which output type and clamp are the same."""
    zero_point, low, high = (to_signed(rows[0][name], 9) for name in HELD)
    output = TensorSpec(
        name="output",
        shape=FeatureMap(height=1, width=1, channels=len(rows)),
        signed=min(zero_point, low) < 0,
        scale=np.float32(1),
        zero_point=zero_point,
    )
    found = requantise(
        np.array([row["value"] for row in rows], np.uint32).view(np.int32),
        np.array([row["multiplier"] for row in rows], np.uint32).view(np.float32),
        output,
        (low, high),
    )
    return [int(value) for value in found]


def random_value(rng: random.Random) -> int:
    """Of any magnitude, with runs of equal bits, and the extremes."""
    kind = rng.choice(("any", "any", "power", "extreme"))
    if kind == "extreme":
        return rng.choice((0, 1, -1, (1 << 31) - 1, -(1 << 31)))
    value = rng.getrandbits(rng.randint(1, 31))
    if kind == "power":
        value = (1 << rng.randrange(31)) + rng.randint(-2, 2)
    return rng.choice((value, -value))


def random_multiplier(rng: random.Random, value: int) -> int:
    """Bits of a positive float32: a product near an output, on a tie, or anything normal."""
    if rng.random() < 0.2:
        return rng.getrandbits(23) | rng.randint(1, 0xFE) << 23
    target = rng.choice((rng.uniform(0.1, 300), rng.randint(0, 255) + 0.5))
    return int(np.float32(target / max(abs(value), 1)).view(np.uint32))


@bounded_test
async def outputs_are_the_golden_models(dut: Any) -> None:
    rng = bench_random()
    heard: list[Pins] = []
    PinMonitor(dut, ("value", "multiplier", *HELD, "result")).listeners.append(heard.append)
    dut.value.value, dut.multiplier.value = 0, 1 << 23
    await start_clock(dut)
    for _ in range(PHASES):
        least, most = rng.choice(((-128, 127), (0, 255)))
        low, high = sorted(rng.randint(least, most) for _ in range(2))
        dut.zero_point.value, dut.low.value, dut.high.value = rng.randint(least, most), low, high
        for _ in range(ELEMENTS):
            value = random_value(rng)
            dut.value.value = value
            dut.multiplier.value = random_multiplier(rng, value)
            await RisingEdge(dut.clk)
    compared = 0
    for _, phase in groupby(heard, key=itemgetter(*HELD)):
        rows = list(phase)
        results = [to_signed(row["result"], 9) for row in rows[REQUANTISE_LATENCY:]]
        assert results == golden(rows)[: len(results)]
        compared += len(results)
    assert compared > PHASES * (ELEMENTS - REQUANTISE_LATENCY) - 2
