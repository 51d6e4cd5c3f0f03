"""A PE whose product register is in the multiplier block is the same PE."""

from pathlib import Path

import pytest

from arch.config import AcceleratorConfig
from arch.errors import ToolError
from arch.presets import PRESETS
from hw.pe import ProcessingElement
from hw.verilog import component_verilog
from tilewright.synthesis import products
from tilewright.synthesis.tools import SCRIPT, yosys

WIDTHS = [(8, 8), (16, 8), (16, 16)]
"""Bits of an activation, and of a weight."""


def pins(port: str, number: int) -> str:
    return ", ".join(f"{port}{pin}" for pin in reversed(range(number)))


# The modes that a block is used in, no others (Lattice FPGA-TN-02205, ECP5 sysDSP usage guide).
MODEL = f"""\
module MULT18X18D(input {pins("A", 18)}, {pins("B", 18)}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
                  CLK0, CE0, RST0, output {pins("P", 36)});
  parameter REG_OUTPUT_CLK = "NONE";
  wire signed [17:0] a = {{{pins("A", 18)}}};
  wire signed [17:0] b = {{{pins("B", 18)}}};
  reg signed [35:0] p = 0;
  always @(posedge CLK0) p <= a * b;
  assign {{{pins("P", 36)}}} = p;
endmodule
"""

PROOF = """\
read_verilog pe.v
prep -flatten -top pe
design -stash gold
read_verilog pe.v
{commands}
read_verilog model.v
prep -flatten -top pe
design -stash gate
design -copy-from gold -as gold pe
design -copy-from gate -as gate pe
equiv_make gold gate equiv
hierarchy -top equiv
opt -full
wreduce
opt -full
equiv_struct
equiv_simple
equiv_induct
equiv_status -assert
"""


def machine(bits: tuple[int, int]) -> AcceleratorConfig:
    activation, weight = bits
    fields = PRESETS["tiny"].model_dump(exclude={"accumulator_bits"})
    return AcceleratorConfig(**fields | {"activation_bits": activation, "weight_bits": weight})


def prove(folder: Path, config: AcceleratorConfig, block: str, *, pes: int = 1) -> None:
    """Raises ``ToolError`` if a PE with ``block`` in it is another one."""
    files = {
        "pe.v": component_verilog(ProcessingElement(config=config), "pe"),
        "model.v": MODEL,
        SCRIPT: PROOF.format(commands=products.commands(pes)),
        **products.files(config),
        products.BLOCK: block,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    yosys(folder)


def block_of(config: AcceleratorConfig) -> str:
    return products.files(config)[products.BLOCK]


@pytest.mark.parametrize("bits", WIDTHS, ids=str)
def test_a_pe_with_the_block_is_the_same(tmp_path: Path, bits: tuple[int, int]) -> None:
    config = machine(bits)
    prove(tmp_path, config, block_of(config))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [(".P21(p[1])", ".P22(p[1])"), (".A17(a[7])", ".A17(a[6])"), (".B9(1'b0)", ".B9(1'b1)")],
)
def test_another_block_is_told_apart(tmp_path: Path, right: str, wrong: str) -> None:
    config = machine((8, 8))
    block = block_of(config)
    assert right in block
    with pytest.raises(ToolError, match="unproven"):
        prove(tmp_path, config, block.replace(right, wrong))


def test_a_product_that_is_not_found_is_an_error(tmp_path: Path) -> None:
    config = machine((8, 8))
    with pytest.raises(ToolError, match="selection contains 1 elements"):
        prove(tmp_path, config, block_of(config), pes=2)
