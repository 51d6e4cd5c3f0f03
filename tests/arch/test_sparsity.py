"""Densities, and the run-length code's expected size against encoding random words."""

from itertools import product
from math import prod

import numpy as np
import pytest

from arch.errors import ConfigError
from arch.sparsity import DENSE, DensityFile, RunLength, Tensor
from tests.support.run_length import decode, encode, packed

EYERISS = RunLength(codes=(Tensor.IFMAP,))
WORDS = 200_000


def test_a_packed_word_of_eyeriss_holds_three_pairs() -> None:
    assert EYERISS.pairs(16) == 3


@pytest.mark.parametrize("seed", range(20))
def test_words_come_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = (rng.integers(1, 9, 300) * (rng.random(300) < rng.random())).tolist()
    pairs = encode(words, 31)
    assert decode(pairs) == words
    assert max(run for run, _ in pairs) <= 31


@pytest.mark.parametrize("density", [0.0, 0.01, 0.03, 0.1, 0.224, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("bits", [8, 16])
def test_expected_size_is_that_of_random_words(density: float, bits: int) -> None:
    rng = np.random.default_rng(round(1000 * density))
    words = (rng.random(WORDS) < density).astype(int).tolist()
    size = EYERISS.packed_bits * packed(encode(words, 31), EYERISS.pairs(bits))
    # Six times the greatest deviation that so many words may have by chance, sqrt(1/4 WORDS) pairs,
    # and the padding of one packed word.
    chance = 6 * (WORDS / 4) ** 0.5 * EYERISS.packed_bits / EYERISS.pairs(bits)
    tolerance = (chance if 0 < density < 1 else 0) + EYERISS.packed_bits
    assert size == pytest.approx(EYERISS.ratio(density, bits) * WORDS * bits, abs=tolerance)


@pytest.mark.parametrize("density", [0.1, 0.5, 0.8])
def test_words_in_a_pair_are_counted_exactly(density: float) -> None:
    """Every pattern of zeros that one pair of a two-bit run may meet, by its probability."""
    code = RunLength(codes=(Tensor.IFMAP,), run_bits=2)
    taken = 0.0
    for pattern in product((0, 1), repeat=4):
        (run, _), *_ = encode(pattern, 3)
        taken += (run + 1) * prod(density if word else 1 - density for word in pattern)
    bits_of_a_pair = code.packed_bits / code.pairs(16)
    assert code.ratio(density, 16) == pytest.approx(bits_of_a_pair / 16 / taken, rel=1e-12)


def test_a_file() -> None:
    read = DensityFile.from_toml('source = "here"\n[layers.conv1]\nifmap = 0.5\n')
    assert read.layers["conv1"].of(Tensor.IFMAP) == 0.5
    assert read.layers["conv1"].of(Tensor.OFMAP) == DENSE.of(Tensor.OFMAP) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers]", "a density file: source must be given, got no value"),
        (
            'source = "x"\n[layers.a]\nifmap = 1.5',
            "a density file: layers.a.ifmap must be less than or equal to 1, got 1.5",
        ),
        (
            'source = "x"\n[layers.a]\nifmaps = 1',
            "a density file: layers.a.ifmaps is not a key, got 1; did you mean ifmap?",
        ),
    ],
)
def test_mistakes_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DensityFile.from_toml(text)
    assert str(caught.value) == message
