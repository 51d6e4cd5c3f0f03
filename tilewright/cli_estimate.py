"""The commands about energy and dataflows on any architecture: `densities` and `estimate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arch.errors import InputError
from arch.sparsity import DensityFile
from sim.analytical.objective import Goal, Objective
from tilewright.files import whole_file
from tilewright.models import parse_shape
from tilewright.networks.registry import NETWORKS
from tilewright.options import Json, Shape
from tilewright.progress import tracked

if TYPE_CHECKING:
    from compiler.input_shape import InputShape
    from tilewright.workload import Workload


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
        str,
        typer.Option(
            "--dataflow", "-d", help="One or more of rs, ws, osa, osb, osc, nlr, free; by commas."
        ),
    ] = "free",
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
        Objective,
        typer.Option(
            "--objective",
            help="What each mapping makes small; edp is energy times cycles. All but energy may "
            "take minutes for large layers: see --seconds.",
        ),
    ] = Objective.ENERGY,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0, help="Stop each search then, and say how good it is."),
    ] = None,
    mappings: Annotated[
        bool, typer.Option("--mappings", help="Print each mapping as a loop nest.")
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots",
            help="Folder for pictures: energy by level and by data type, accesses, utilization, "
            "roofline.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Price a network on any architecture, each layer by its best mapping, proven to be it."""
    from sim.analytical.loopnest import loop_nest
    from tilewright.estimate import estimates, targets
    from tilewright.show import print_table
    from tilewright.show_estimate import estimate_table, notes

    on = targets(arch, dataflow.split(","), energy)
    workload = _workload(network, parse_shape(shape), batch)
    if densities is not None:
        workload = workload.with_densities(DensityFile.from_file(densities))
    layers = workload.only(layer or ()).layers
    steps = tracked(
        estimates(layers, on, seconds, Goal(objective=objective)),
        len(layers) * len(on),
        "searching for the best mappings",
    )
    found = list(steps)
    title = f"{workload.network} on {arch}, batch of {batch}"
    if plots is not None:
        # Matplotlib takes longer than all else here.
        from tilewright.plot_estimate import draw_estimates

        for path in draw_estimates(title, found, plots):
            typer.echo(path, err=True)
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=2))
        return
    print_table(estimate_table(title, found))
    for line in notes(workload.unpriced, found, coded=densities is not None):
        typer.echo(line)
    if mappings:
        for each in found:
            typer.echo(f"\n{each.layer}, {each.target.dataflow.name}:")
            typer.echo(loop_nest(each.problem, each.found.mapping))


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
