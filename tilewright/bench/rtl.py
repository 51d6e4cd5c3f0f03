"""Runs whole ImageNet networks on the generated RTL, and compares them layer by layer.

``python -m tilewright.bench.rtl`` prints a table, writes docs/benchmarks-rtl.md and a JSON file
with every layer beside it, and ends with status 1 if anything differs.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from arch.errors import RunError
from arch.presets import PRESETS
from hw.verilog import to_verilog
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.rtl.machine import RtlMachine
from tilewright.bench.report import environment
from tilewright.bench.rtl_layers import Follow, memory_bytes, run_layers, run_whole
from tilewright.bench.rtl_report import NetworkRun, RtlReport, rtl_markdown, rtl_table
from tilewright.bench.seeded import compiled
from tilewright.entry import run_app
from tilewright.files import whole_file
from tilewright.progress import working
from tilewright.show import print_table

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "gemmini16"
NETWORKS = ("squeezenet", "mobilenet-v2", "resnet-50")
SEED = 0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench_rtl(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = ROOT
    / "docs/benchmarks-rtl.md",
) -> None:
    """Run the networks, print a table, and write what was found."""
    with whole_file(out, "--out") as part, whole_file(out.with_suffix(".json"), "--out") as data:
        report = measure()
        part.write_text(rtl_markdown(report, "make bench-rtl"), "utf-8")
        data.write_text(json.dumps(report.as_dict(), indent=1) + "\n", "utf-8")
    print_table(rtl_table(report))
    if not all(each.agrees for each in report.networks):
        raise typer.Exit(1)


def measure() -> RtlReport:
    """Run all networks, one after the other."""
    with working("generating the Verilog"):
        verilog = to_verilog(PRESETS[CONFIG])
    with working("building the RTL, unless it is in the cache"), _machine(verilog, 1 << 16):
        pass
    where = environment(SEED)
    return RtlReport(
        environment=where,
        config=CONFIG,
        networks=tuple(_run(name, verilog) for name in NETWORKS),
    )


def _run(name: str, verilog: str) -> NetworkRun:
    """Both runs of one network, side by side."""
    began = time.perf_counter()
    with working(f"{name}: weights, program, golden model"):
        program, image = compiled(name, CONFIG, SEED)
        golden = run_network(program.network, image)
        cycles = TimelineSimulator(program.config).run(program.commands).cycles
    size = memory_bytes(program)
    with (
        _machine(verilog, size) as first,
        _machine(verilog, size) as second,
        ThreadPoolExecutor() as pool,
        _followed(name, cycles) as (follow_whole, follow_layers),
    ):
        whole = pool.submit(run_whole, first, program, image, golden, follow_whole)
        layers = pool.submit(run_layers, second, program, image, golden, follow_layers)
        return NetworkRun(
            network=name,
            commands=len(program.commands),
            whole=whole.result(),
            layers=tuple(layers.result()),
            seconds=time.perf_counter() - began,
        )


def _machine(verilog: str, size: int) -> RtlMachine:
    return RtlMachine(verilog, PRESETS[CONFIG], memory_bytes=size)


@contextmanager
def _followed(name: str, cycles: int) -> Iterator[tuple[Follow, Follow]]:
    """Two functions that note how far the runs have come: bars on terminals, else a line.

    They raise ``RunError`` after an exception inside, so that no run goes on alone.
    """
    console, stop = Console(stderr=True), Event()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,} cycles"),
        TimeElapsedColumn(),
    )
    if not console.is_terminal:
        console.print(f"{name}: running on the RTL, whole and layer by layer", highlight=False)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def follower(what: str) -> Follow:
            task = bar.add_task(f"{name}, {what}", total=cycles)

            def follow(done: int) -> None:
                if stop.is_set():
                    raise RunError("a run must not go on alone, and was stopped")
                bar.update(task, completed=done)

            return follow

        try:
            yield follower("whole"), follower("layer by layer")
        except BaseException:
            stop.set()
            raise


def main() -> None:
    """The command behind `make bench-rtl`."""
    run_app(app, "python -m tilewright.bench.rtl")


if __name__ == "__main__":
    main()
