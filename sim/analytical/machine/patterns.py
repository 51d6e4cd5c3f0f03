"""What the timing laws read of a command, as the simulator's patterns.

Fields that no law reads are 0: these commands can be timed, not run.
"""

from functools import cache

from arch.commands import (
    EXECUTE_LOOPS,
    POST_LOOPS,
    ROW_LOOPS,
    Engine,
    LoadTarget,
    Pattern,
    PostMode,
    PostOperand,
    PostSource,
)
from sim.analytical.machine.layer import MachineLayer


def _loops(names: tuple[str, ...], counts: tuple[int, ...]) -> dict[str, int]:
    fields = {"y": 0, "x": 0, "height": 0, "width": 0}
    for name, count in zip(names, counts, strict=True):
        fields[f"{name}_count"] = count - 1
        fields[f"{name}_{'dy' if name in ROW_LOOPS else 'dx'}"] = 0
    return fields


@cache
def load_pattern(target: LoadTarget, pitch: int, size: int, number: int) -> Pattern:
    """A load of ``number`` rows of ``size`` bytes."""
    return Pattern(Engine.LOAD, {"target": target, **_transfer(pitch, size, number)})


@cache
def store_pattern(pitch: int, size: int, number: int) -> Pattern:
    """A store of ``number`` rows of ``size`` bytes."""
    return Pattern(Engine.STORE, _transfer(pitch, size, number))


def _transfer(pitch: int, size: int, number: int) -> dict[str, int]:
    return {"dram_pitch": pitch, "row_bytes": size, "rows": number - 1, "buffer_pitch": 0}


@cache
def execute_pattern(tiles: int, height: int, width: int) -> Pattern:
    """An execute command: ``tiles`` tiles of weights meet ``height`` x ``width`` vectors each."""
    loops = _loops(EXECUTE_LOOPS, (1, 1, tiles, height, width))
    return Pattern(Engine.EXECUTE, {**loops, "accumulate": 0})


def post_pattern(layer: MachineLayer, height: int, width: int, channels: int) -> Pattern:
    """A post command that makes ``height`` x ``width`` outputs of ``channels`` channels."""
    window = layer.window.window
    kernel, lead, skip = window.kernel, 0, 0
    if layer.products:
        # A window is one column of the kernel; the first ones of a row give no output.
        lead, skip = window.kernel[1] - 1, window.stride[1] - 1
        width = (width - 1) * window.stride[1] + window.kernel[1]
        kernel = window.kernel[0], 1
    return Pattern(
        Engine.POST,
        {
            **_loops(POST_LOOPS, (height, width, *kernel)),
            "channels": channels - 1,
            "source": PostSource.ACCUMULATOR if layer.conv else PostSource.ACTIVATION,
            "mode": PostMode.PRODUCTS if layer.products else PostMode.MAX,
            "kernel_rows": window.kernel[0] - 1 if layer.products else 0,
            "lead": lead,
            "skip": skip,
            "continues": 0,
            "operand": PostOperand.ADD if layer.operand else PostOperand.NONE,
            "table": int(layer.table),
        },
    )
