"""Small programs for the whole accelerator under cocotb."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from arch.config import AcceleratorConfig
from compiler.driver import compile_file
from compiler.place import place_network
from tests.support.agreement import Case, single_layer
from tests.support.random_layers import (
    RandomLayer,
    SizeLimits,
    random_conv,
    random_fully_connected,
    random_global_average,
    random_pool,
)

LIMITS = SizeLimits(max_height=8, max_width=8, max_channels=10, max_macs=2_500)
KINDS: dict[str, Callable[[np.random.Generator, SizeLimits], RandomLayer]] = {
    "conv": random_conv,
    "fully_connected": random_fully_connected,
    "pool": random_pool,
    "global_average": random_global_average,
}
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def random_case(kind: str, seed: int, config: AcceleratorConfig) -> Case:
    """A layer that takes a few hundred cycles."""
    layer, image = KINDS[kind](np.random.default_rng(seed), LIMITS)
    return Case(program=place_network(single_layer(layer), config), image=image)


def digits_case(number: int, config: AcceleratorConfig) -> Case:
    """The network of real handwriting, and one of its held-out images."""
    compiled = compile_file(DIGITS / "digits_int8.onnx", config)
    images = np.load(DIGITS / "test.npz")["images"][number : number + 1]
    return Case(program=compiled.program, image=compiled.model.input.quantise(images)[0])
