"""Energy and words of counters one at a time, by hand."""

from collections import Counter

import pytest

from arch.energy import TABLES
from arch.presets import PRESETS
from sim.analytical.machine.energy import energy_parts, words_moved

CONFIG = PRESETS["small16"]
"""8 x 8 PEs; inputs and weights of 16 bits, sums of 48; 2 requantiser lanes; a bus of 64 bits."""
TABLE = TABLES["horowitz45"]
ACTIVATIONS, WEIGHTS = CONFIG.activation_buffer_bytes, CONFIG.weight_buffer_bytes
SUMS, PARAMETERS = CONFIG.accumulator_buffer_bytes, CONFIG.parameter_buffer_bytes


@pytest.mark.parametrize(
    ("name", "place", "words", "size", "bits"),
    [
        ("activation_read_execute", ("buffer", "ifmap"), (8, 0), ACTIVATIONS, 8 * 16),
        ("activation_read_post", ("buffer", "ifmap"), (8, 0), ACTIVATIONS, 8 * 16),
        ("activation_read_operand", ("buffer", "ifmap"), (2, 0), ACTIVATIONS, 2 * 16),
        ("activation_read_store", ("buffer", "psum"), (4, 0), ACTIVATIONS, 64),
        ("activation_write_post", ("buffer", "psum"), (0, 2), ACTIVATIONS, 2 * 16),
        ("accumulator_read", ("buffer", "psum"), (8, 0), SUMS, 8 * 48),
        ("accumulator_drain", ("buffer", "psum"), (8, 0), SUMS, 8 * 48),
        ("accumulator_write", ("buffer", "psum"), (0, 8), SUMS, 8 * 48),
        ("parameter_read", ("buffer", "weight"), (4, 0), PARAMETERS, 64),
        ("table_read", ("buffer", "weight"), (2, 0), CONFIG.table_bytes, 2 * 16),
    ],
)
def test_an_access(
    name: str, place: tuple[str, str], words: tuple[int, int], size: int, bits: int
) -> None:
    counters = Counter({name: 10})
    moved = {where: pair for where, pair in words_moved(counters, CONFIG).items() if any(pair)}
    assert moved == {place: (10 * words[0], 10 * words[1])}
    parts = energy_parts(counters, CONFIG, TABLE, products=False)
    price = TABLE.access(size, bits)[words[0] == 0]
    assert {where: part for where, part in parts.items() if part} == {
        place: pytest.approx(10 * price)
    }


def test_a_beat_from_memory_is_written_to_a_buffer() -> None:
    counters = Counter(weight_write=10, commands=3)
    parts = energy_parts(counters, CONFIG, TABLE, products=False)
    # A command is 8 beats.
    beat = TABLE.scaled(TABLE.memory, 64)
    assert parts["memory", "weight"] == pytest.approx((10 + 3 * 8) * beat)
    assert parts["buffer", "weight"] == pytest.approx(10 * TABLE.access(WEIGHTS, 64)[1])


def test_the_array_works_with_all_of_its_pes() -> None:
    counters = Counter(array_busy=10, weight_read=5)
    parts = energy_parts(counters, CONFIG, TABLE, products=False)
    assert parts["mac", ""] == pytest.approx(10 * 64 * TABLE.multiply(16, 16))
    read, write = TABLE.access(CONFIG.weight_bytes, 16)
    assert parts["spad", "weight"] == pytest.approx(10 * 64 * read + 5 * 8 * write)


def test_products_of_the_post_processor() -> None:
    config = PRESETS["gemmini16"]
    parts = energy_parts(Counter(post_busy=10), config, TABLE, products=True)
    assert parts["mac", ""] == pytest.approx(10 * 3 * 16 * TABLE.multiply(8, 8))
    assert not energy_parts(Counter(post_busy=10), config, TABLE, products=False)["mac", ""]
