"""Models damaged at random: each is read, or refused in one line, in little time and memory."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.fuzz_seeds import write_seeds
from tests.support.mutate_models import mutated
from tests.support.qdq_graph import QdqGraph
from tests.support.read_untrusted import read_untrusted

CASES = 600
SECONDS = 5.0
# Beyond what the process took before.
KILOBYTES = 512 << 10
# Of guided fuzzing, for each case of `make soak N=...`: 10^6 with N=20000.
RUNS = 50


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [path.read_bytes() for path in write_seeds(tmp_path_factory.mktemp("seeds"))]


def test_the_seeds_are_read(seeds: list[bytes], tmp_path: Path) -> None:
    assert len(seeds) > 20
    assert [read_untrusted(seed, tmp_path / "m.onnx") for seed in seeds] == [""] * len(seeds)


@pytest.mark.parametrize("case", range(CASES))
def test_a_damaged_model(case: int, seeds: list[bytes], tmp_path: Path) -> None:
    """Replay: the case is in the test's name."""
    chance = random.Random(case)
    data = mutated(chance.choice(seeds), chance)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    read_untrusted(data, tmp_path / "m.onnx")
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES


@pytest.mark.parametrize(
    ("operator", "sizes", "attributes"),
    [
        ("MaxPool", (4, 4), {"kernel_shape": [1000, 1], "pads": [10**5, 0, 0, 0]}),
        ("MaxPool", (10**5, 4), {"kernel_shape": [5 * 10**4, 1]}),
        ("AveragePool", (10**5, 4), {"kernel_shape": [5 * 10**4, 1]}),
        ("AveragePool", (2**13, 2**14), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("LRN", (2**11, 2**12), {"size": 3}),
    ],
)
def test_large_maps_and_windows(
    operator: str, sizes: tuple[int, int], attributes: dict[str, Any], tmp_path: Path
) -> None:
    """A small file may ask for arrays of gigabytes; none is needed to read it."""
    model = QdqGraph(shape=(1, 1, *sizes)).qdq().node(operator, **attributes).qdq().model()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    read_untrusted(model.SerializeToString(), tmp_path / "m.onnx")
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES


def test_damage_is_various(seeds: list[bytes], tmp_path: Path) -> None:
    """Some of the models are still read, and the others meet many rules."""
    found = []
    for case in range(CASES):
        chance = random.Random(case)
        found.append(read_untrusted(mutated(chance.choice(seeds), chance), tmp_path / "m.onnx"))
    assert found.count("") > CASES / 20
    assert len({message[-40:] for message in found}) > 50


@pytest.mark.soak
def test_guided_fuzzing(tmp_path: Path) -> None:
    """What ends it is left in ``build/fuzz``: give that file to ``tests.support.fuzz_reader``."""
    (tmp_path / "corpus").mkdir()
    write_seeds(tmp_path / "corpus")
    left = Path("build/fuzz")
    left.mkdir(parents=True, exist_ok=True)
    runs = RUNS * int(os.environ.get("TILEWRIGHT_SOAK_CASES", "2000"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.fuzz_reader", f"-runs={runs}",
         f"-artifact_prefix={left}/", "-verbosity=0", tmp_path / "corpus"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
