"""Compares the golden model with every oracle on random layers and counts differences by cause.

``python -m tests.support.oracle_report`` prints the table of docs/numbers.md.
"""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from sim.golden.run import run_layer
from tests.support.oracle_causes import UNEXPLAINED, count_causes
from tests.support.oracle_table import oracles_of
from tests.support.random_layers import random_layer
from tests.support.random_maps import DEFAULT_LIMITS, SizeLimits


@dataclass
class Comparison:
    """What one oracle was seen to do."""

    layers: int = 0
    elements: int = 0
    differing: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    unexplained_seeds: list[int] = field(default_factory=list)


def compare(seeds: Iterable[int], limits: SizeLimits = DEFAULT_LIMITS) -> dict[str, Comparison]:
    """By oracle, the comparison over ``random_layer`` of each seed."""
    comparisons: dict[str, Comparison] = {}
    for seed in seeds:
        layer, maps = random_layer(np.random.default_rng(seed), limits)
        golden = run_layer(layer, *maps).astype(np.int32)
        for oracle in oracles_of(layer):
            outputs = oracle.outputs(layer, maps)
            counts = count_causes(oracle.causes, layer, maps, golden, outputs)
            comparison = comparisons.setdefault(oracle.name, Comparison())
            comparison.layers += 1
            comparison.elements += golden.size
            comparison.differing += int((golden != outputs).sum())
            comparison.causes += counts
            if counts[UNEXPLAINED]:
                comparison.unexplained_seeds.append(seed)
    return comparisons


def table(comparisons: dict[str, Comparison]) -> str:
    """The comparisons as a Markdown table."""
    lines = ["| oracle | layers | elements | differ | causes |", "|---|---|---|---|---|"]
    for name, seen in sorted(comparisons.items()):
        causes = "; ".join(f"{count} {cause}" for cause, count in sorted(seen.causes.items()))
        lines.append(
            f"| {name} | {seen.layers} | {seen.elements} | {seen.differing} | {causes or '-'} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    arguments = parser.parse_args()
    limits = replace(DEFAULT_LIMITS, activation_bits=arguments.bits, weight_bits=arguments.bits)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.layers)
    print(table(compare(seeds, limits)))


if __name__ == "__main__":
    main()
