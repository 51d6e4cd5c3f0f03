"""The FPGAs that machines are synthesised for, and how their cells are counted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from arch.config import AcceleratorConfig
from sim.resources import LUTS_PER_DISTRIBUTED

LUTS, FLIP_FLOPS, MULTIPLIERS, BLOCK_RAMS = "LUT", "FF", "DSP", "block RAM"
RESOURCES = (LUTS, FLIP_FLOPS, MULTIPLIERS, BLOCK_RAMS)

Counts = dict[str, float]
"""Number by resource."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An FPGA family."""

    name: str
    command: str
    """Of Yosys."""
    cells: Mapping[str, Mapping[str, float]]
    """By resource: how many of it a cell takes, by a pattern of the cell's whole name."""
    units: str
    """What the resources are called there."""

    def count(self, cells: Mapping[str, int]) -> Counts:
        """The resources that a netlist of ``cells`` takes."""
        return {
            resource: sum(
                number * share
                for pattern, share in self.cells[resource].items()
                for cell, number in cells.items()
                if re.fullmatch(pattern, cell)
            )
            for resource in RESOURCES
        }


ECP5 = Target(
    name="Lattice ECP5",
    command="synth_ecp5",
    cells={
        LUTS: {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": LUTS_PER_DISTRIBUTED},
        FLIP_FLOPS: {"TRELLIS_FF": 1},
        MULTIPLIERS: {"MULT18X18D": 1},
        BLOCK_RAMS: {"DP16KD|PDPW16KD": 1},
    },
    units="LUT4 (2 for a CCU2C, 6 for a TRELLIS_DPR16X4), TRELLIS_FF, MULT18X18D, DP16KD (18 Kbit)",
)

_XILINX_LUTS = {
    "LUT[1-6]|INV|SRL16E|SRLC32E": 1,
    "RAM(32|64)X1S": 1,
    "RAM(32|64)X1D|RAM128X1S": 2,
    "RAM(32M|64M|128X1D)": 4,
    "RAM(32M16|64M8)": 8,
}
_XILINX_FLIP_FLOPS = {"FD[RSCP]E(_1)?": 1}

OTHERS = (
    Target(
        name="Xilinx 7",
        command="synth_xilinx -family xc7",
        cells={
            LUTS: _XILINX_LUTS,
            FLIP_FLOPS: _XILINX_FLIP_FLOPS,
            MULTIPLIERS: {"DSP48E1": 1},
            BLOCK_RAMS: {"RAMB36E1": 1, "RAMB18E1": 0.5},
        },
        units="LUT6 (LUT RAM included), FDxE, DSP48E1, RAMB36E1 (a RAMB18E1 is half of one)",
    ),
    Target(
        name="Xilinx UltraScale+",
        command="synth_xilinx -family xcup",
        cells={
            LUTS: _XILINX_LUTS,
            FLIP_FLOPS: _XILINX_FLIP_FLOPS,
            MULTIPLIERS: {"DSP48E2": 1},
            BLOCK_RAMS: {"RAMB36E2": 1, "RAMB18E2": 0.5},
        },
        units="LUT6 (LUT RAM included), FDxE, DSP48E2, RAMB36E2 (a RAMB18E2 is half of one)",
    ),
    Target(
        name="Gowin",
        command="synth_gowin",
        cells={
            # MUX2_LUT5 and wider choose between LUTs, and take none.
            LUTS: {"LUT[1-4]|ALU": 1, "RAM16S(DP)?[124]": 4},
            FLIP_FLOPS: {"DFF[A-Z]*": 1},
            MULTIPLIERS: {"MULT(9X9|18X18|36X36)|MULTALU.*|MULTADDALU.*|MULT[0-9]+X[0-9]+": 1},
            BLOCK_RAMS: {"(SP|SPX9|SDPB|SDPX9B|DPB|DPX9B)": 1},
        },
        units="LUT4 (one for an ALU, 4 for a RAM16), DFF, multipliers, BSRAM (18 Kbit)",
    ),
)
"""Families that Yosys alone is run for."""

ICE40 = Target(
    name="Lattice iCE40",
    command="synth_ice40 -dsp",
    cells={
        LUTS: {"SB_LUT4": 1},
        FLIP_FLOPS: {"SB_DFF[A-Z]*": 1},
        MULTIPLIERS: {"SB_MAC16": 1},
        BLOCK_RAMS: {"SB_RAM40_4K[NRW]*": 1},
    },
    units="SB_LUT4, SB_DFF, SB_MAC16, SB_RAM40_4K (4 Kbit)",
)

ICE40_MACHINE = AcceleratorConfig(
    name="ice40_2x4",
    rows=2,
    cols=4,
    activation_buffer_bytes=2048,
    activation_banks=2,
    weight_buffer_bytes=1024,
    accumulator_buffer_bytes=512,
    parameter_buffer_bytes=128,
    requantiser_lanes=1,
    bus_bits=32,
    burst_beats=16,
    outstanding_bursts=2,
    command_queue_depth=2,
    memory_latency=20,
    memory_bytes_per_cycle=4,
)
"""As small as a machine with 2 x 4 PEs sensibly is."""
