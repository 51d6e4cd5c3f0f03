"""Which fields of a command count bytes of whole elements."""

from arch.commands import EXECUTE_LOOPS, POST_LOOPS, Engine, walk_fields
from arch.config import AcceleratorConfig

_TRANSFER = ("dram_address", "dram_pitch", "row_bytes", "buffer_address", "buffer_pitch")
_OUTPUTS = tuple(
    f"{prefix}_{part}" for prefix in ("out", "operand") for part in ("address", "py", "px")
)

WHOLE: dict[Engine, tuple[str, ...]] = {
    Engine.LOAD: _TRANSFER,
    Engine.STORE: _TRANSFER,
    Engine.EXECUTE: (*walk_fields(EXECUTE_LOOPS), "weight_address"),
    Engine.POST: (*walk_fields(POST_LOOPS), *_OUTPUTS),
}
"""Those that must be multiples of an element: a post command's, where it reads activations."""


def whole_elements(
    engine: Engine, values: dict[str, int], config: AcceleratorConfig
) -> dict[str, int]:
    """``values`` with the fields of ``WHOLE`` rounded down to whole activations."""
    unit = config.activation_bytes
    return values | {name: values[name] // unit * unit for name in WHOLE[engine]}
