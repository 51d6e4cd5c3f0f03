"""Compiles the Verilog of a machine, with the cycle loop around it, into a shared library.

By Verilator: on the 8x8 machine with this same loop, CXXRTL ran at a sixth of its speed and took
four times as long in g++.
"""

from pathlib import Path

from arch.registers import ADDRESS_BITS
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

_HERE = Path(__file__).parent
_HARNESS = [_HERE / "harness.cpp", *sorted(_HERE.glob("*.hpp"))]
_CLOCKED = _HERE / "clocked.v"

_MODEL_FLAGS = (
    "--prefix",
    "Vmachine",
    "--top-module",
    "clocked",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
)
# On the 16x16 machine, -O2 took 20 times as long to compile, and ran as fast; -Os took 3 times
# as long, and ran 12 % faster.
_OPTIMISE = "-O1"
_RUNTIME = ("verilated", "verilated_threads")
_RUNTIME_TRACE = ("verilated_vcd_c",)


def build_library(verilog: str, *, top: str, bus_bytes: int, trace: bool) -> Path:
    """The shared library that simulates module ``top`` of ``verilog``, from the cache if possible.

    ``trace``: able to write waveforms, and slower. Its C functions are those of harness.cpp.
    Raises ``ToolError`` if a tool is missing or fails.
    """
    defines = {"MACHINE": top, "BUS_BITS": 8 * bus_bytes, "REGISTER_BITS": ADDRESS_BITS}
    model_flags = [*_MODEL_FLAGS, *(f"-D{name}={value}" for name, value in defines.items())]
    model_flags += ["--trace-vcd"] if trace else []
    trace_flags = TRACE_FLAGS if trace else NO_TRACE_FLAGS
    cxx_flags = [_OPTIMISE, f"-DBUS_BYTES={bus_bytes}", *trace_flags]
    harness = [path.read_text("utf-8") for path in _HARNESS]
    whole = verilog + _CLOCKED.read_text("utf-8")

    def build(folder: Path) -> Path:
        sources = [_HARNESS[0], *verilate(whole, folder, model_flags)]
        units = merged(sources, folder)
        objects = compile_objects(units, folder, [*cxx_flags, "-I", str(_HERE)])
        runtime = runtime_object(_RUNTIME + (_RUNTIME_TRACE if trace else ()), trace_flags)
        link([*objects, runtime], folder / "machine.so", ["-shared", "-pthread"])
        return folder / "machine.so"

    flags = [VERILATOR_FLAGS, model_flags, CXX_FLAGS, cxx_flags]
    return cached_file("machine.so", [whole, harness, flags], build)
