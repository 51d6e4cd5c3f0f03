"""Takes a PE's product register into the multiplier block of an ECP5.

Yosys leaves it beside the block, in flip-flops. In the block it costs nothing, and the longest
way through a PE ends there: a device that is nearly full has blocks that lie far from their PEs.
"""

from arch.config import AcceleratorConfig

PATTERN, BLOCK = "product.v", "block.v"

_PATTERN_TEXT = """\
module registered_product (
    input clk, input signed [{a}:0] a, input signed [{b}:0] b, output reg signed [{p}:0] p);
  always @(posedge clk) p <= a * b;
endmodule
"""

_BLOCK_TEXT = """\
module registered_product (
    input clk, input signed [{a}:0] a, input signed [{b}:0] b, output signed [{p}:0] p);
  MULT18X18D #(.REG_OUTPUT_CLK("CLK0")) _TECHMAP_REPLACE_ (
    {pins},
    .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
    .CLK0(clk), .CE0(1'b1), .RST0(1'b0));
endmodule
"""

_OPERAND_BITS = 18


def script(config: AcceleratorConfig, *, top: str) -> str:
    """Of Yosys: ``synth_ecp5`` with the product registers of all PEs in their blocks.

    Raises an error in Yosys if it does not find one in every PE.
    """
    return (
        f"read_verilog machine.v\nsynth_ecp5 -top {top} -run begin:coarse\n"
        f"{commands(config.rows * config.cols)}synth_ecp5 -top {top} -run coarse:\n"
    )


def commands(pes: int) -> str:
    """Of Yosys, for a design of so many PEs: they raise an error there if they find any more or
    less registered products."""
    return (
        f"proc\nopt_clean\nwreduce t:$mul\nextract -map {PATTERN}\n"
        f"select -assert-count {pes} t:registered_product\ntechmap -map {BLOCK}\n"
    )


def files(config: AcceleratorConfig) -> dict[str, str]:
    """What the script reads besides the machine: a registered product, and the block for it."""
    widths = {
        "a": config.activation_bits - 1,
        "b": config.weight_bits - 1,
        "p": config.activation_bits + config.weight_bits - 1,
    }
    pins = ",\n    ".join(
        (
            _operand("A", "a", config.activation_bits),
            _operand("B", "b", config.weight_bits),
            _product(config.activation_bits + config.weight_bits),
        )
    )
    return {PATTERN: _PATTERN_TEXT.format(**widths), BLOCK: _BLOCK_TEXT.format(**widths, pins=pins)}


def _operand(port: str, name: str, bits: int) -> str:
    """In the upper bits, over zeros: a sign in the lower ones' places would be a wire to each."""
    zeros = _OPERAND_BITS - bits
    wires = ["1'b0"] * zeros + [f"{name}[{bit}]" for bit in range(bits)]
    return ", ".join(f".{port}{pin}({wire})" for pin, wire in enumerate(wires))


def _product(bits: int) -> str:
    zeros = 2 * _OPERAND_BITS - bits
    return ", ".join(f".P{zeros + bit}(p[{bit}])" for bit in range(bits))
