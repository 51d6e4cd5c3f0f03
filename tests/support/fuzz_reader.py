"""Coverage-guided fuzzing of the reader of models.

    python -m tests.support.fuzz_reader -runs=100000 -artifact_prefix=build/fuzz/ CORPUS

``CORPUS`` is a folder of models, such as ``write_seeds`` gives, or one input that was left. Other
options are libFuzzer's. Needs the extra ``fuzz``, and Linux. An input that is neither read nor
refused in one line, takes more than ``SECONDS`` of CPU time (or ``HANG`` by the clock), takes
``MEGABYTES`` more than the process held before, or raises a warning ends the run with another
status than 0, and is left in a file.
"""

import os
import random
import resource
import sys
import time
import warnings
from pathlib import Path

import atheris
import onnx
from google.protobuf.message import DecodeError

# Only what is imported here is watched: it must come before any other of our modules. Not the walk
# over every field's bytes: to watch its few branches would take a quarter of the time.
with atheris.instrument_imports(include=["compiler"], exclude=["compiler.wire"]):
    from tests.support.mutate_graphs import graft
    from tests.support.mutate_models import mutated
    from tests.support.read_untrusted import read_untrusted

SECONDS = 5.0
HANG = 60
# With the 110 of Python and its libraries: 512. libFuzzer's own memory grows with the runs.
MEGABYTES = 402
_MEGABYTES_OF_ALL = 4096
_LONGEST = 12 << 10
# How many of the changes are libFuzzer's own, which know nothing of models.
_BLIND = 0.05
_LIMITS = (
    f"-timeout={HANG}",
    f"-rss_limit_mb={_MEGABYTES_OF_ALL}",
    f"-max_len={_LONGEST}",
    # One change after another, without a look at what the first brought, mostly spoils the model.
    "-mutate_depth=1",
)


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    warnings.simplefilter("error")
    # A file in memory: to write one to a disk took most of the time.
    path = Path(f"/proc/self/fd/{os.memfd_create('model')}")

    def read(data: bytes) -> None:
        held, peak = _resident(), _peak()
        started = time.process_time()
        read_untrusted(data, path)
        seconds = time.process_time() - started
        assert seconds <= SECONDS, f"{seconds:.1f} s"
        taken = _peak() - held if _peak() > peak else 0
        assert taken <= MEGABYTES << 20, f"{taken >> 20} MiB"

    arguments = [sys.argv[0], *_LIMITS, *sys.argv[1:]]
    atheris.Setup(arguments, read, custom_mutator=_mutated, custom_crossover=_crossed)
    atheris.Fuzz()


def _resident() -> int:
    """Bytes of memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _peak() -> int:
    """The most that it ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _mutated(data: bytes, limit: int, seed: int) -> bytes:
    chance = random.Random(seed)
    if chance.random() < _BLIND:
        return bytes(atheris.Mutate(data, limit))
    return mutated(data, chance, limit)


def _crossed(first: bytes, second: bytes, limit: int, seed: int) -> bytes:
    model, other = onnx.ModelProto(), onnx.ModelProto()
    try:
        model.ParseFromString(first)
        other.ParseFromString(second)
        graft(model, other, random.Random(seed))
    except (DecodeError, UnicodeDecodeError):
        return first[:limit]
    made: bytes = model.SerializeToString()
    return made if len(made) <= limit else first[:limit]


if __name__ == "__main__":
    main()
