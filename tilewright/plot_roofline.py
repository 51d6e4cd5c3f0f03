"""What each layer reaches below the roofs that the array and the memory set it."""

from collections.abc import Sequence
from math import atan, cos, degrees, log10, radians, sin, sqrt
from pathlib import Path

from matplotlib.axes import Axes

from arch.config import AcceleratorConfig
from compiler.schedule import Schedule
from tilewright.plot_style import WIDTH, colour_of, head, picture
from tilewright.timing import LayerTiming, time_schedule

_HEIGHT = 6.0
"""Inches."""
_AXES = (10.2, 5.0)
"""Inches of the axes, roughly."""
_LETTER = (0.06, 0.11)
"""Inches of a letter of a name."""
_SLANT = radians(30)
"""Names fall to the right, so that those of points on a roof do not cover one another."""
_MARGIN = 1.6
"""Factor between the outermost points or roofs and the edge."""


def plot_roofline(schedule: Schedule, path: Path, kind: str) -> None:
    """Draw each layer that has multiply-accumulates as a point below the machine's roofs.

    Across: its MACs per byte of the busier direction of memory, since each direction has the whole
    bandwidth to itself; up: its MACs per cycle. A point's area is its share of the cycles. ``kind``
    is png or svg.
    """
    timing, config = time_schedule(schedule), schedule.config
    layers = [layer for layer in timing.layers if layer.macs and layer.cycles]
    with picture(path, kind) as (figure, axes):
        figure.set_size_inches(WIDTH, _HEIGHT)
        axes.set(xscale="log", yscale="log")
        _draw_roofs(axes, layers, config)
        axes.scatter(
            [_intensity(layer) for layer in layers],
            [_speed(layer) for layer in layers],
            s=[15 + 800 * layer.cycles / timing.cycles for layer in layers],
            c=[colour_of(layer) for layer in layers],
            alpha=0.7,
            edgecolors="white",
            linewidths=0.5,
            zorder=3,
        )
        _name_points(axes, layers)
        axes.set_xlabel("MACs per byte that is read, or written if more")
        axes.set_ylabel("MACs per cycle")
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        shown = f"the {len(layers)} of {len(timing.layers)} layers that have MACs"
        head(figure, axes, timing, config, shown)


def _intensity(layer: LayerTiming) -> float:
    return layer.macs / max(layer.read_bytes, layer.written_bytes)


def _speed(layer: LayerTiming) -> float:
    return layer.macs / layer.cycles


def _draw_roofs(axes: Axes, layers: Sequence[LayerTiming], config: AcceleratorConfig) -> None:
    """The roofs of memory and array, and limits that leave room around them and the points."""
    bandwidth, peak = config.memory_bytes_per_cycle, config.rows * config.cols
    ridge = peak / bandwidth
    across = [ridge, *(_intensity(layer) for layer in layers)]
    left, right = min(across) / _MARGIN, max(across) * _MARGIN
    bottom = min(bandwidth * left, *(_speed(layer) for layer in layers)) / _MARGIN
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, max(peak, *(_speed(layer) for layer in layers)) * _MARGIN)
    axes.plot([left, ridge, right], [bandwidth * left, peak, peak], color="0.3", linewidth=1.2)
    axes.annotate(
        f"array: {peak} MACs per cycle",
        (right, peak),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    axes.text(
        sqrt(left * ridge),
        bandwidth * sqrt(left * ridge) * 1.05,
        f"memory: {bandwidth} bytes per cycle each way",
        ha="center",
        va="bottom",
        rotation=degrees(atan(bandwidth)),
        rotation_mode="anchor",
        transform_rotates_text=True,
        fontsize=8,
    )


def _name_points(axes: Axes, layers: Sequence[LayerTiming]) -> None:
    """Names beside points, the longest layers' first, where they cover no other name."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float, float]] = []
    for layer in sorted(layers, key=lambda layer: -layer.cycles):
        x = _AXES[0] * log10(_intensity(layer) / left) / log10(right / left)
        y = _AXES[1] * log10(_speed(layer) / bottom) / log10(top / bottom)
        # Along the slanted name, and across.
        start, across = x * cos(_SLANT) - y * sin(_SLANT), x * sin(_SLANT) + y * cos(_SLANT)
        end = start + (len(layer.name) + 2) * _LETTER[0]
        if all(
            end < other_start or other_end < start or abs(across - other) > _LETTER[1]
            for other_start, other_end, other in taken
        ):
            taken.append((start, end, across))
            axes.annotate(
                layer.name,
                (_intensity(layer), _speed(layer)),
                xytext=(6, -4),
                textcoords="offset points",
                va="top",
                rotation=-degrees(_SLANT),
                rotation_mode="anchor",
                fontsize=7,
                zorder=4,
            )
