"""Zeros in a layer's data, given as densities, and a code that makes use of them."""

from enum import StrEnum
from math import expm1, log1p
from typing import Annotated, ClassVar, Self

import tomli_w
from pydantic import Field, model_validator

from arch.toml_model import TomlModel

Density = Annotated[float, Field(ge=0, le=1)]


class Tensor(StrEnum):
    """What a layer reads from memory, and what it leaves there."""

    IFMAP = "ifmap"
    WEIGHT = "weight"
    OFMAP = "ofmap"


class Densities(TomlModel):
    """Parts of a layer's words that are not zero; 1 is dense."""

    ifmap: Density = 1.0
    """Of the inputs, padding included."""
    weight: Density = 1.0
    """Of the weights."""
    ofmap: Density = 1.0
    """Of the finished outputs, as they are written to memory."""

    def of(self, tensor: Tensor) -> float:
        """Density of ``tensor``."""
        density: float = getattr(self, tensor.value)
        return density


DENSE = Densities()
"""No zeros."""


class DensityFile(TomlModel):
    """Densities of a network's layers; layers that are left out are dense."""

    KIND: ClassVar[str] = "a density file"

    source: Annotated[str, Field(min_length=1)]
    """Where the numbers stand, or how they were measured."""
    layers: dict[str, Densities]
    """A table for each layer, by its name."""

    def to_toml(self) -> str:
        """The text of the file."""
        return tomli_w.dumps(self.model_dump(mode="json"))


class RunLength(TomlModel):
    """A run-length code for what passes between memory and chip, as Eyeriss has it.

    A pair is a run, the number of zeros before a word, and a level, that word. After the longest
    run the next word is a level whatever it is. As many pairs as fit, and one bit that tells the
    last of them, make a packed word: three pairs of 5 and 16 bits in 64 (Chen et al., JSSC 52(1),
    2017).
    """

    codes: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    """What is coded where that makes it smaller: ifmap, weight, ofmap (finished outputs; sums that
    come back are sent as they are)."""
    run_bits: Annotated[int, Field(ge=1, le=16)] = 5
    """Width of a run."""
    packed_bits: Annotated[int, Field(ge=8, le=1024)] = 64
    """Width of a packed word."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.codes)) < len(self.codes):
            raise ValueError(f"what is coded must be given once, got {', '.join(self.codes)}")
        return self

    def pairs(self, bits: int) -> int:
        """Pairs of levels of ``bits`` bits in a packed word; 0 if not one fits."""
        return (self.packed_bits - 1) // (self.run_bits + bits)

    def ratio(self, density: float, bits: int) -> float:
        """Expected size of a long stream of ``bits``-bit words, coded over as it is.

        If words are zero independently, with probability z = 1 - ``density``, a pair takes up more
        than i words with probability z^i, for i up to the longest run L. That is on average
        (1 - z^(L + 1)) / (1 - z) words, and a stream has as many pairs as it has words over that
        (elementary renewal theorem). The padding of the last packed word is left out.
        """
        taken = float(1 << self.run_bits)
        if density > 0:
            # 1 - z^(L + 1), also for densities near 0.
            none_before = -expm1(taken * log1p(-density)) if density < 1 else 1.0
            taken = none_before / density
        return self.packed_bits / (self.pairs(bits) * bits * taken)
