"""The accelerator as one Verilog file."""

from amaranth.back import verilog

from arch.config import AcceleratorConfig
from hw.top import Accelerator


def to_verilog(config: AcceleratorConfig) -> str:
    """Verilog of the accelerator; its top module is named as the configuration.

    One self-contained text: the same for the same configuration, on any machine.
    """
    text: str = verilog.convert(
        Accelerator(config=config), name=config.name, emit_src=False, strip_internal_attrs=True
    )
    return text
