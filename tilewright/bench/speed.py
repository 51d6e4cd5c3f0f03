"""Measures simulators, compiler and generator on the digits example, and the timing of networks.

Every simulated byte is checked against the golden model, outside the measured time.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from arch.config import AcceleratorConfig
from arch.errors import RunError
from arch.presets import PRESETS
from compiler.driver import CompiledModel, compile_file
from compiler.schedule import Schedule
from hw.verilog import to_verilog
from sim.golden.run import run_network
from sim.network import Bytes
from sim.rtl.build import build_library
from tilewright.bench.networks import network_ratios, time_networks
from tilewright.bench.report import Measurement, NetworkTime, Ratio
from tilewright.bench.seeded import compiled
from tilewright.evaluate import Inputs, prepare, run_images
from tilewright.images import load_images
from tilewright.machines import CommandMachine, GoldenMachine, ImageRun, Machine, VerilogMachine
from tilewright.networks import registry
from tilewright.progress import working

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("small", "gemmini16")
NETWORKS = tuple(registry.NETWORKS)
SEED = 1
RTL_TARGETS = {"small": 100_000, "gemmini16": 200_000}
"""Cycles per second that simulating the RTL is to reach."""
LARGE = "resnet-50"
LARGE_TARGET = 60.0
"""Seconds of CPU time that one image of it may take on the command-level simulator."""

_MODEL = ROOT / "examples/digits/digits_int8.onnx"
_TEST = ROOT / "examples/digits/test.npz"
IMAGES = 100
RUNS = 5
SLOW_RUNS = 3
"""Of what takes tens of seconds."""


def measure_speeds() -> tuple[list[Measurement], list[Ratio], list[NetworkTime]]:
    """Run all benchmarks of speed."""
    with working("starting the Verilog generator, not measured"):
        to_verilog(PRESETS["tiny"])
    measurements = [each for name in CONFIGS for each in _measure_config(PRESETS[name])]
    measurements += _measure_golden()
    measurements += _measure_large()
    networks = list(time_networks(NETWORKS, CONFIGS))
    return measurements, [*_ratios(measurements), *network_ratios(networks)], networks


def _ratios(measurements: list[Measurement]) -> Iterator[Ratio]:
    medians = {each.what: each.median for each in measurements}
    for name in CONFIGS:
        yield Ratio(
            what=f"RTL simulation, {name}: cycles/s to {RTL_TARGETS[name]:,}",
            value=medians[f"RTL simulation, {name}: cycles"] / RTL_TARGETS[name],
            target=1.0,
        )
    large = f"command-level simulator, {LARGE} on {CONFIGS[-1]}, data included"
    yield Ratio(
        what=f"{LARGE_TARGET:.0f} s to {large}", value=LARGE_TARGET / medians[large], target=1.0
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


def _measure_large() -> Iterator[Measurement]:
    """One image of a large network on the command-level simulator, data included."""
    with working(f"{LARGE}: weights, program, golden model"):
        program, image = compiled(LARGE, CONFIGS[-1], SEED)
        golden = run_network(program.network, image)
    schedule = Schedule(network=program.network, config=program.config, stages=(program,))
    with working(f"{LARGE}: command-level simulator, data included"):
        began = time.process_time()
        run = CommandMachine(schedule).run(image)
        seconds = time.process_time() - began
    wrong = sum(int(np.count_nonzero(values != golden[name])) for name, values in run.maps.items())
    what = f"command-level simulator, {LARGE} on {CONFIGS[-1]}, data included"
    if wrong:
        raise RunError(f"{what}: every byte must be golden, got {wrong} others; run make test")
    yield Measurement(what=what, unit="s", values=(seconds,))


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
