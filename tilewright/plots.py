"""Pictures of a run."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

from arch.commands import Engine
from compiler.program import Program
from tilewright.trace import layer_of, program_timeline


def plot_timeline(program: Program, path: Path) -> None:
    """Draw when each engine works, coloured by layer, and write it to ``path``."""
    timeline = program_timeline(program)
    layers = list(dict.fromkeys(layer_of(program)))
    colours = {layer: f"C{index}" for index, layer in enumerate(layers)}
    figure, axes = plt.subplots(figsize=(11, 3.2), layout="constrained")
    for layer, span in zip(layer_of(program), timeline.spans, strict=True):
        axes.broken_barh(
            [(span.start, span.done + 1 - span.start)],
            (int(span.engine) - 0.4, 0.8),
            facecolors=colours[layer],
            edgecolors="white",
            linewidth=0.4,
        )
    axes.set_yticks([int(engine) for engine in Engine], [engine.name.lower() for engine in Engine])
    axes.invert_yaxis()
    axes.set_xlim(0, timeline.cycles)
    axes.set_xlabel("cycle")
    config = program.config
    axes.set_title(
        f"{program.network.name} on {config.name} ({config.rows}x{config.cols}): one image in "
        f"{timeline.cycles:,} cycles"
    )
    axes.legend(
        handles=[Patch(color=colours[layer], label=layer) for layer in layers],
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
