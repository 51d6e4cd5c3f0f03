"""The commands about energy and dataflows on any architecture: `densities` and `estimate`."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arch.errors import InputError
from arch.presets import PRESETS
from arch.sparsity import DensityFile
from sim.analytical.objective import Goal, Objective
from tilewright.files import whole_file
from tilewright.models import parse_shape
from tilewright.networks.registry import NETWORKS
from tilewright.options import Json, Shape
from tilewright.progress import tracked

if TYPE_CHECKING:
    from compiler.input_shape import InputShape
    from tilewright.fronts import LayerFront
    from tilewright.layer_estimate import Estimate
    from tilewright.workload import Workload


class Aim(StrEnum):
    """What mappings are chosen for: an ``Objective``, or all of its trade-offs."""

    ENERGY = "energy"
    LATENCY = "latency"
    EDP = "edp"
    PARETO = "pareto"


def densities(
    model: Annotated[Path, typer.Argument(help="ONNX file, float or quantised.", metavar="MODEL")],
    images: Annotated[Path, typer.Option("--images", "-i", help=".npz with `images`.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="TOML file to write, for `estimate --densities`.")
    ],
    count: Annotated[int | None, typer.Option("--count", "-n", help="Only so many images.")] = None,
    shape: Shape = None,
    as_json: Json = False,
) -> None:
    """Measure how many inputs, weights and outputs of each layer are not zero, over images."""
    from tilewright.densities import Measurement
    from tilewright.images import load_images

    with whole_file(out, "--out") as file:
        given = load_images(images, count).images
        measurement = Measurement(model, parse_shape(shape), given)
        for _ in tracked(measurement.run(), len(given), "running the model"):
            pass
        result = measurement.result()
        file.write_text(result.to_toml(), "utf-8")
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        from tilewright.show import print_table
        from tilewright.show_estimate import density_table

        print_table(density_table(result))


def estimate(
    network: Annotated[
        str,
        typer.Argument(
            help="Built-in network or ONNX file, float or quantised.", metavar="NETWORK"
        ),
    ],
    arch: Annotated[
        str,
        typer.Option(
            "--arch",
            "-a",
            help="Built-in architecture, isca16_256, _512 or _1024 for the one of equal area that "
            "each dataflow has, or TOML file.",
        ),
    ] = "eyeriss",
    dataflow: Annotated[
        str | None,
        typer.Option(
            "--dataflow",
            "-d",
            help="One or more of rs, ws, osa, osb, osc, nlr, free; by commas. Or machine: exactly "
            "what a machine that can be generated, --arch, does. That is the default for a "
            "preset, else free.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", "-b", help="Images at once.")] = 1,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", "-l", help="Only this layer; may be given several times."),
    ] = None,
    shape: Shape = None,
    densities: Annotated[
        Path | None,
        typer.Option(
            "--densities",
            help="TOML file of the layers' densities, for run-length coding and zero gating; "
            "`tilewright densities` measures them.",
            metavar="DENSITIES",
        ),
    ] = None,
    energy: Annotated[
        str | None,
        typer.Option("--energy", help="Another energy table: a built-in one or a TOML file."),
    ] = None,
    objective: Annotated[
        Aim | None,
        typer.Option(
            "--objective",
            help="What each mapping makes small, energy if not given; edp is energy times cycles; "
            "pareto gives mappings of least energy at falling cycles. All but energy may take "
            "minutes for large layers: see --seconds. With machine: the best mapping that the "
            "compiler may choose, not the one that it does.",
        ),
    ] = None,
    step: Annotated[
        float,
        typer.Option(
            "--step",
            min=0,
            max=0.9,
            help="With --objective pareto: by which part the next mapping is faster; 0 for all.",
        ),
    ] = 0.05,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            min=0,
            help="Stop each search then, or at the first mapping, and say how good it is.",
        ),
    ] = None,
    mappings: Annotated[
        bool, typer.Option("--mappings", help="Print each mapping as a loop nest.")
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            help="Folder for pictures: energy by level and by data type, accesses, utilization, "
            "roofline; or energy against cycles, with --objective pareto.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Price a network on any architecture, each layer by its best mapping, proven to be it.

    On a machine that can be generated: to the cycle, each layer by the compiler's mapping.
    """
    from tilewright.estimate import priced, targets
    from tilewright.fronts import fronts
    from tilewright.show import print_table
    from tilewright.show_estimate import estimate_table, front_notes, front_table, notes

    dataflows = dataflow or ("machine" if arch in PRESETS else "free")
    on = targets(arch, dataflows.split(","), energy)
    workload = _workload(network, parse_shape(shape), batch)
    if densities is not None:
        workload = workload.with_densities(DensityFile.from_file(densities))
    layers = workload.only(layer or ()).layers
    title = f"{workload.network} on {arch}, batch of {batch}"
    searches, what = len(layers) * len(on), "pricing layers"
    if objective is Aim.PARETO:
        along = list(tracked(fronts(layers, on, step, seconds), searches, what))
        found: list[Estimate] = [point for front in along for point in front.points]
        _draw(plots, title, found, along)
        table, lines = front_table(title, along), [*front_notes(along)]
        results = [front.as_dict() for front in along]
    else:
        goal = None if objective is None else Goal(objective=Objective(objective.value))
        steps = priced(workload.network, layers, on, seconds, goal)
        found = list(tracked(steps, searches, what))
        _draw(plots, title, found, ())
        table, lines = estimate_table(title, found), []
        results = [each.as_dict() for each in found]
    if not as_json:
        print_table(table)
    for line in (*lines, *notes(workload.unpriced, found, coded=densities is not None)):
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    elif mappings:
        for each in found:
            head = f"{each.layer}, {each.target.dataflow.name}, {each.cycles:,} cycles:"
            typer.echo(f"\n{head}\n{each.loop_nest}")


def _draw(
    folder: Path | None,
    title: str,
    found: "Sequence[Estimate]",
    fronts: "Sequence[LayerFront]",
) -> None:
    """The pictures of ``fronts``, else of ``found``; their paths on stderr."""
    if folder is None:
        return
    # Matplotlib takes longer than all else here.
    from tilewright.plot_estimate import draw_estimates
    from tilewright.plot_fronts import draw_fronts

    paths = [draw_fronts(title, fronts, folder)] if fronts else draw_estimates(title, found, folder)
    for path in paths:
        typer.echo(path, err=True)


def _workload(network: str, shape: "InputShape | None", batch: int) -> "Workload":
    """The layers of a built-in network, or of an ONNX file."""
    if network in NETWORKS:
        from tilewright.workload import built_in

        if shape is not None:
            raise InputError(
                f"--shape goes with an ONNX file, got the built-in network {network}; leave it out"
            )
        return built_in(network, batch)
    if not Path(network).suffix:
        raise InputError(
            f"NETWORK must be an ONNX file or a built-in network, got {network!r}; "
            "`tilewright networks` lists them"
        )
    from tilewright.onnx_workload import from_file

    return from_file(Path(network), shape, batch)
