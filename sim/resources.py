"""How much of an ECP5 a machine takes, from its configuration alone.

Multipliers and block RAMs follow from the structure. LUTs and flip-flops are sums of structural
terms, each a number of bits that the RTL spells out, times coefficients: a least-squares fit of
relative errors to what Yosys made of the configurations in ``resources.csv`` that are not held out.
The fit is done here, once, so that data and coefficients cannot drift apart. ``make synth`` writes
the data, and docs/synthesis.md shows how well the model meets the rest of it.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from arch.config import TABLES, AcceleratorConfig, ceil_div

DATA = Path(__file__).with_name("resources.csv")

COUNTS = ("luts", "flip_flops", "multipliers", "block_rams")
"""The columns of ``resources.csv`` after those of the configuration."""

_BLOCK_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Bits and words of a DP16KD."""
_DISTRIBUTED_BITS, _DISTRIBUTED_WORDS = 4, 16
"""A TRELLIS_DPR16X4."""
_DISTRIBUTED_PER_BLOCK = 32
"""Yosys takes LUT RAM where it needs fewer DPR16X4 than this for each block RAM that it spares. In
its descriptions of memories they cost 4 and 128 (lattice/lutrams_trellis.txt, brams_16kd.txt)."""
LUTS_PER_DISTRIBUTED = 6
"""A DPR16X4 takes the LUTs of three slices."""

_LANE_MULTIPLIERS = {8: 4 + 5, 16: 4 + 8}
"""Of a requantiser lane, by width of an activation: 24 x 24 bits, and those of the operand unit."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a machine takes of an ECP5."""

    luts: int
    """LUT4s: logic, carry chains (2 for each CCU2C) and LUT RAM (6 for each DPR16X4)."""
    flip_flops: int
    multipliers: int
    """MULT18X18D."""
    block_rams: int
    """DP16KD, of 18 Kbit each."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What Yosys made of one configuration."""

    config: AcceleratorConfig
    held_out: bool
    """The model was not fitted to it."""
    yosys: str
    """Version."""
    counts: Resources


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """``count`` memories of ``words`` x ``bits``, read through a register."""

    count: int
    bits: int
    words: int

    @property
    def blocks(self) -> int:
        """Block RAMs for one."""
        return min(
            ceil_div(self.bits, bits) * ceil_div(self.words, words) for bits, words in _BLOCK_SHAPES
        )

    @property
    def distributed(self) -> int:
        """DPR16X4s for one."""
        return ceil_div(self.bits, _DISTRIBUTED_BITS) * ceil_div(self.words, _DISTRIBUTED_WORDS)

    @property
    def in_luts(self) -> bool:
        """Whether Yosys takes LUT RAM."""
        return self.distributed < _DISTRIBUTED_PER_BLOCK * self.blocks


def _memories(config: AcceleratorConfig) -> list[_Memory]:
    """Of the buffers and tables; queues are always LUT RAM, and part of other terms."""
    return [
        _Memory(
            count=config.activation_banks * config.activation_lanes,
            bits=config.activation_bits,
            words=config.activation_words,
        ),
        _Memory(count=config.weight_lanes, bits=config.weight_bits, words=config.weight_words),
        _Memory(count=config.bus_bytes, bits=8, words=config.parameter_words),
        _Memory(
            count=2,
            bits=config.cols * config.accumulator_bits,
            words=config.accumulator_half_entries,
        ),
        _Memory(
            count=config.requantiser_lanes,
            bits=config.bus_bits,
            words=TABLES * config.table_bytes // config.bus_bytes,
        ),
    ]


def _kernel_rows(config: AcceleratorConfig) -> _Memory:
    """Of depthwise convolutions; always LUT RAM, as it is read without a clock."""
    bits = config.depthwise_kernel * config.cols * config.weight_bits
    return _Memory(count=1, bits=bits, words=config.tap_rows)


def block_rams(config: AcceleratorConfig) -> int:
    """DP16KD that the memories take."""
    return sum(memory.count * memory.blocks for memory in _memories(config) if not memory.in_luts)


def multipliers(config: AcceleratorConfig) -> int:
    """MULT18X18D: one for each PE, ``depthwise_kernel`` for each column, those of the requantiser
    lanes, and one that counts the words of kernel rows, where a row has more than one word and
    not a power of two."""
    lanes = config.requantiser_lanes * _LANE_MULTIPLIERS[config.activation_bits]
    counts_words = config.tap_words.bit_count() > 1
    return (config.rows + config.depthwise_kernel) * config.cols + lanes + counts_words


def estimate_resources(config: AcceleratorConfig) -> Resources:
    """What ``config`` takes, by the fit; it has seen arrays of 2 x 2 to 16 x 16 PEs."""
    luts, flip_flops = _fit()
    return Resources(
        luts=_rounded(_lut_terms(config), luts),
        flip_flops=_rounded(_flip_flop_terms(config), flip_flops),
        multipliers=multipliers(config),
        block_rams=block_rams(config),
    )


def read_samples() -> list[Sample]:
    """All of ``resources.csv``."""
    with DATA.open(encoding="utf-8", newline="") as file:
        return [_sample(row) for row in csv.DictReader(file)]


def _sample(row: dict[str, str]) -> Sample:
    counts = {name: int(row.pop(name)) for name in COUNTS}
    held_out, yosys = row.pop("held_out") == "yes", row.pop("yosys")
    values = {name: int(text) if text.isdecimal() else text for name, text in row.items()}
    return Sample(
        config=AcceleratorConfig.from_mapping(values),
        held_out=held_out,
        yosys=yosys,
        counts=Resources(**counts),
    )


def _lut_terms(config: AcceleratorConfig) -> list[float]:
    c = config
    pes = c.rows * c.cols
    beat = c.bus_bytes // c.activation_bytes
    readers, writers = (c.rows, c.cols, c.requantiser_lanes, beat), (beat, c.requantiser_lanes)
    lanes, banks = c.activation_lanes, c.activation_banks
    word_bits = (c.activation_words - 1).bit_length()
    # Two rows from one of the banks, then a shift in steps of 1, 2, 4 ... elements.
    reads = sum((lanes + e) * (banks / 2) + _shift(e, lanes) for e in readers)
    writes = sum(_shift(lanes, lanes) + banks * lanes for _ in writers)
    weight = _shift(c.cols, c.weight_lanes) + _shift(c.weight_lanes, c.weight_lanes)
    parameter = 2 * _shift(c.bus_bytes, c.bus_bytes)
    in_luts = sum(each.count * each.distributed for each in _memories(c) if each.in_luts)
    in_luts += _kernel_rows(c).distributed
    return [
        1,
        pes * c.psum_bits,
        (reads + writes) * c.activation_bits + weight * c.weight_bits + parameter * 8,
        banks * lanes * (word_bits + 4),
        c.cols * c.accumulator_bits,
        c.cols * c.accumulator_bits * c.depthwise_kernel,
        c.requantiser_lanes * (c.activation_bits == 8),
        c.requantiser_lanes * (c.activation_bits == 16),
        c.bus_bits,
        in_luts * LUTS_PER_DISTRIBUTED,
    ]


def _shift(elements: int, lanes: int) -> float:
    """2:1 multiplexers for each bit of an element, to take ``elements`` of them from a row of
    ``lanes`` and its successor, at any place."""
    stages = (lanes - 1).bit_length()
    return elements * stages + lanes


def _flip_flop_terms(config: AcceleratorConfig) -> list[float]:
    c = config
    pe = 2 * c.activation_bits + 3 * c.weight_bits + c.psum_bits
    skew = c.activation_bits * c.rows * (c.rows + 1) / 2
    skew += (c.weight_bits + c.psum_bits) * c.cols * (c.cols - 1) / 2
    beat = c.bus_bytes // c.activation_bytes
    ports = c.rows + c.cols + c.requantiser_lanes + beat
    rows = c.activation_bits * (c.activation_lanes * (c.activation_banks + 2) + ports)
    rows += c.weight_bits * (2 * c.weight_lanes + c.cols)
    # LUT RAM keeps its read register outside.
    registers = sum(each.count * each.bits for each in _memories(c) if each.in_luts)
    # Of each product its register, what goes into its sum, and the sum, which there is without
    # products too; then what was read, beside the products.
    products = c.cols * c.depthwise_kernel * (c.product_bits + 2 * c.accumulator_bits)
    products -= c.cols * c.accumulator_bits * bool(c.depthwise_kernel)
    return [
        1,
        c.rows * c.cols * pe + skew,
        rows + registers + products,
        c.cols * c.accumulator_bits,
        c.requantiser_lanes * (c.activation_bits == 8),
        c.requantiser_lanes * (c.activation_bits == 16),
        c.bus_bits,
    ]


@cache
def _fit() -> tuple[list[float], list[float]]:
    """Coefficients of the terms of LUTs, and of flip-flops."""
    samples = [each for each in read_samples() if not each.held_out]
    return (
        _coefficients(samples, _lut_terms, (each.counts.luts for each in samples)),
        _coefficients(samples, _flip_flop_terms, (each.counts.flip_flops for each in samples)),
    )


def _coefficients(
    samples: list[Sample],
    terms: Callable[[AcceleratorConfig], list[float]],
    counts: Iterable[int],
) -> list[float]:
    """That make the sum of squares of relative errors least."""
    relative = [
        np.array(terms(each.config)) / count for each, count in zip(samples, counts, strict=True)
    ]
    solution, *_ = np.linalg.lstsq(np.array(relative), np.ones(len(samples)), rcond=None)
    return [float(value) for value in solution]


def _rounded(terms: list[float], coefficients: list[float]) -> int:
    return round(sum(a * b for a, b in zip(terms, coefficients, strict=True)))
