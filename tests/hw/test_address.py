"""The address generator against the sum it stands for."""

import itertools
import random
from typing import Any

import pytest

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, ROW_LOOPS
from hw.address import AffineGenerator
from tests.support.amaranth_sim import simulate, to_verilog

LOOPS = {"execute": EXECUTE_LOOPS, "post": POST_LOOPS}


def signed(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def random_descriptor(rng: random.Random, loops: tuple[str, ...]) -> dict[str, int]:
    """Small and extreme values alike."""
    wide = rng.random() < 0.3
    values = {
        "address": rng.randrange(1 << 20),
        "y": signed(rng.randrange(1 << 16), 16) if wide else rng.randint(-3, 3),
        "x": signed(rng.randrange(1 << 20), 20) if wide else rng.randint(-9, 9),
        "height": rng.randrange(1 << 16) if wide else rng.randint(0, 6),
        "width": rng.randrange(1 << 20) if wide else rng.randint(0, 30),
    }
    for loop in loops:
        values[f"{loop}_count"] = rng.choice([0, 0, 1, 1, 2, 3])
        far = signed(rng.randrange(1 << 20), 20)
        if loop in ROW_LOOPS:
            values[f"{loop}_dy"] = rng.randint(-128, 127) if wide else rng.randint(-1, 2)
            values[f"{loop}_da"] = far
        else:
            values[f"{loop}_dx"] = far if wide else rng.randint(-4, 4)
    return values


def positions(
    descriptor: dict[str, int], loops: tuple[str, ...], address_bits: int
) -> list[dict[str, int]]:
    """All outputs at every position, from the definition."""
    found = []
    counts = [descriptor[f"{loop}_count"] for loop in loops]
    for indices in itertools.product(*(range(count + 1) for count in counts)):

        def total(part: str, indices: tuple[int, ...] = indices) -> int:
            return sum(
                index * descriptor.get(f"{loop}_{part}", 0)
                for index, loop in zip(indices, loops, strict=True)
            )

        y = signed(descriptor["y"] + total("dy"), 16)
        x = signed(descriptor["x"] + total("dx"), 20)
        last = [index == count for index, count in zip(indices, counts, strict=True)]
        found.append(
            {
                "y": y,
                "x": x,
                "address": (descriptor["address"] + total("da") + x) % (1 << address_bits),
                "row_valid": int(0 <= y < descriptor["height"]),
                "room": descriptor["width"] - x,
                "last": sum(flag << k for k, flag in enumerate(last)),
                "end": int(all(last)),
            }
        )
    return found


@pytest.mark.parametrize("address_bits", [20, 9])
@pytest.mark.parametrize("engine", LOOPS)
@pytest.mark.parametrize("seed", range(3))
def test_positions_follow_the_nest(seed: int, engine: str, address_bits: int) -> None:
    rng, loops = random.Random(seed), LOOPS[engine]
    dut = AffineGenerator(loops=loops, address_bits=address_bits)

    def outputs(ctx: Any, expected: dict[str, int]) -> dict[str, int]:
        return {name: ctx.get(getattr(dut, name)) for name in expected}

    async def walk(ctx: Any) -> None:
        for _ in range(12):
            descriptor = random_descriptor(rng, loops)
            ctx.set(dut.descriptor, descriptor)
            # A step together with a load is no step.
            ctx.set(dut.step, rng.random() < 0.5)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            # What follows the load does not matter any more.
            ctx.set(dut.descriptor, random_descriptor(rng, loops))
            walked = positions(descriptor, loops, address_bits)
            if rng.random() < 0.3:  # a load may come before the end
                walked = walked[: rng.randint(1, len(walked))]
            for number, expected in enumerate(walked):
                while rng.random() < 0.2:
                    ctx.set(dut.step, 0)
                    await ctx.tick()
                    assert outputs(ctx, expected) == expected, (descriptor, number)
                ctx.set(dut.step, 1)
                assert outputs(ctx, expected) == expected, (descriptor, number)
                await ctx.tick()
            if walked[-1]["end"]:  # at the end, a step is none
                assert outputs(ctx, walked[-1]) == walked[-1], descriptor

    simulate(dut, walk)


@pytest.mark.parametrize("engine", LOOPS)
def test_converts_to_verilog(engine: str) -> None:
    assert "module dut" in to_verilog(AffineGenerator(loops=LOOPS[engine], address_bits=12))
