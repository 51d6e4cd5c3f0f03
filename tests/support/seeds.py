"""Seeds of randomised tests, and the one that is to be replayed."""

import os
from collections.abc import Mapping


def numbered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Each name with the seeds from 0 up to its count."""
    return [(name, seed) for name, count in counts.items() for seed in range(count)]


def replayed() -> int:
    """The seed in TILEWRIGHT_SEED, or 0."""
    return int(os.environ.get("TILEWRIGHT_SEED", "0"))
