"""The command line.

Commands import what only they need: else starting up would take longer than timing a network.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arch.errors import InputError
from arch.presets import load_config
from compiler.driver import CompiledModel
from compiler.passes import check_names
from compiler.schedule import schedule_network
from tilewright.cli_estimate import densities, estimate
from tilewright.entry import run_app
from tilewright.files import whole_file
from tilewright.models import ModelSource, calibrated, parse_shape
from tilewright.networks.registry import NETWORKS, build
from tilewright.networks.shapes_only import shape_network
from tilewright.options import (
    Calibrate,
    Config,
    Json,
    Model,
    SearchEnergy,
    SearchFor,
    SearchSeconds,
    Shape,
    Without,
)
from tilewright.outputs import Output, open_outputs
from tilewright.pictures import Picture
from tilewright.progress import follow, tracked, working
from tilewright.searching import SearchOptions
from tilewright.targets import Target
from tilewright.timing import NetworkTiming, time_schedule

if TYPE_CHECKING:
    from tilewright.evaluate import Evaluation

app = typer.Typer(
    help="From a trained CNN and one machine description to an accelerator: generate its Verilog, "
    "compile the network for it, run it bit- and cycle-exactly.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_PREPARATION = {
    Target.GOLDEN: "running the golden model",
    Target.COMMAND: "working out the timeline",
    Target.RTL: "generating and building the RTL (about a minute the first time)",
}


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        typer.echo(installed_version("tilewright"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    config: Config = "small",
) -> None:
    """Write a machine's Verilog, configuration, and register and command reference."""
    from tilewright.generate import generate as write_generated
    from tilewright.generate import size_note

    machine = load_config(config)
    for path in write_generated(machine, out):
        typer.echo(path)
    typer.echo(size_note(machine), err=True)


@app.command("compile")
def compile_(
    model: Model,
    config: Config = "small",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the memory image to this file.")
    ] = None,
    calibrate: Calibrate = None,
    shape: Shape = None,
    without: Without = None,
    objective: SearchFor = None,
    energy: SearchEnergy = None,
    seconds: SearchSeconds = None,
    as_json: Json = False,
) -> None:
    """Compile a network for a machine, and report tiles, buffers, cycles and traffic."""
    from compiler.report import layer_reports

    options = SearchOptions(objective=objective, energy=energy, seconds=seconds)
    with ExitStack() as files:
        image_file = None if out is None else files.enter_context(whole_file(out, "--out"))
        source = ModelSource(path=model, calibrate=calibrate, shape=parse_shape(shape))
        machine, passes = load_config(config), _passes(without)
        with options.searching() as search:
            schedule = source.compile(machine, passes, search).schedule
        reports = [each for program in schedule.programs for each in layer_reports(program)]
        if image_file is not None:
            image_file.write_bytes(schedule.image.tobytes())
    name, host = schedule.network.name, schedule.host_traffic()
    if as_json:
        summary = {
            "model": name,
            "config": machine.name,
            "version": installed_version("tilewright"),
            "programs": [
                {"address": each.program_address, "commands": len(each.commands)}
                for each in schedule.programs
            ],
            "image_bytes": schedule.image.size,
            "maps": {key: place._asdict() for key, place in schedule.maps.items()},
            "packed_input": schedule.packing and schedule.packing.as_dict(),
            "on_chip": [
                {"program": number, **asdict(resident)}
                for number, each in enumerate(schedule.programs)
                for resident in each.residents
            ],
            "layers": [asdict(report) for report in reports],
            "host": [asdict(each) for each in host],
        }
        typer.echo(json.dumps(summary, indent=2))
    else:
        from tilewright.show import layer_table, print_table

        print_table(layer_table(name, machine.name, reports, host))
    for line in options.notes(each.mapping for each in reports):
        typer.echo(line, err=as_json)


@app.command()
def quantise(
    model: Annotated[Path, typer.Argument(help="Float ONNX file.", metavar="MODEL")],
    calibrate: Annotated[
        Path,
        typer.Option(
            "--calibrate",
            help=".npz with `images` of the model's training, some hundred.",
            metavar="IMAGES",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="ONNX file to write, in QDQ form.")],
    config: Config = "small",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            "-i",
            help="Images to compare on, with `labels` for accuracy; else those of --calibrate.",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Only so many images.")] = None,
    shape: Shape = None,
    as_json: Json = False,
) -> None:
    """Quantise a float network to a machine's words, and compare both layer by layer.

    What is compared with the float network are the bytes that the machine computes.
    """
    from compiler.frontend import read_network
    from tilewright.fidelity import Comparison
    from tilewright.images import load_images

    with (
        whole_file(out, "--out") as file,
        calibrated(model, calibrate, parse_shape(shape), load_config(config)) as files,
    ):
        compared = load_images(images or calibrate, count)
        comparison = Comparison(files.float_file, files.file, read_network(files.file), compared)
        for _ in tracked(comparison.run(), len(compared.images), "comparing layer by layer"):
            pass
        file.write_bytes(files.file.read_bytes())
    result = comparison.result()
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        from tilewright.show import print_table
        from tilewright.show_fidelity import accuracy_table, noise_table

        print_table(noise_table(result))
        print_table(accuracy_table(result))


@app.command()
def networks(as_json: Json = False) -> None:
    """List the built-in networks with their weights and multiply-accumulates."""
    from tilewright.show_networks import network_rows, network_table

    if as_json:
        typer.echo(json.dumps(network_rows(), indent=2))
    else:
        from tilewright.show import print_table

        print_table(network_table())


app.command()(densities)
app.command()(estimate)


@app.command()
def run(
    model: Annotated[
        str,
        typer.Argument(
            help="ONNX file, quantised or with --calibrate float; with --timing-only also a "
            "built-in network.",
            metavar="MODEL",
        ),
    ],
    images: Annotated[
        Path | None, typer.Option("--images", "-i", help=".npz with `images` and maybe `labels`.")
    ] = None,
    config: Config = "small",
    on: Annotated[Target, typer.Option("--on", help="What to run on.")] = Target.COMMAND,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Only so many images.")] = None,
    timing_only: Annotated[
        bool, typer.Option("--timing-only", help="Time one image layer by layer, without data.")
    ] = False,
    calibrate: Calibrate = None,
    shape: Shape = None,
    without: Without = None,
    objective: SearchFor = None,
    energy: SearchEnergy = None,
    seconds: SearchSeconds = None,
    as_json: Json = False,
    vcd: Annotated[
        Path | None, typer.Option("--vcd", help="Waveform of the RTL run; large: use --count 1.")
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", help="Perfetto trace of the engines, one image.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="The same as a picture, .png or .svg.")
    ] = None,
    utilization: Annotated[
        Path | None,
        typer.Option("--utilization", help="Picture of each layer's share of the array's peak."),
    ] = None,
    roofline: Annotated[
        Path | None,
        typer.Option("--roofline", help="Picture of the layers below the machine's roofs."),
    ] = None,
) -> None:
    """Run a network on images and compare every byte with the golden model.

    Exit status 1 if a byte differs.
    """
    options = SearchOptions(objective=objective, energy=energy, seconds=seconds)
    source = ModelSource(path=Path(model), calibrate=calibrate, shape=parse_shape(shape))
    pictures = {
        Picture.TIMELINE: plot,
        Picture.UTILIZATION: utilization,
        Picture.ROOFLINE: roofline,
    }
    if timing_only:
        if on is not Target.COMMAND or images or vcd or count is not None:
            raise InputError(
                "--timing-only must go without --images, --count and --vcd, and with --on command; "
                "leave the others out"
            )
        with ExitStack() as files:
            outputs = open_outputs(files, timeline, pictures)
            timing = _time(model, source, config, _passes(without), options, outputs)
        _show_timing(timing, options, as_json=as_json)
        return
    if images is None:
        raise InputError("--images must be given, got no value; or only time it: --timing-only")
    if vcd is not None and on is not Target.RTL:
        raise InputError(f"--vcd needs --on rtl, got --on {on.value}; only the RTL has waveforms")
    with ExitStack() as files:
        # First, because what cannot be written is better said before the run than after it.
        waveform = None if vcd is None else files.enter_context(whole_file(vcd, "--vcd"))
        outputs = open_outputs(files, timeline, pictures)
        with options.searching() as search:
            compiled = source.compile(load_config(config), _passes(without), search)
        result = _evaluate(compiled, images, count, on, waveform)
        for write in outputs:
            write(compiled.schedule)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        from tilewright.show import evaluation_table, print_table

        print_table(evaluation_table(result))
    placed = (each for program in compiled.schedule.programs for each in program.layers)
    for line in options.notes(each.chosen_by for each in placed):
        typer.echo(line, err=as_json)
    if result.mismatching_bytes:
        raise typer.Exit(1)


def _show_timing(timing: NetworkTiming, options: SearchOptions, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(timing.as_dict(), indent=2))
    else:
        from tilewright.show import print_table
        from tilewright.show_networks import timing_table

        print_table(timing_table(timing))
    for line in options.notes(each.mapping for each in timing.layers):
        typer.echo(line, err=as_json)


def _passes(without: list[str] | None) -> list[str]:
    """The passes to leave out. Raises ``InputError`` for a name that none has."""
    check_names(without or [])
    return without or []


def _time(
    model: str,
    source: ModelSource,
    config: str,
    without: list[str],
    options: SearchOptions,
    outputs: Sequence[Output],
) -> NetworkTiming:
    """Time a built-in network from its shapes, or a file's network."""
    if model not in NETWORKS and not Path(model).suffix:
        raise InputError(
            f"MODEL must be an ONNX file or a built-in network, got {model!r}; "
            "`tilewright networks` lists them"
        )
    if model in NETWORKS and (source.calibrate is not None or source.shape is not None):
        raise InputError(
            f"--calibrate and --shape go with an ONNX file, got the built-in network {model}; "
            "leave them out"
        )
    machine = load_config(config)
    with working("placing the network and working out its timeline") as tell:
        search = options.search(tell)
        if model in NETWORKS:
            network = shape_network(
                build(model),
                activation_bits=machine.activation_bits,
                weight_bits=machine.weight_bits,
            )
            schedule = schedule_network(
                network, machine, timing_only=True, without=without, search=search
            )
        else:
            schedule = source.compile(machine, without, search).schedule
        timing = time_schedule(schedule)
    for write in outputs:
        write(schedule)
    return timing


def _evaluate(
    compiled: CompiledModel, images: Path, count: int | None, on: Target, waveform: Path | None
) -> "Evaluation":
    """Run image by image, with progress on stderr."""
    from tilewright.evaluate import open_machine, prepare, run_images, summarise
    from tilewright.images import load_images

    inputs = prepare(compiled, load_images(images, count))
    with ExitStack() as stack:
        with working(_PREPARATION[on]):
            machine = stack.enter_context(open_machine(on, compiled.schedule, waveform))
        results = follow(
            run_images(compiled, inputs, machine), len(inputs.maps), f"running on {on.value}"
        )
    return summarise(compiled, on, results)


def main() -> None:
    """The command `tilewright`."""
    run_app(app, "tilewright")


if __name__ == "__main__":
    main()
