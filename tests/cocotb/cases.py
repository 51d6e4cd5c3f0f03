"""Small programs for the whole accelerator under cocotb."""

from pathlib import Path

import numpy as np

from arch.config import AcceleratorConfig
from compiler.driver import compile_file
from compiler.place import place_network
from tests.support.agreement import FUSING, Case
from tests.support.random_maps import SizeLimits
from tests.support.random_networks import NETWORK_KINDS, random_network

LIMITS = SizeLimits(max_height=8, max_width=8, max_channels=10, max_macs=2_500)
KINDS = NETWORK_KINDS
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def random_case(kind: str, seed: int, config: AcceleratorConfig) -> Case:
    """A network of one kind, each layer by itself, that takes a few hundred cycles."""
    network, image = random_network(np.random.default_rng(seed), LIMITS, (kind,))
    return Case(program=place_network(network, config, without=FUSING), image=image)


def digits_case(number: int, config: AcceleratorConfig) -> Case:
    """The network of real handwriting, and one of its held-out images."""
    compiled = compile_file(DIGITS / "digits_int8.onnx", config)
    images = np.load(DIGITS / "test.npz")["images"][number : number + 1]
    return Case(program=compiled.program, image=compiled.model.input.quantise(images)[0])
