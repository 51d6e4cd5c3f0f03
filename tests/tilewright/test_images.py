"""Images from archives; what is refused stands in tests/e2e/test_cli_errors.py."""

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from arch.errors import InputError
from tests.support.command_line import DIGITS
from tilewright.images import load_images

FUZZ_SEED = 5


def test_the_first_images_and_their_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, 3, 4, 4)).astype(np.float32)
    labels = np.arange(5, dtype=np.uint8)
    np.savez(tmp_path / "i.npz", images=images, labels=labels, other=np.zeros(3))
    whole = load_images(tmp_path / "i.npz", None)
    assert whole.labels is not None
    assert np.array_equal(whole.images, images)
    assert np.array_equal(whole.labels, labels)
    assert [whole.images.dtype, whole.labels.dtype] == ["float32", "int64"]
    some = load_images(tmp_path / "i.npz", 2)
    assert some.labels is not None
    assert np.array_equal(some.images, images[:2])
    assert np.array_equal(some.labels, labels[:2])


def test_labels_may_be_missing(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "i.npz", images=np.zeros((2, 7), np.float32))
    assert load_images(tmp_path / "i.npz", None).labels is None


def test_float32_of_the_other_byte_order_is_taken(tmp_path: Path) -> None:
    images = np.arange(12, dtype=">f4").reshape(2, 6)
    np.savez(tmp_path / "i.npz", images=images)
    loaded = load_images(tmp_path / "i.npz", None).images
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, images)


@pytest.mark.parametrize("seed", range(FUZZ_SEED, FUZZ_SEED + 100))
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """Any other exception fails. Replay: the seed is in the test's name."""
    rng = random.Random(seed)
    data = bytearray((DIGITS / "test.npz").read_bytes())
    # The archive's own tables are at both ends.
    for _ in range(rng.randint(1, 8)):
        near_start = rng.random() < 0.5
        place = rng.randrange(300)
        data[place if near_start else len(data) - 1 - place] = rng.randrange(256)
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    path = tmp_path / "i.npz"
    path.write_bytes(data)
    with suppress(InputError):
        load_images(path, None)
