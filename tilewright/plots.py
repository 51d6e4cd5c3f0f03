"""Pictures of a run."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from arch.commands import Engine
from compiler.schedule import Schedule
from tilewright.trace import RunTimeline, lanes, run_timeline

FORMATS = ("png", "svg")
"""Kinds of picture that can be written."""

_Colour = tuple[float, float, float]

# Dark shades first: tab20 pairs each with its light one.
_TAB20 = matplotlib.colormaps["tab20"]
_COLOURS: list[_Colour] = [_TAB20(index)[:3] for index in (*range(0, 20, 2), *range(1, 20, 2))]
# No date: a picture changes only with what it shows.
_METADATA: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}}

_WIDTH, _MARGIN, _LANE = 11.0, 1.1, 0.24
"""Inches: of the picture, around the lanes, of each lane."""
_GAP = 0.6
"""Between two engines, in lanes."""
_LEGEND_ROWS = 16
_HOST_ROWS = 3
"""So many steps of the host in a row have their names on lines of their own."""


def plot_timeline(schedule: Schedule, path: Path, kind: str) -> None:
    """Draw one image's commands, a row of lanes for each engine, coloured by layer.

    Commands of one engine that overlap in its pipeline lie on lanes of their own. ``kind`` is one
    of ``FORMATS``; the same network gives the same file. Dashed lines stand where the machine waits
    for the host.
    """
    run = run_timeline(schedule)
    names = list(dict.fromkeys(run.layers))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    # Not by pyplot, which would ask for a display. Text in an SVG stays text.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tilewright"}):
        figure = Figure(layout="constrained")
        axes = figure.subplots()
        height = _draw_commands(axes, run, colours)
        height += _draw_host(axes, run, height)
        _label(axes, schedule, run.cycles)
        figure.set_size_inches(_WIDTH, _MARGIN + _LANE * height)
        axes.legend(
            handles=[Patch(color=colours[name], label=name) for name in names],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            ncols=-(-len(names) // _LEGEND_ROWS),
            frameon=False,
        )
        figure.savefig(path, format=kind, dpi=130, metadata=_METADATA[kind])


def _draw_commands(axes: Axes, run: RunTimeline, colours: dict[str, _Colour]) -> float:
    """One bar a command, time to the right, engines from top to bottom; gives the height."""
    placed = lanes(run.spans)
    tops, ticks = {}, []
    top = 0.0
    for engine in Engine:
        spans = zip(run.spans, placed, strict=True)
        rows = 1 + max((lane for span, lane in spans if span.engine is engine), default=0)
        tops[engine] = top
        ticks.append(top + rows / 2)
        top += rows + _GAP
        axes.axhline(top - _GAP / 2, color="0.85", linewidth=0.6, zorder=0)
    for name, span, lane in zip(run.layers, run.spans, placed, strict=True):
        axes.broken_barh(
            [(span.start, span.done + 1 - span.start)],
            (tops[span.engine] + lane, 0.9),
            facecolors=colours[name],
            edgecolors="white",
            linewidth=0.4,
        )
    axes.set_yticks(ticks, [engine.name.lower() for engine in Engine])
    axes.set_ylim(top - _GAP / 2, -_GAP / 2)
    axes.set_xlim(0, run.cycles)
    return top


def _draw_host(axes: Axes, run: RunTimeline, top: float) -> float:
    """Below ``top``, rows of what the host runs while the machine waits; gives their height."""
    if not run.host:
        return 0.0
    rows = min(len(run.host), _HOST_ROWS)
    for index, (cycle, each) in enumerate(run.host):
        axes.axvline(cycle, color="black", linestyle="--", linewidth=0.8)
        late = cycle > run.cycles / 2
        axes.annotate(
            f"{each.name} ({each.kind})",
            (cycle, top + index % rows + 0.5),
            xytext=(-4 if late else 4, 0),
            textcoords="offset points",
            ha="right" if late else "left",
            va="center",
            fontsize=8,
        )
    axes.set_yticks([*axes.get_yticks(), top + rows / 2], [*_tick_labels(axes), "host"])
    axes.set_ylim(top + rows + _GAP / 2, -_GAP / 2)
    return rows + _GAP


def _tick_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def _label(axes: Axes, schedule: Schedule, cycles: int) -> None:
    config = schedule.config
    axes.set_title(
        f"{schedule.network.name} on {config.name} ({config.rows}x{config.cols}): one image in "
        f"{cycles:,} cycles",
        loc="left",
    )
    axes.set_xlabel("cycle")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
