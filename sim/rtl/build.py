"""Compiles the Verilog of a machine, with the cycle loop around it, into a shared library."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sim.toolchain import (
    cache_folder,
    program,
    run,
    tool_versions,
    verilator_environment,
    verilator_root,
)

_HERE = Path(__file__).parent
_HARNESS = tuple(
    _HERE / name
    for name in (
        "harness.cpp",
        "memory.hpp",
        "model_verilator.hpp",
        "pins.hpp",
        "random.hpp",
        "registers.hpp",
        "rules.hpp",
    )
)

_VERILATOR_FLAGS = (
    "--cc",
    "--prefix",
    "Vmachine",
    "-O3",
    # This pass took nearly all of the time, and the model ran no faster for it.
    "-fno-merge-cond",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-timing",
    # Style of the Verilog that Yosys writes: a lint with reasons is a test of its own.
    "-Wno-lint",
    "-Wno-style",
    "-Wno-SYMRSVDWORD",
    # Pieces to compile side by side.
    "--output-split",
    "20000",
)
_CXX_FLAGS = ("-std=c++17", "-fPIC", "-fno-strict-aliasing", "-DVM_COVERAGE=0")
_FAST = os.environ.get("FASTFLAG", "-O1")
_SLOW = "-O0"
# What verilated code calls, by file of Verilator's include folder.
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_RUNTIME_TRACE = ("verilated_vcd_c.cpp",)


def build_library(verilog: str, *, top: str, bus_bytes: int, trace: bool) -> Path:
    """The shared library that simulates module ``top`` of ``verilog``, from the cache if it is there.

    ``trace``: able to write waveforms, and slower. Safe for several processes at once: the first
    builds, the others wait. Raises ``ToolError`` if a tool is missing or fails.
    """
    flags = [top, bus_bytes, trace, _VERILATOR_FLAGS, _CXX_FLAGS, _FAST, _SLOW]
    texts = [verilog, *(path.read_text("utf-8") for path in _HARNESS)]

    def build(folder: Path) -> Path:
        return _build(folder, verilog, top, bus_bytes, trace)

    return _cached("model", ".so", [flags, texts], build)


def _build(folder: Path, verilog: str, top: str, bus_bytes: int, trace: bool) -> Path:
    (folder / "machine.v").write_text(verilog, "utf-8")
    command = ["verilator", *_VERILATOR_FLAGS, "--Mdir", ".", "--top-module", top]
    if trace:
        command += ["--trace-vcd"]
    run([*command, "machine.v"], cwd=folder, env=verilator_environment())
    flags = [f"-DBUS_BYTES={bus_bytes}", f"-I{folder}", f"-I{_HERE}"]
    sources = [_HARNESS[0], *sorted(folder.glob("Vmachine*.cpp"))]
    objects = _compile(folder, sources, trace, flags)
    runtime = _cached("runtime", ".o", [trace, _CXX_FLAGS], lambda inner: _runtime(inner, trace))
    library = folder / "machine.so"
    # Only the C functions are visible: several machines in one process do not mix.
    link = ["-shared", "-Wl,-Bsymbolic", "-pthread", "-o", str(library)]
    run([str(program("g++")), *link, *map(str, objects), str(runtime)])
    return library


def _runtime(folder: Path, trace: bool) -> Path:
    """Verilator's run-time library as one object file."""
    names = _RUNTIME + (_RUNTIME_TRACE if trace else ())
    sources = [verilator_root() / "include" / name for name in names]
    objects = _compile(folder, sources, trace, [])
    merged = folder / "runtime.o"
    run([str(program("g++")), "-r", "-nostdlib", "-o", str(merged), *map(str, objects)])
    return merged


def _compile(folder: Path, sources: list[Path], trace: bool, flags: list[str]) -> list[Path]:
    """Compile ``sources`` side by side; the object files."""
    include = verilator_root() / "include"
    common = [
        str(program("g++")),
        *_CXX_FLAGS,
        f"-DVM_TRACE={int(trace)}",
        f"-DVM_TRACE_VCD={int(trace)}",
        f"-isystem{include}",
        f"-isystem{include / 'vltstd'}",
        *flags,
    ]

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        level = _SLOW if source.stem.endswith("Slow") else _FAST
        run([*common, level, "-c", str(source), "-o", str(target)])
        return target

    # The biggest first, so that none is left to be waited for alone.
    ordered = sorted(sources, key=lambda source: -source.stat().st_size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, ordered))


def _cached(kind: str, suffix: str, key: object, build: Callable[[Path], Path]) -> Path:
    """The file cached under ``key`` and the tools' versions, else what ``build`` makes of a folder."""
    text = json.dumps([key, tool_versions()], sort_keys=True)
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()}"
    cache = cache_folder() / "rtl"
    cache.mkdir(exist_ok=True)
    path = cache / f"{name}{suffix}"
    if path.exists():
        return path
    with _lock(cache / f"{name}.lock"), tempfile.TemporaryDirectory(dir=cache) as folder:
        if not path.exists():  # another process may have built it meanwhile
            # Renaming is atomic: no one ever sees half a file.
            build(Path(folder)).replace(path)
    return path


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds ``path`` locked; the system unlocks it when the process ends, however that happens."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
