"""Coverage-guided fuzzing of the reader of models.

    python -m tests.support.fuzz_reader -runs=100000 -artifact_prefix=build/fuzz/ CORPUS

``CORPUS`` is a folder of models, such as ``write_seeds`` gives, or one input that was left. Other
options are libFuzzer's. Needs the extra ``fuzz``. An input that is neither read nor refused in one
line, takes more than ``SECONDS`` or ``MEGABYTES``, or raises a warning ends the run with another
status than 0, and is left in a file.
"""

import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

# Only what is imported here is watched: it must come before any other of our modules.
with atheris.instrument_imports(include=["compiler"]):
    from tests.support.mutate_models import mutated
    from tests.support.read_untrusted import read_untrusted

SECONDS = 20
MEGABYTES = 512
_LONGEST = 1 << 16
# How many of the changes are libFuzzer's own, which know nothing of models.
_BLIND = 0.1


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    warnings.simplefilter("error")
    limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={_LONGEST}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"

        def read(data: bytes) -> None:
            read_untrusted(data, path)

        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], read, custom_mutator=_mutated)
        atheris.Fuzz()


def _mutated(data: bytes, limit: int, seed: int) -> bytes:
    chance = random.Random(seed)
    if chance.random() < _BLIND:
        return bytes(atheris.Mutate(data, limit))
    return mutated(data, chance, limit)


if __name__ == "__main__":
    main()
