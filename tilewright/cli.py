"""The command line."""

import json
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from arch.errors import InputError
from arch.presets import PRESETS, load_config
from compiler.driver import CompiledModel, compile_file
from compiler.passes import PASSES, check_names
from compiler.place import place_network
from compiler.report import layer_reports
from tilewright.entry import run_app
from tilewright.evaluate import Evaluation, Target, open_machine, prepare, run_images, summarise
from tilewright.files import shown, whole_file
from tilewright.generate import generate as write_generated
from tilewright.images import Images, load_images
from tilewright.networks.registry import NETWORKS, build
from tilewright.networks.shapes_only import shape_network
from tilewright.plots import FORMATS, plot_timeline
from tilewright.show import evaluation_table, follow, layer_table, print_table, working
from tilewright.show_networks import network_rows, network_table, timing_table
from tilewright.timing import time_program
from tilewright.trace import trace_text

app = typer.Typer(
    help="From a trained CNN and one machine description to an accelerator: generate its Verilog, "
    "compile the network for it, run it bit- and cycle-exactly.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[Path, typer.Argument(help="Quantised ONNX file (QDQ form).", metavar="MODEL")]
Config = Annotated[
    str, typer.Option("--config", "-c", help=f"Preset ({', '.join(PRESETS)}) or TOML file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        help=f"Leave out a pass of the compiler ({', '.join(each.name for each in PASSES)}); "
        "may be given several times.",
        metavar="PASS",
    ),
]

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
    for path in write_generated(load_config(config), out):
        typer.echo(path)


@app.command("compile")
def compile_(
    model: Model,
    config: Config = "small",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the memory image to this file.")
    ] = None,
    without: Without = None,
    as_json: Json = False,
) -> None:
    """Compile a network for a machine, and report tiles, buffers, cycles and traffic."""
    with ExitStack() as files:
        image_file = None if out is None else files.enter_context(whole_file(out, "--out"))
        program = compile_file(model, load_config(config), without=_passes(without)).program
        reports = layer_reports(program)
        if image_file is not None:
            image_file.write_bytes(program.image.tobytes())
    if as_json:
        summary = {
            "model": program.network.name,
            "config": program.config.name,
            "version": installed_version("tilewright"),
            "program_address": program.program_address,
            "program_commands": len(program.commands),
            "image_bytes": program.image.size,
            "maps": {name: asdict(place) for name, place in program.maps.items()},
            "on_chip": [asdict(each) for each in program.residents],
            "layers": [asdict(report) for report in reports],
        }
        typer.echo(json.dumps(summary, indent=2))
    else:
        print_table(layer_table(program.network.name, program.config.name, reports))


@app.command()
def networks(as_json: Json = False) -> None:
    """List the built-in networks with their weights and multiply-accumulates."""
    if as_json:
        typer.echo(json.dumps(network_rows(), indent=2))
    else:
        print_table(network_table())


@app.command()
def run(
    model: Annotated[
        str,
        typer.Argument(
            help="Quantised ONNX file (QDQ form); with --timing-only also a built-in network.",
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
    without: Without = None,
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
) -> None:
    """Run a network on images and compare every byte with the golden model.

    Exit status 1 if a byte differs.
    """
    if timing_only:
        _run_timing(model, config, on, images, as_json, _passes(without))
        return
    if images is None:
        raise InputError("--images must be given, got no value; or only time it: --timing-only")
    if vcd is not None and on is not Target.RTL:
        raise InputError(f"--vcd needs --on rtl, got --on {on.value}; only the RTL has waveforms")
    kind = None if plot is None else _picture_kind(plot)
    with ExitStack() as files:
        # First, because what cannot be written is better said before the run than after it.
        waveform = None if vcd is None else files.enter_context(whole_file(vcd, "--vcd"))
        trace = (
            None if timeline is None else files.enter_context(whole_file(timeline, "--timeline"))
        )
        picture = None if plot is None else files.enter_context(whole_file(plot, "--plot"))
        compiled = compile_file(Path(model), load_config(config), without=_passes(without))
        result = _evaluate(compiled, load_images(images, count), on, waveform)
        if trace is not None:
            trace.write_text(trace_text(compiled.program), "utf-8")
        if picture is not None and kind is not None:
            plot_timeline(compiled.program, picture, kind)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        print_table(evaluation_table(result))
    if result.mismatching_bytes:
        raise typer.Exit(1)


def _passes(without: list[str] | None) -> list[str]:
    """The passes to leave out. Raises ``InputError`` for a name that none has."""
    check_names(without or [])
    return without or []


def _run_timing(
    model: str,
    config: str,
    on: Target,
    images: Path | None,
    as_json: bool,
    without: list[str],
) -> None:
    """Time a built-in network from its shapes, or a file's network."""
    if on is not Target.COMMAND or images is not None:
        raise InputError(
            "--timing-only must go without --images and with --on command; leave the others out"
        )
    if model not in NETWORKS and not Path(model).suffix:
        raise InputError(
            f"MODEL must be an ONNX file or a built-in network, got {model!r}; "
            "`tilewright networks` lists them"
        )
    machine = load_config(config)
    with working("placing the network and working out its timeline"):
        if model in NETWORKS:
            network = shape_network(
                build(model),
                activation_bits=machine.activation_bits,
                weight_bits=machine.weight_bits,
            )
            program = place_network(network, machine, timing_only=True, without=without)
        else:
            program = compile_file(Path(model), machine, without=without).program
        timing = time_program(program)
    if as_json:
        typer.echo(json.dumps(timing.as_dict(), indent=2))
    else:
        print_table(timing_table(timing))


def _evaluate(
    compiled: CompiledModel, images: Images, on: Target, waveform: Path | None
) -> Evaluation:
    """Run image by image, with progress on stderr."""
    inputs = prepare(compiled, images)
    with ExitStack() as stack:
        with working(_PREPARATION[on]):
            machine = stack.enter_context(open_machine(on, compiled.program, waveform))
        results = follow(
            run_images(compiled, inputs, machine), len(inputs.maps), f"running on {on.value}"
        )
    return summarise(compiled, on, results)


def _picture_kind(path: Path) -> str:
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(
            f"--plot must end in {' or '.join(f'.{kind}' for kind in FORMATS)}, got {shown(path)}; "
            "rename it"
        )
    return kind


def main() -> None:
    """The command `tilewright`."""
    run_app(app, "tilewright")


if __name__ == "__main__":
    main()
