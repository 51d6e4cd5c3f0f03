"""Cells are counted as the target's resources."""

import pytest

from tilewright.synthesis.targets import (
    BLOCK_RAMS,
    ECP5,
    FLIP_FLOPS,
    ICE40,
    LUTS,
    MULTIPLIERS,
    OTHERS,
    Counts,
    Target,
)

XC7, XCUP, GOWIN = OTHERS


@pytest.mark.parametrize(
    ("target", "cells", "counts"),
    [
        (
            ECP5,
            {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 4, "TRELLIS_FF": 7}
            | {"MULT18X18D": 5, "DP16KD": 2, "PDPW16KD": 1},
            {LUTS: 28, FLIP_FLOPS: 7, MULTIPLIERS: 5, BLOCK_RAMS: 3},
        ),
        (
            XC7,
            {"LUT1": 1, "LUT6": 2, "INV": 1, "RAM64M": 2, "SRL16E": 3, "CARRY4": 9, "MUXF7": 9}
            | {"FDRE": 4, "FDSE": 1, "DSP48E1": 6, "RAMB18E1": 3, "RAMB36E1": 2},
            {LUTS: 15, FLIP_FLOPS: 5, MULTIPLIERS: 6, BLOCK_RAMS: 3.5},
        ),
        (
            XCUP,
            {"RAM32M16": 1, "LUT3": 4, "CARRY8": 2, "FDRE": 2, "DSP48E2": 1, "RAMB18E2": 1},
            {LUTS: 12, FLIP_FLOPS: 2, MULTIPLIERS: 1, BLOCK_RAMS: 0.5},
        ),
        (
            GOWIN,
            {"LUT4": 1, "ALU": 2, "MUX2_LUT5": 3, "RAM16SDP4": 1, "DFFRE": 3, "DFF": 1}
            | {"MULT9X9": 2, "MULT18X18": 1, "SDPB": 2},
            {LUTS: 7, FLIP_FLOPS: 4, MULTIPLIERS: 3, BLOCK_RAMS: 2},
        ),
        (
            ICE40,
            {"SB_LUT4": 5, "SB_CARRY": 2, "SB_DFFESR": 3, "SB_MAC16": 1, "SB_RAM40_4K": 2},
            {LUTS: 5, FLIP_FLOPS: 3, MULTIPLIERS: 1, BLOCK_RAMS: 2},
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Target) else "",
)
def test_counts(target: Target, cells: dict[str, int], counts: Counts) -> None:
    assert target.count(cells) == counts
