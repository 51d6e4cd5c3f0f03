"""From Verilog to object files: Verilator, then g++ on its output, without its makefiles."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sim.rtl.cache import cached_file
from sim.toolchain import program, run, verilator_environment, verilator_root

VERILATOR_FLAGS = (
    "--cc",
    "--no-timing",
    # This pass took nearly all of the time, and the model ran no faster for it.
    "-fno-merge-cond",
    # Matters of style in the Verilog that Yosys writes.
    "-Wno-lint",
    "-Wno-style",
    "-Wno-SYMRSVDWORD",
)
"""What every model is verilated with."""

CXX_FLAGS = (
    "-std=c++17",
    "-fPIC",
    # Several models in one process share nothing.
    "-fno-gnu-unique",
    "-DVM_COVERAGE=0",
)
"""What everything is compiled with."""

TRACE_FLAGS = ("-DVM_TRACE=1", "-DVM_TRACE_VCD=1")
NO_TRACE_FLAGS = ("-DVM_TRACE=0", "-DVM_TRACE_VCD=0")

_RUNTIME_LEVEL = "-O1"
_ALWAYS, _ONCE = "always", "once"


def verilate(verilog: str, folder: Path, flags: Sequence[str]) -> list[Path]:
    """Turn Verilog into C++ files in ``folder``, their headers beside them.

    ``flags`` name the top module and the prefix of the files. Raises ``ToolError``.
    """
    (folder / "machine.v").write_text(verilog, "utf-8")
    command = ["verilator", *VERILATOR_FLAGS, *flags, "--Mdir", ".", "machine.v"]
    run(command, cwd=folder, env=verilator_environment())
    return sorted(folder.glob("*.cpp"))


def merged(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Two C++ files that include all ``sources``: what runs in every cycle, and what runs once.

    Reading the headers once for each file that Verilator writes took half of the compiling.
    """
    once = [source for source in sources if source.stem.endswith("Slow")]
    groups = {_ALWAYS: [source for source in sources if source not in once], _ONCE: once}
    for name, group in groups.items():
        text = "".join(f'#include "{source}"\n' for source in group)
        (folder / f"{name}.cpp").write_text(text, "utf-8")
    return [folder / f"{name}.cpp" for name in groups]


def compile_objects(sources: Sequence[Path], folder: Path, flags: Sequence[str]) -> list[Path]:
    """Compile C++ files side by side into object files in ``folder``, with ``flags``, but without
    optimisation what runs once. Raises ``ToolError``.
    """
    include = verilator_root() / "include"
    # As system headers: Verilator's own warnings are not ours.
    common = [str(program("g++")), *CXX_FLAGS, "-isystem", str(include)]
    common += ["-isystem", str(include / "vltstd"), "-I", str(folder), *flags]

    def compile_object(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        level = ["-O0"] if source.stem == _ONCE else []
        run([*common, *level, "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_object, sources))


def runtime_object(parts: Sequence[str], flags: Sequence[str]) -> Path:
    """These ``.cpp`` files of Verilator's run-time library as one object file, from the cache.

    They take longer to compile than a small model, and are the same for all models.
    """
    sources = [verilator_root() / "include" / f"{part}.cpp" for part in parts]

    def build(folder: Path) -> Path:
        objects = compile_objects(sources, folder, [_RUNTIME_LEVEL, *flags])
        link(objects, folder / "all.o", ["-r", "-nostdlib"])
        return folder / "all.o"

    return cached_file("verilated.o", [parts, flags, CXX_FLAGS, _RUNTIME_LEVEL], build)


def link(objects: Sequence[Path], target: Path, flags: Sequence[str]) -> None:
    """Link object files into ``target``. Raises ``ToolError``."""
    run([str(program("g++")), *map(str, objects), *flags, "-o", str(target)])
