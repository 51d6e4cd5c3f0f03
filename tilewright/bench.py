"""Measures simulators, compiler and generator on the digits example, and the timing of networks.

``python -m tilewright.bench`` prints tables and writes docs/benchmarks.md. Every simulated byte is
checked against the golden model, outside the measured time.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from arch.config import AcceleratorConfig
from arch.errors import RunError
from arch.presets import PRESETS
from compiler.driver import CompiledModel, compile_file
from hw.verilog import to_verilog
from sim.network import Bytes
from sim.rtl.build import build_library
from tilewright.bench_networks import network_ratios, time_networks
from tilewright.bench_report import (
    Measurement,
    Ratio,
    Report,
    environment,
    report_markdown,
    report_tables,
)
from tilewright.entry import run_app
from tilewright.evaluate import Inputs, prepare, run_images
from tilewright.files import whole_file
from tilewright.images import load_images
from tilewright.machines import CommandMachine, GoldenMachine, ImageRun, Machine, VerilogMachine
from tilewright.networks import registry
from tilewright.progress import working
from tilewright.show import print_table

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ("small", "gemmini16")
NETWORKS = tuple(registry.NETWORKS)
SEED = 1
RTL_TARGET = 100_000
"""Cycles per second that simulating the demo's RTL is to reach."""

_MODEL = ROOT / "examples/digits/digits_int8.onnx"
_TEST = ROOT / "examples/digits/test.npz"
IMAGES = 100
RUNS = 5
SLOW_RUNS = 3
"""Of what takes tens of seconds."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = ROOT
    / "docs/benchmarks.md",
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on stdout, the tables on stderr.")
    ] = False,
) -> None:
    """Measure, print tables, and write them to a file."""
    with whole_file(out, "--out") as part:
        report = measure()
        part.write_text(report_markdown(report, "make bench"), "utf-8")
    for table in report_tables(report):
        print_table(table, on_stderr=as_json)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))


def measure() -> Report:
    """Run all benchmarks, a quarter of an hour."""
    with working("starting the Verilog generator, not measured"):
        to_verilog(PRESETS["tiny"])
    where = environment(SEED)
    measurements = [each for name in CONFIGS for each in _measure_config(PRESETS[name])]
    measurements += _measure_golden()
    networks = tuple(time_networks(NETWORKS, CONFIGS))
    return Report(
        environment=where,
        measurements=tuple(measurements),
        ratios=(*_ratios(measurements), *network_ratios(networks)),
        networks=networks,
    )


def _ratios(measurements: list[Measurement]) -> Iterator[Ratio]:
    medians = {each.what: each.median for each in measurements}
    for name in CONFIGS:
        yield Ratio(
            what=f"RTL simulation, {name}: cycles/s to {RTL_TARGET:,}",
            value=medians[f"RTL simulation, {name}: cycles"] / RTL_TARGET,
            target=1.0,
        )
    for name in CONFIGS:
        rtl = medians[f"RTL simulation, {name}: images"]
        command = medians[f"command-level simulator, {name}: images"]
        golden = medians["golden model: images"]
        yield Ratio(what=f"images/s: command-level simulator to RTL, {name}", value=command / rtl)
        yield Ratio(
            what=f"images/s: golden model to command-level simulator, {name}",
            value=golden / command,
        )


def _measure_config(config: AcceleratorConfig) -> Iterator[Measurement]:
    compiled = compile_file(_MODEL, config)
    verilog = to_verilog(config)
    inputs = _inputs(compiled)
    name = config.name
    yield _seconds(f"compiling, {name}", RUNS, lambda: compile_file(_MODEL, config))
    yield _seconds(f"generating Verilog, {name}", SLOW_RUNS, lambda: to_verilog(config))
    with _empty_caches() as renew:
        yield _seconds(
            f"building the RTL from an empty cache, {name}",
            SLOW_RUNS,
            lambda: _build(verilog, config),
            renew,
        )
        with VerilogMachine(compiled.schedule, verilog=verilog) as machine:
            yield from _speeds(f"RTL simulation, {name}", compiled, inputs, machine)
    yield _seconds(
        f"working out the timeline, {name}", RUNS, lambda: CommandMachine(compiled.schedule)
    )
    command = CommandMachine(compiled.schedule)
    yield from _speeds(f"command-level simulator, {name}", compiled, inputs, command)


def _measure_golden() -> Iterator[Measurement]:
    """The golden model runs layers, on no machine in particular."""
    compiled = compile_file(_MODEL, PRESETS[CONFIGS[0]])
    machine = GoldenMachine(compiled.schedule)
    yield from _speeds("golden model", compiled, _inputs(compiled), machine)


def _inputs(compiled: CompiledModel) -> Inputs:
    """Some of the held-out images, chosen by the seed."""
    whole = prepare(compiled, load_images(_TEST, None))
    chosen = np.random.default_rng(SEED).choice(len(whole.maps), IMAGES, replace=False)
    return Inputs(maps=whole.maps[chosen], labels=None)


def _build(verilog: str, config: AcceleratorConfig) -> Path:
    return build_library(verilog, top=config.module_name, bus_bytes=config.bus_bytes, trace=False)


def _seconds(
    what: str,
    runs: int,
    work: Callable[[], object],
    prepare_run: Callable[[], object] = lambda: None,
) -> Measurement:
    """Wall-clock time of ``work``; ``prepare_run`` comes before each run, and is not measured."""
    values = []
    for run in range(runs):
        prepare_run()
        with working(f"{what}: run {run + 1} of {runs}"):
            began = time.perf_counter()
            work()
            values.append(time.perf_counter() - began)
    return Measurement(what=what, unit="s", values=tuple(values))


class _Timed(Machine):
    """A machine whose runs are timed in CPU time, which other processes hardly change."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.seconds = 0.0

    def run(self, image: Bytes) -> ImageRun:
        """As the machine does."""
        began = time.process_time()
        run = self._machine.run(image)
        self.seconds += time.process_time() - began
        return run


def _speeds(
    what: str, compiled: CompiledModel, inputs: Inputs, machine: Machine
) -> Iterator[Measurement]:
    """Images and, if it has a clock, cycles that ``machine`` does in a second of CPU time.

    Raises ``RunError`` if a byte differs from the golden model.
    """
    images, cycles = [], []
    for run in range(RUNS):
        timed = _Timed(machine)
        with working(f"{what}: run {run + 1} of {RUNS}"):
            results = list(run_images(compiled, inputs, timed))
        if wrong := sum(each.mismatching_bytes for each in results):
            raise RunError(f"{what}: every byte must be golden, got {wrong} others; run make test")
        seconds = timed.seconds
        images.append(len(results) / seconds)
        cycles.append(sum(each.counters.get("cycles", 0) for each in results) / seconds)
    yield Measurement(what=f"{what}: images", unit="images/s", values=tuple(images))
    if any(cycles):
        yield Measurement(what=f"{what}: cycles", unit="cycles/s", values=tuple(cycles))


@contextmanager
def _empty_caches() -> Iterator[Callable[[], None]]:
    """Gives a function that makes the cache of built RTL an empty one, until the end."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield lambda: os.environ.update(XDG_CACHE_HOME=tempfile.mkdtemp(dir=folder))
        finally:
            os.environ.pop("XDG_CACHE_HOME", None)
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def main() -> None:
    """The command behind `make bench`."""
    run_app(app, "python -m tilewright.bench")


if __name__ == "__main__":
    main()
