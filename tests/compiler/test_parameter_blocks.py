"""Blocks of parameters come in strips, each when its first block is asked for."""

from arch.presets import PRESETS
from compiler.emit_common import Emission, Placement
from compiler.homes import Home
from compiler.parameter_blocks import ParameterBlocks

# 128 words of 8 bytes: 12 blocks.
CONFIG = PRESETS["small"]
WORDS = 10
BYTES = 80
MEMORY = 1 << 16


def taken(blocks: int, order: list[int], shared: int | None = None) -> list[tuple[int, int, int]]:
    """(offset in memory, address, bytes) of each load, all in bytes."""
    nowhere = Home(memory=None, chip=None)
    place = Placement(index=0, input=nowhere, other=None, output=nowhere, weights=0, parameters=0,
                      table=0, depthwise=0)  # fmt: skip
    ring = ParameterBlocks(
        Emission(place, CONFIG), CONFIG, memory=MEMORY, blocks=blocks, words=WORDS, shared=shared
    )
    found = []
    for block in order:
        region, loads = ring.take(block)
        assert region.stop - region.start == WORDS
        for step in loads:
            dram, address = step.addresses
            found.append((dram - MEMORY, address, step.pattern.fields["row_bytes"]))
            (written,) = step.writes
            assert written.start <= region.start
            assert region.stop <= written.stop
    return found


def test_blocks_that_fit_come_once() -> None:
    assert taken(4, [0, 1, 2, 3] * 3) == [(0, 0, 3 * BYTES), (3 * BYTES, 3 * BYTES, BYTES)]
    loads = taken(12, [*range(12)] * 3)
    assert loads == [(3 * BYTES * strip, 3 * BYTES * strip, 3 * BYTES) for strip in range(4)]


def test_other_blocks_take_the_oldest_strip() -> None:
    loads = taken(13, [*range(13)] * 2)
    strips = [0, 1, 2, 3, 4] * 2
    assert [dram for dram, _, _ in loads] == [3 * BYTES * strip for strip in strips]
    assert [address for _, address, _ in loads] == [3 * BYTES * (n % 4) for n in range(10)]
    assert [size for _, _, size in loads] == [3 * BYTES] * 4 + [BYTES] + [3 * BYTES] * 4 + [BYTES]


def test_half_a_buffer() -> None:
    """Six blocks: one in each strip, and six strips."""
    loads = taken(6, [*range(6)] * 2, shared=1)
    assert loads == [(BYTES * block, 512 + BYTES * block, BYTES) for block in range(6)]
