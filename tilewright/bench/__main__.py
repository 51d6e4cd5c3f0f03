"""``python -m tilewright.bench`` prints tables, and writes docs/benchmarks.md and its pictures."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from arch.presets import PRESETS
from hw.verilog import to_verilog
from tilewright.bench import targets
from tilewright.bench.report import Report, environment, report_markdown, report_tables
from tilewright.bench.sampled import run_samples
from tilewright.bench.speed import SEED, measure_speeds
from tilewright.entry import run_app
from tilewright.files import whole_file
from tilewright.pictures import Picture, draw
from tilewright.progress import working
from tilewright.show import print_table

ROOT = Path(__file__).resolve().parents[2]

SAMPLED = ("resnet-50", "mobilenet-v1", "alexnet")
SAMPLES = 3
"""Layers of each."""

DRAWN = "resnet-50"
BLOCK = "stage3.block2"
_PICTURES: dict[str, str] = {
    "utilization": f"Utilization of the array, layer by layer: {DRAWN}",
    "roofline": f"Roofline with every layer: {DRAWN}",
    "timeline": f"Timeline of one block: {DRAWN}, {BLOCK}",
}
"""Captions by what is drawn."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = ROOT
    / "docs/benchmarks.md",
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout, the tables on stderr.")
    ] = False,
) -> None:
    """Measure, print tables, and write them and pictures to files.

    Exit status 1 if a sampled layer differs between RTL, command level and golden model.
    """
    with ExitStack() as files:
        part = files.enter_context(whole_file(out, "--out"))
        names = {what: f"{out.stem}-{what}.png" for what in _PICTURES}
        parts = {
            what: files.enter_context(whole_file(out.with_name(name), "--out"))
            for what, name in names.items()
        }
        report = measure({_PICTURES[what]: name for what, name in names.items()})
        with working("drawing"):
            for what, path in parts.items():
                _drawers()[what](path)
        part.write_text(report_markdown(report, "make bench"), "utf-8")
    for table in report_tables(report):
        print_table(table, on_stderr=as_json)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    if not all(sample.run.agrees for sample in report.samples):
        raise typer.Exit(1)


def measure(pictures: dict[str, str]) -> Report:
    """Run all benchmarks, some ten minutes; ``pictures`` are file names by caption."""
    where = environment(SEED)
    reached = tuple(targets.targets())
    verilog = to_verilog(PRESETS[targets.CONFIG])
    samples = run_samples(SAMPLED, SAMPLES, seed=SEED, config=targets.CONFIG, verilog=verilog)
    sampled = tuple(samples)
    measurements, ratios, networks = measure_speeds()
    return Report(
        environment=where,
        targets=reached,
        pictures=pictures,
        samples=sampled,
        measurements=tuple(measurements),
        ratios=tuple(ratios),
        networks=tuple(networks),
    )


def _drawers() -> dict[str, Callable[[Path], None]]:
    """What draws each picture."""
    # Matplotlib is imported by what draws.
    from tilewright.plots import plot_timeline

    drawn = targets.schedule(DRAWN)
    block = targets.block_layers(drawn, BLOCK)
    return {
        "utilization": lambda path: draw(Picture.UTILIZATION, drawn, path, "png"),
        "roofline": lambda path: draw(Picture.ROOFLINE, drawn, path, "png"),
        "timeline": lambda path: plot_timeline(drawn, path, "png", only=block),
    }


def main() -> None:
    """The command behind `make bench`."""
    run_app(app, "python -m tilewright.bench")


if __name__ == "__main__":
    main()
