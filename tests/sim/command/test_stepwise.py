"""A timeline worked out bit by bit is the whole one, and equal states have equal futures."""

import numpy as np
import pytest

from arch.commands import Command, Engine, Pattern
from sim.command.bursts import burst_beats, burst_phase
from sim.command.stepwise import StepwiseTimeline
from tests.support.agreement import random_case
from tests.support.machines import CONFIGS


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_in_portions(name: str, seed: int) -> None:
    case, rng = random_case(seed, CONFIGS[name]), np.random.default_rng(seed)
    commands, expected = case.program.commands, case.timeline.counters
    timeline, given = StepwiseTimeline(CONFIGS[name], len(commands)), 0
    while given < len(commands):
        size = int(rng.integers(1, 9))
        timeline.give(commands[given : given + size])
        given += size
        # Looking at it changes nothing.
        timeline.state()
    found = timeline.end()
    for counter in ("cycles", "stall_load", "stall_post", "stall_store"):
        assert found[counter] == expected[counter], counter
    assert found["held"] == expected["stall_weights"] + expected["array_busy"]


@pytest.mark.parametrize("seed", range(200))
def test_bursts_follow_from_the_phase(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bus, limit = int(rng.choice([4, 8, 16])), int(rng.choice([8, 64]))
    size = int(rng.integers(1, 200))
    pitch = int(rng.choice([size, 64, 256, 1024, int(rng.integers(size, 5000))]))
    rows = int(rng.integers(1, 20))
    fields = {"row_bytes": size, "rows": rows - 1, "dram_pitch": pitch}
    pattern = Pattern(Engine.STORE, fields)

    def beats(address: int) -> tuple[int, ...]:
        return tuple(burst_beats(Command(pattern, (address, 0), ()), bus, limit))

    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for address in rng.integers(0, 1 << 16, size=60).tolist():
        phase = burst_phase(address, size, pitch if rows > 1 else 0, bus)
        assert found.setdefault(phase, beats(address)) == beats(address)
