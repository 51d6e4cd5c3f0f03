"""What all pictures share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arch.config import AcceleratorConfig
from tilewright.timing import LayerTiming, NetworkTiming

WIDTH = 11.0
"""Inches of every picture."""

_NAME_PITCH = 0.014
"""Least distance of upright names along an axis, as a part of its length."""

_BOUND_COLOURS = {"compute": "tab:blue", "memory": "tab:orange", "drain": "tab:green"}

# No date: a picture changes only with what it shows.
_METADATA: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}}


@contextmanager
def picture(path: Path, kind: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure to draw on, written to ``path`` at the end; ``kind`` is png or svg.

    The same drawing gives the same file.
    """
    # Not by pyplot, which would ask for a display. Text in an SVG stays text.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tilewright"}):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield figure, axes
        figure.savefig(path, format=kind, dpi=130, metadata=_METADATA[kind])


def with_room(places: Sequence[float], weights: Sequence[float], length: float) -> list[int]:
    """Which of the upright names at ``places`` of an axis have room beside one another.

    The heaviest go first; ``length`` is the axis's.
    """
    chosen: list[int] = []
    for index in sorted(range(len(places)), key=lambda index: -weights[index]):
        if all(abs(places[index] - places[other]) > _NAME_PITCH * length for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def colour_of(layer: LayerTiming) -> str:
    """The colour of what ``layer`` is bound by."""
    return _BOUND_COLOURS[layer.bound]


def head(
    figure: Figure, axes: Axes, timing: NetworkTiming, config: AcceleratorConfig, what: str
) -> None:
    """The title, and beside it the legend of what layers are bound by, above the axes."""
    axes.set_title(
        f"{timing.network} on {config.name} ({config.rows}x{config.cols}): {what}",
        loc="left",
        fontsize=11,
    )
    marks = [
        Line2D([], [], linestyle="", marker="s", color=colour, label=f"bound by {bound}")
        for bound, colour in _BOUND_COLOURS.items()
    ]
    figure.legend(handles=marks, loc="outside lower right", ncols=3, frameon=False, fontsize=8)
