"""The command line."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from arch.errors import InputError, TilewrightError
from arch.presets import load_config
from compiler.driver import CompiledModel, compile_file
from compiler.report import layer_reports
from tilewright.evaluate import Target, evaluate, open_machine
from tilewright.generate import generate as write_generated
from tilewright.images import Images, load_images
from tilewright.machines import ImageRun
from tilewright.show import evaluation_table, layer_table
from tilewright.trace import write_trace

app = typer.Typer(
    help="From a trained CNN and one machine description to an accelerator: generate its Verilog, "
    "compile the network for it, run it bit- and cycle-exactly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console()
_log = Console(stderr=True)

Model = Annotated[Path, typer.Argument(help="Quantised ONNX file (QDQ form).", metavar="MODEL")]
Config = Annotated[
    str, typer.Option("--config", "-c", help="Preset (tiny, small, gemmini16) or TOML file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.callback(invoke_without_command=True)
def _main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        typer.echo(installed_version("tilewright"))
        raise typer.Exit


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    config: Config = "small",
) -> None:
    """Write a machine's Verilog, configuration, and register and command reference."""
    for path in write_generated(load_config(config), out):
        _out.print(str(path), soft_wrap=True, highlight=False)


@app.command("compile")
def compile_(
    model: Model,
    config: Config = "small",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the memory image to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile a network for a machine, and report tiles, buffers, cycles and traffic."""
    compiled = compile_file(model, load_config(config))
    program = compiled.program
    reports = layer_reports(program)
    if out is not None:
        _write_image(compiled, out)
    if as_json:
        summary = {
            "model": program.network.name,
            "config": program.config.name,
            "version": installed_version("tilewright"),
            "program_address": program.program_address,
            "program_commands": len(program.commands),
            "image_bytes": program.image.size,
            "tensors": program.tensors,
            "layers": [asdict(report) for report in reports],
        }
        typer.echo(json.dumps(summary, indent=2))
    else:
        _out.print(layer_table(program.network.name, program.config.name, reports))


@app.command()
def run(
    model: Model,
    images: Annotated[
        Path, typer.Option("--images", "-i", help=".npz with `images` and maybe `labels`.")
    ],
    config: Config = "small",
    on: Annotated[Target, typer.Option("--on", help="What to run on.")] = Target.COMMAND,
    count: Annotated[int | None, typer.Option("--count", "-n", help="Only so many images.")] = None,
    as_json: Json = False,
    vcd: Annotated[
        Path | None, typer.Option("--vcd", help="Waveform of the RTL run (slow, large).")
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", help="Perfetto trace of the engines, one image.")
    ] = None,
) -> None:
    """Run a network on images and compare every byte with the golden model.

    Exit status 1 if a byte differs.
    """
    if vcd is not None and on is not Target.RTL:
        raise InputError(f"--vcd needs --on rtl, got --on {on.value}; only the RTL has waveforms")
    compiled = compile_file(model, load_config(config))
    loaded = load_images(images, count)
    if timeline is not None:
        write_trace(compiled.program, timeline)
    result = evaluate(compiled, loaded, on, _runs(compiled, loaded, on, vcd))
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        _out.print(evaluation_table(result))
    if result.mismatching_bytes:
        raise typer.Exit(1)


def _runs(
    compiled: CompiledModel, images: Images, on: Target, vcd: Path | None
) -> Iterator[ImageRun]:
    """Each image's run, with a progress bar on terminals."""
    quantised = compiled.model.input.quantise(images.images)
    if on is Target.RTL:
        _log.print(
            f"building the RTL of {compiled.program.config.name} (the first time takes about a "
            "minute)",
            style="dim",
        )
    with open_machine(on, compiled.program, vcd) as machine:
        for image in track(
            quantised, f"running on {on.value}", console=_log, disable=not _log.is_terminal
        ):
            yield machine.run(image)


def _write_image(compiled: CompiledModel, out: Path) -> None:
    try:
        temporary = out.with_name(f".{out.name}.part")
        temporary.write_bytes(compiled.program.image.tobytes())
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"--out must be a file that can be written: {error}") from None


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2."""
    try:
        app()
    except TilewrightError as error:
        print(f"tilewright: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader left; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
