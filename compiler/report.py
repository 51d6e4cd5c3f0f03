"""What the compiler decided for each layer, and what it expects of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from arch.commands import Command, Engine, LoadTarget
from compiler.program import PlacedLayer, Program
from sim.command.timeline import TimelineSimulator


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer run by itself: expected cycles and traffic, and the on-chip bytes it uses."""

    name: str
    kind: str
    """Of one layer, or of those that run as one, joined by ``+``."""
    output: str
    output_in: str
    """Where the output goes: memory, chip, or both."""
    tile: str
    """Output height x width x channels; then the part of the window that is taken at a time, if
    that is not all of it."""
    commands: int
    activation_bytes: int
    weight_bytes: int
    accumulator_bytes: int
    macs: int
    cycles: int
    utilization: float
    """MACs / (PEs x cycles)."""
    memory_bytes: int
    """Bus beats both ways, in bytes."""
    mapping: str
    """How it was chosen, see ``PlacedLayer``."""


def layer_reports(program: Program) -> list[LayerReport]:
    """One report for each layer, in order."""
    return [_report(program, index) for index in range(len(program.layers))]


def _report(program: Program, index: int) -> LayerReport:
    config, placed = program.config, program.layers[index]
    commands = program.isolated(index)
    counters = TimelineSimulator(config).run(commands).counters
    layer = placed.layer
    macs = layer.macs
    beats = counters.get("memory_read_beats", 0) + counters.get("memory_write_beats", 0)
    fmap = layer.output.shape
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        output=f"{fmap.height}x{fmap.width}x{fmap.channels}",
        output_in=_output_in(program, placed),
        tile=_tile(program, placed),
        commands=len(commands),
        activation_bytes=_activation_bytes(program, index),
        weight_bytes=_loaded(commands, LoadTarget.WEIGHT),
        accumulator_bytes=_accumulator_bytes(program, placed),
        macs=macs,
        cycles=counters["cycles"],
        utilization=macs / (config.rows * config.cols * counters["cycles"]),
        memory_bytes=beats * config.bus_bytes,
        mapping=placed.chosen_by,
    )


def _tile(program: Program, placed: PlacedLayer) -> str:
    layer, mapping = placed.layer, placed.mapping
    channels = min(mapping.tile_groups * program.config.cols, layer.output.shape.channels)
    tile = f"{mapping.tile_height}x{mapping.tile_width}x{channels}"
    if mapping.window == layer.shape.window.window.kernel:
        return tile
    return f"{tile}, window {mapping.window[0]}x{mapping.window[1]}"


def _output_in(program: Program, placed: PlacedLayer) -> str:
    if placed.mapping.outputs is not None:
        return "memory"
    return "both" if placed.layer.output.name in program.maps else "chip"


def _activation_bytes(program: Program, index: int) -> int:
    """Bytes of the activation buffer that tiles of operands and results take, and maps that are on
    chip meanwhile."""
    mapping = program.layers[index].mapping
    banks = sum(each.banks for each in (mapping.inputs, mapping.operands, mapping.outputs) if each)
    residents = sum(each.size for each in program.residents if each.lives(index))
    return banks * program.config.activation_bank_bytes + residents


def _accumulator_bytes(program: Program, placed: PlacedLayer) -> int:
    """Bytes of accumulators that the tiles of both halves take."""
    if placed.layer.conv is None:
        return 0
    pixels = placed.mapping.tile_height * placed.mapping.tile_width
    return 2 * pixels * program.config.accumulator_entry_bytes


def _loaded(commands: Sequence[Command], target: LoadTarget) -> int:
    """Bytes of the buffer that the loads to ``target`` among ``commands`` fill."""
    ends = (
        command["buffer_address"] + command["row_bytes"]
        for command in commands
        if command.engine is Engine.LOAD and command["target"] == target
    )
    return max(ends, default=0)
