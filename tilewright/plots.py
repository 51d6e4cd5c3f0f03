"""When each engine works for which layer."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from arch.commands import Engine
from compiler.schedule import Schedule
from tilewright.plot_style import WIDTH, picture, with_room
from tilewright.trace import RunTimeline, lanes, run_timeline

_Colour = tuple[float, float, float]

# Dark shades first: tab20 pairs each with its light one.
_TAB20 = matplotlib.colormaps["tab20"]
_COLOURS: list[_Colour] = [_TAB20(index)[:3] for index in (*range(0, 20, 2), *range(1, 20, 2))]

_MARGIN, _NAMES, _LANE = 1.1, 1.6, 0.24
"""Inches: above and below the lanes, of names above them, of each lane."""
_GAP = 0.6
"""Between two engines, in lanes."""
_LEGEND_ROWS = 16
"""So many layers have a legend; of more, those with room have their names above the lanes."""
_DETAILED = 20_000
"""Cycles up to which each command can be told from the next; of a longer run, each engine has one
lane."""
_RESOLUTION = 2_000
"""There, commands of one layer closer than this part of the run are one bar."""

_Bar = tuple[int, int]
"""First cycle and number of cycles."""
_HOST_ROWS = 3
"""So many steps of the host in a row have their names on lines of their own."""


def plot_timeline(schedule: Schedule, path: Path, kind: str, only: Collection[str] = ()) -> None:
    """Draw one image's commands, a row of lanes for each engine, coloured by layer.

    If ``only`` names layers, theirs alone are drawn, at their place in the run.

    In short runs, commands of one engine that overlap in its pipeline lie on lanes of their own.
    Dashed lines stand where the machine waits for the host. ``kind`` is png or svg; the same
    network gives the same file.
    """
    run, first = run_timeline(schedule), 0
    if only:
        run, first = _part(run, only)
    names = list(dict.fromkeys(run.layers))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    with picture(path, kind) as (figure, axes):
        height = _draw_commands(axes, run, colours)
        height += _draw_host(axes, run, height)
        axes.set_xlim(first, first + run.cycles)
        what = f"{names[0]} to {names[-1]}" if only else "one image"
        _label(axes, schedule, f"{what} in {run.cycles:,} cycles")
        if len(names) <= _LEGEND_ROWS:
            figure.set_size_inches(WIDTH, _MARGIN + _LANE * height)
            axes.legend(
                handles=[Patch(color=colours[name], label=name) for name in names],
                loc="center left",
                bbox_to_anchor=(1.0, 0.5),
                frameon=False,
            )
        else:
            figure.set_size_inches(WIDTH, _MARGIN + _NAMES + _LANE * height)
            _name_layers(axes, run)


def _part(run: RunTimeline, names: Collection[str]) -> tuple[RunTimeline, int]:
    """The layers called ``names``, without the host, and the cycle in which they begin."""
    chosen = [index for index, name in enumerate(run.layers) if name in names]
    spans = tuple(run.spans[index] for index in chosen)
    first = min(span.start for span in spans)
    part = RunTimeline(
        commands=tuple(run.commands[index] for index in chosen),
        layers=tuple(run.layers[index] for index in chosen),
        spans=spans,
        cycles=max(span.done for span in spans) + 1 - first,
        host=(),
    )
    return part, first


def _draw_commands(axes: Axes, run: RunTimeline, colours: dict[str, _Colour]) -> float:
    """One bar a command, time to the right, engines from top to bottom; gives the height."""
    detailed = run.cycles <= _DETAILED
    placed = lanes(run.spans) if detailed else [0] * len(run.spans)
    tops, ticks = {}, []
    top = 0.0
    for engine in Engine:
        spans = zip(run.spans, placed, strict=True)
        rows = 1 + max((lane for span, lane in spans if span.engine is engine), default=0)
        tops[engine] = top
        ticks.append(top + rows / 2)
        top += rows + _GAP
        axes.axhline(top - _GAP / 2, color="0.85", linewidth=0.6, zorder=0)
    bars: defaultdict[tuple[float, str], list[_Bar]] = defaultdict(list)
    for name, span, lane in zip(run.layers, run.spans, placed, strict=True):
        bar = (span.start, span.done + 1 - span.start)
        bars[tops[span.engine] + lane, name].append(bar)
    for (bottom, name), each in bars.items():
        axes.broken_barh(
            each if detailed else _joined(each, run.cycles // _RESOLUTION),
            (bottom, 0.9),
            facecolors=colours[name],
            edgecolors="white",
            linewidth=0.4 if detailed else 0,
        )
    axes.set_yticks(ticks, [engine.name.lower() for engine in Engine])
    axes.set_ylim(top - _GAP / 2, -_GAP / 2)
    return top


def _joined(bars: Sequence[_Bar], gap: int) -> list[_Bar]:
    """``bars``, in order, with those at most ``gap`` apart as one."""
    found = [bars[0]]
    for start, length in bars[1:]:
        first, before = found[-1]
        if start - (first + before) <= gap:
            found[-1] = (first, max(before, start + length - first))
        else:
            found.append((start, length))
    return found


def _name_layers(axes: Axes, run: RunTimeline) -> None:
    """Names above the lanes, each where its layer computes, as far as there is room."""
    work: dict[str, list[int]] = {}
    for name, span in zip(run.layers, run.spans, strict=True):
        if span.engine in (Engine.EXECUTE, Engine.POST):
            first, _ = work.setdefault(name, [span.start, span.done])
            work[name] = [first, max(work[name][1], span.done)]
    names = list(work)
    centres = [(first + last) / 2 for first, last in work.values()]
    chosen = with_room(centres, [last - first for first, last in work.values()], run.cycles)
    top = axes.secondary_xaxis("top")
    top.set_xticks(
        [centres[index] for index in chosen],
        [names[index] for index in chosen],
        rotation=90,
        fontsize=7,
    )


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


def _label(axes: Axes, schedule: Schedule, what: str) -> None:
    config = schedule.config
    axes.set_title(
        f"{schedule.network.name} on {config.name} ({config.rows}x{config.cols}): {what}",
        loc="left",
    )
    axes.set_xlabel("cycle")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
