"""The configurations that the resource model is fitted to and judged by, and their counts."""

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import asdict

from arch.config import AcceleratorConfig, ceil_power_of_two
from arch.errors import ConfigError
from arch.presets import PRESETS
from sim.resources import COUNTS, LUTS_PER_DISTRIBUTED, Resources, Sample
from tilewright.synthesis.targets import (
    BLOCK_RAMS,
    ECP5,
    FLIP_FLOPS,
    LUTS,
    MULTIPLIERS,
    TARGETS,
)
