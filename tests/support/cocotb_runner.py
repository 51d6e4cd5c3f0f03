"""Runs cocotb benches on one component's Verilog; see README.md beside this file."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import cocotb_tools.config
import pytest
from amaranth.back import verilog
from amaranth.lib.wiring import Component
from cocotb_tools.runner import get_runner
from find_libpython import find_libpython

from arch.errors import ToolError
from sim.rtl.cache import cached_file
from sim.rtl.verilated import (
    CXX_FLAGS,
    NO_TRACE_FLAGS,
    TRACE_FLAGS,
    VERILATOR_FLAGS,
    compile_objects,
    link,
    merged,
    runtime_object,
    verilate,
)

TOP = "dut"
SEED_VARIABLE = "TILEWRIGHT_SEED"
PARAMETERS_VARIABLE = "TILEWRIGHT_BENCH_PARAMETERS"
LOG_LINES = 60

_RUNTIME = ("verilated", "verilated_dpi", "verilated_vpi", "verilated_threads")
_RUNTIME_TRACE = ("verilated_vcd_c",)


def run_cocotb(
    component: Component,
    test_module: str,
    *,
    seed: int,
    parameters: Mapping[str, int | str] | None = None,
) -> None:
    """Run every test of a cocotb module on ``component``, and fail the pytest if one fails.

    Args:
        component: its signature's ports become pins as ``amaranth.back.verilog`` names them, with
            ``clk`` and ``rst`` added.
        test_module: dotted name, for instance "tests.cocotb.fifo_bench".
        seed: of all random choices; the environment variable TILEWRIGHT_SEED overrides it.
        parameters: what the bench should know; it reads them by ``bench_parameters()``.

    Raises:
        ToolError: a tool is missing, or cannot compile the component.
    """
    if find_libpython() is None:
        raise ToolError(
            f"cocotb needs Python as a shared library, got none for {sys.executable}: install it "
            "(Debian, Ubuntu: apt-get install libpython3-dev)"
        )
    chosen = int(os.environ.get(SEED_VARIABLE, seed))
    waves = os.environ.get("WAVES", "0") != "0"
    program = _build(verilog.convert(component, name=TOP, emit_src=False), waves)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        # The runner looks for a program that is named like the top module.
        (Path(folder) / TOP).symlink_to(program)
        results = _run(test_module, Path(folder), log, chosen, parameters or {}, waves)
        if waves and (Path(folder) / "dump.vcd").exists():
            shutil.copy(Path(folder) / "dump.vcd", "dump.vcd")
        if not results:
            tail = "\n".join(log.read_text("utf-8").splitlines()[-LOG_LINES:])
            pytest.fail(f"{tail}\n{_replay(test_module, chosen)}", pytrace=False)


def _run(
    test_module: str,
    folder: Path,
    log: Path,
    seed: int,
    parameters: Mapping[str, int | str],
    waves: bool,
) -> bool:
    """Whether all tests of the module passed, and there were some."""
    runner = get_runner("verilator")
    try:
        results = runner.test(
            test_module,
            TOP,
            hdl_toplevel_lang="verilog",
            seed=seed,
            extra_env={PARAMETERS_VARIABLE: json.dumps(dict(parameters))},
            build_dir=folder,
            results_xml=str(folder / "results.xml"),
            waves=waves,
            log_file=log,
        )
    except (SystemExit, RuntimeError):  # how the runner says that a test or the simulator failed
        return False
    return "<testcase" in results.read_text("utf-8")


def _replay(test_module: str, seed: int) -> str:
    node = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
    return (
        f"{test_module} failed with seed {seed}; replay (WAVES=1 writes dump.vcd): "
        f"{SEED_VARIABLE}={seed} .venv/bin/python -m pytest '{node}'"
    )


def _build(text: str, trace: bool) -> Path:
    """The program that simulates module ``dut`` of the Verilog ``text`` under cocotb."""
    flags = ["--prefix", "Vtop", "--top-module", TOP, "--vpi", "--public-depth", "1"]
    if trace:
        flags.append("--trace-vcd")
    trace_flags = TRACE_FLAGS if trace else NO_TRACE_FLAGS
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = cocotb_tools.config.libs_dir

    def build(folder: Path) -> Path:
        units = merged([main, *verilate(text, folder, flags)], folder)
        # Compiling takes longer than running: no optimisation.
        objects = compile_objects(units, folder, ["-O0", *trace_flags])
        runtime = runtime_object(_RUNTIME + (_RUNTIME_TRACE if trace else ()), trace_flags)
        cocotb = [f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator", "-pthread"]
        link([*objects, runtime], folder / TOP, cocotb)
        return folder / TOP

    ingredients = [text, main.read_text("utf-8"), str(libraries), VERILATOR_FLAGS, flags, CXX_FLAGS]
    return cached_file(TOP, ingredients, build)
