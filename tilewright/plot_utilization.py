"""How much of the array each layer uses, and for how long."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from compiler.schedule import Schedule
from tilewright.plot_style import WIDTH, colour_of, head, picture, with_room
from tilewright.timing import LayerTiming, time_schedule

_HEIGHT = 5.0
"""Inches."""


def plot_utilization(schedule: Schedule, path: Path, kind: str) -> None:
    """Draw a bar for each layer: as wide as its cycles, as high as its part of the array's peak.

    Full areas are multiply-accumulates; a shade marks the cycles of layers that have none. Where
    there is no room for all names, the longest layers have theirs. ``kind`` is png or svg.
    """
    timing = time_schedule(schedule)
    layers = timing.layers
    starts = [sum(layer.cycles for layer in layers[:index]) for index in range(len(layers))]
    utilizations = [layer.utilization for layer in layers]
    with picture(path, kind) as (figure, axes):
        figure.set_size_inches(WIDTH, _HEIGHT)
        # A shade over the whole height, for layers without multiply-accumulates too.
        for heights, alpha in (([1.0] * len(layers), 0.15), (utilizations, 1.0)):
            axes.bar(
                starts,
                heights,
                [layer.cycles for layer in layers],
                align="edge",
                color=[colour_of(layer) for layer in layers],
                alpha=alpha,
                edgecolor="white",
                linewidth=0.3,
            )
        axes.set_xlim(0, timing.cycles)
        axes.set_ylim(0, max(1.0, *utilizations))
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_ylabel("utilization of the array")
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        _name_bars(axes, layers, starts)
        # Names have the bottom.
        top = axes.secondary_xaxis("top")
        top.xaxis.set_major_formatter("{x:,.0f}")
        top.set_xlabel("cycle", fontsize=8)
        top.tick_params(labelsize=8)
        used = f"{timing.utilization:.1%} of the array's peak in {timing.cycles:,} cycles"
        head(figure, axes, timing, schedule.config, used)


def _name_bars(axes: Axes, layers: Sequence[LayerTiming], starts: Sequence[int]) -> None:
    """Names below the bars, as far as there is room."""
    centres = [start + layer.cycles / 2 for start, layer in zip(starts, layers, strict=True)]
    cycles = [layer.cycles for layer in layers]
    named = with_room(centres, cycles, sum(cycles))
    axes.set_xticks(
        [centres[index] for index in named],
        [layers[index].name for index in named],
        rotation=90,
        fontsize=7,
    )
