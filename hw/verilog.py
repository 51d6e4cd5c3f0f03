"""The accelerator as one Verilog file."""

import re
from typing import TYPE_CHECKING

from arch.config import AcceleratorConfig

if TYPE_CHECKING:
    from amaranth.lib import wiring

_ELEMENT_ALIAS = re.compile(r"^  (?:wire|reg|assign) (?:\[\d+:0\] )?\\\S*\[\S* .*;\n", re.MULTILINE)
"""A second name for one element of an array: `wire [7:0] \\sums[2] ;` or its assignment."""

_ZERO_WORDS = re.compile(
    r"  initial begin\n"
    r"(?P<words>    (?P<name>\w+)\[0\] = (?P<zero>\d+'h0+);\n"
    r"(?:    (?P=name)\[\d+\] = (?P=zero);\n)*)"
    r"  end\n"
)


def to_verilog(config: AcceleratorConfig) -> str:
    """Verilog of the accelerator; its top module is ``config.module_name``.

    One self-contained text: the same for the same configuration, on any machine.
    """
    # Imported where hardware is made: few commands do, and Amaranth takes its time.
    from hw.top import Accelerator

    return component_verilog(Accelerator(config=config), config.module_name)


def component_verilog(component: "wiring.Component", name: str) -> str:
    """Verilog of a component that has clock domains of its own; its top module is ``name``."""
    from amaranth.back import verilog

    text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    # Yosys's ABC9 takes `\sums[2] ` for bit 2 of `sums`, and joins what is not connected.
    text = _ELEMENT_ALIAS.sub("", text)
    return _ZERO_WORDS.sub(_clear_in_loop, text)


def _clear_in_loop(match: re.Match[str]) -> str:
    """The clearing of a memory as a loop: word by word it is nine tenths of the text."""
    name, zero = match["name"], match["zero"]
    words = match["words"].count("\n")
    return (
        f"  initial begin : clear_{name}\n"
        "    integer i;\n"
        f"    for (i = 0; i < {words}; i = i + 1)\n"
        f"      {name}[i] = {zero};\n"
        "  end\n"
    )
