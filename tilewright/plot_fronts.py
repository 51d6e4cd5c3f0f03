"""A picture of trade-offs between energy and cycles."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from tilewright.fronts import LayerFront
from tilewright.plot_style import WIDTH, picture

_HEIGHT = 5.4
"""Inches."""
_STYLES = ("-", "--", ":", "-.")
"""Of the lines of each dataflow."""


def draw_fronts(title: str, fronts: Sequence[LayerFront], folder: Path) -> Path:
    """Write ``pareto.png`` to ``folder``, and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pareto.png"
    with picture(path, "png") as (figure, axes):
        figure.set_size_inches(WIDTH, _HEIGHT)
        _lines(axes, fronts)
        axes.set_title(f"{title}: least energy for fewer cycles", loc="left", fontsize=11)
        axes.set_xlabel("cycles, % of those of the mapping of least energy")
        axes.set_ylabel("energy above the least, %")
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return path


def _lines(axes: Axes, fronts: Sequence[LayerFront]) -> None:
    """From each point to the next: fewer cycles take the next one's energy."""
    layers = list(dict.fromkeys(front.layer for front in fronts))
    dataflows = list(dict.fromkeys(front.target.dataflow.name for front in fronts))
    for front in fronts:
        dataflow, first = front.target.dataflow.name, front.points[0]
        axes.step(
            [100 * point.cycles / first.cycles for point in front.points],
            [100 * (point.total / first.total - 1) for point in front.points],
            where="pre",
            color=f"C{layers.index(front.layer) % 10}",
            linestyle=_STYLES[dataflows.index(dataflow) % len(_STYLES)],
            linewidth=1.2,
            marker="o",
            markersize=4,
            label=front.layer if len(dataflows) == 1 else f"{front.layer}, {dataflow}",
        )
