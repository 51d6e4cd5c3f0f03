"""Pictures of estimates: bars by layer and dataflow, and a roofline."""

from collections.abc import Callable, Iterator, Sequence
from math import log
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arch.architecture import DataType
from tilewright.layer_estimate import Estimate
from tilewright.plot_style import WIDTH, picture
from tilewright.show_estimate import LEVELS, by_dataflow

_HEIGHT = 4.6
"""Inches."""
_COLOURS = {
    "mac": "0.6",
    "spad": "tab:green",
    "hops": "tab:purple",
    "buffer": "tab:orange",
    "memory": "tab:blue",
    "multiply-accumulate": "0.6",
    "ifmap": "tab:green",
    "weight": "tab:purple",
    "psum": "tab:orange",
    "of the array's peak": "tab:blue",
}
"""Of what bars are made of."""
_MARKERS = "osD^vPX"
_CLOSE = 0.15
"""Points nearer than this part of their place, either way, are named together."""
_MARGIN = 1.8
"""Factor between the outermost points or roofs and the edge."""

Value = Callable[[Estimate], float]


def draw_estimates(title: str, estimates: Sequence[Estimate], folder: Path) -> Iterator[Path]:
    """Write all pictures to ``folder``, and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in _PICTURES.items():
        path = folder / f"{name}.png"
        with picture(path, "png") as (figure, axes):
            figure.set_size_inches(WIDTH, _HEIGHT)
            draw(figure, axes, estimates)
            axes.set_title(f"{title}: {name.replace('_', ' ')}", loc="left", fontsize=11)
        yield path


def _energy_by_level(figure: Figure, axes: Axes, estimates: Sequence[Estimate]) -> None:
    def at(level: str) -> Value:
        return lambda each: each.energy_at(level) / each.problem.macs

    _bars(figure, axes, estimates, {level: at(level) for level in LEVELS})
    axes.set_ylabel(_unit_per_mac(estimates))


def _energy_by_data_type(figure: Figure, axes: Axes, estimates: Sequence[Estimate]) -> None:
    def of(data: str) -> Value:
        return lambda each: each.energy_of(data) / each.problem.macs

    types = {"multiply-accumulate": of("")} | {data.value: of(data.value) for data in DataType}
    _bars(figure, axes, estimates, types)
    axes.set_ylabel(_unit_per_mac(estimates))


def _accesses_per_mac(figure: Figure, axes: Axes, estimates: Sequence[Estimate]) -> None:
    def at(level: str) -> Value:
        return lambda each: (
            sum(sum(pair) for (place, _), pair in each.accesses.items() if place == level)
            / each.problem.macs
        )

    levels = [level for level in LEVELS if level in ("spad", "buffer", "memory")]
    _bars(figure, axes, estimates, {level: at(level) for level in levels})
    axes.set_ylabel("words read and written per MAC")


def _utilization(figure: Figure, axes: Axes, estimates: Sequence[Estimate]) -> None:
    _bars(figure, axes, estimates, {"of the array's peak": lambda each: 100 * each.utilization})
    axes.set_ylabel("%")
    axes.set_ylim(0, 100)


def _roofline(figure: Figure, axes: Axes, estimates: Sequence[Estimate]) -> None:
    """Layers below the roofs of their architecture; a marker and colour for each dataflow."""
    axes.set(xscale="log", yscale="log")
    across = [each.problem.macs / each.memory_bytes for each in estimates]
    speeds = [each.problem.macs / each.cycles for each in estimates]
    roofs = {
        (each.target.architecture.array.pes, each.target.architecture.memory_bytes_per_cycle)
        for each in estimates
    }
    left = min([*across, *(pes / width for pes, width in roofs)]) / _MARGIN
    right = max([*across, *(pes / width for pes, width in roofs)]) * _MARGIN
    for pes, width in sorted(roofs):
        ridge = pes / width
        axes.plot([left, ridge, right], [width * left, pes, pes], color="0.3", linewidth=1.2)
        text = f"array: {pes} MACs per cycle; memory: {width:g} bytes per cycle"
        axes.annotate(
            text, (right, pes), (-4, 4), textcoords="offset points", ha="right", fontsize=8
        )
    axes.set_xlim(left, right)
    axes.set_ylim(min(speeds) / _MARGIN, max(pes for pes, _ in roofs) * _MARGIN)
    for index, (dataflow, group) in enumerate(by_dataflow(estimates).items()):
        axes.scatter(
            [each.problem.macs / each.memory_bytes for each in group],
            [each.problem.macs / each.cycles for each in group],
            marker=_MARKERS[index % len(_MARKERS)],
            alpha=0.7,
            label=dataflow,
            zorder=3,
        )
    _name_points(axes, next(iter(by_dataflow(estimates).values())))
    axes.set_xlabel("MACs per byte of memory traffic")
    axes.set_ylabel("MACs per cycle")
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(figure, axes)


def _name_points(axes: Axes, group: Sequence[Estimate]) -> None:
    """Names beside points; those of points that lie close together share a line."""
    names: dict[tuple[float, float], list[str]] = {}
    for each in group:
        point = each.problem.macs / each.memory_bytes, each.problem.macs / each.cycles
        near = (
            other
            for other in names
            if all(abs(log(a / b)) < _CLOSE for a, b in zip(point, other, strict=True))
        )
        names.setdefault(next(near, point), []).append(each.layer)
    for point, layers in names.items():
        text = ", ".join(layers)
        axes.annotate(text, point, (5, -9), textcoords="offset points", fontsize=7)


_PICTURES: dict[str, Callable[[Figure, Axes, Sequence[Estimate]], None]] = {
    "energy_by_level": _energy_by_level,
    "energy_by_data_type": _energy_by_data_type,
    "accesses_per_mac": _accesses_per_mac,
    "utilization": _utilization,
    "roofline": _roofline,
}


def _bars(
    figure: Figure, axes: Axes, estimates: Sequence[Estimate], parts: dict[str, Value]
) -> None:
    """A stack of ``parts`` for each dataflow of each layer, dataflows side by side."""
    groups = by_dataflow(estimates)
    layers = list(dict.fromkeys(each.layer for each in estimates))
    width = 0.8 / len(groups)
    ticks: list[tuple[float, str]] = []
    for index, (dataflow, group) in enumerate(groups.items()):
        places = [layers.index(each.layer) + (index + 0.5) * width - 0.4 for each in group]
        base = [0.0] * len(group)
        for name, value in parts.items():
            heights = [value(each) for each in group]
            label = name if index == 0 else None
            axes.bar(places, heights, 0.9 * width, base, color=_COLOURS[name], label=label)
            base = [low + height for low, height in zip(base, heights, strict=True)]
        ticks += [(place, dataflow) for place in places]
    ticks.sort()
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_xticks(range(len(layers)), layers, rotation=0 if len(layers) < 12 else 90)
    if len(groups) > 1:
        axes.tick_params(axis="x", which="major", pad=18 if len(ticks) < 60 else 22, length=0)
        # Also where a dataflow's name stands above a layer's.
        axes.xaxis.remove_overlapping_locs = False
        axes.set_xticks([place for place, _ in ticks], minor=True)
        axes.set_xticklabels([name for _, name in ticks], minor=True, rotation=90, fontsize=6)
    _legend(figure, axes)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower right", ncols=len(labels), frameon=False, fontsize=8
    )


def _unit_per_mac(estimates: Sequence[Estimate]) -> str:
    units = {each.target.architecture.energy.unit for each in estimates}
    return f"{' and '.join(sorted(units))} per multiply-accumulate"
