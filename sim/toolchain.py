"""Finds and runs the tools that turn Verilog into a running model."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from arch.errors import ToolError

_PROGRAMS = {"g++": "the C++ compiler", "perl": "which Verilator needs"}


def program(name: str) -> Path:
    """The path of g++ or perl. Raises ``ToolError`` if it is not on PATH."""
    path = shutil.which(name)
    if path is None:
        raise ToolError(
            f"{name}, {_PROGRAMS[name]}, must be on PATH, got none: install it "
            f"(Debian, Ubuntu: apt-get install {name})"
        )
    return Path(path)


def package_folder(name: str) -> Path:
    """The folder of an installed Python package. Raises ``ToolError`` if there is none."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ToolError(
            f"the Python package {name} must be installed beside {sys.executable}, got none: "
            "run make setup"
        )
    return Path(spec.origin).parent


def verilator_root() -> Path:
    """The folder of the Verilator package: programs in ``bin``, run-time library in ``include``."""
    return package_folder("verilator")


def verilator_environment() -> dict[str, str]:
    """Environment in which the command ``verilator`` works: its package puts it on no PATH.

    Raises ``ToolError`` if Verilator or what it needs is missing.
    """
    program("perl")
    root = verilator_root()
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "VERILATOR_ROOT": str(root)}


@cache
def tool_versions() -> dict[str, str]:
    """Version by tool of what turns Verilog into a running model."""
    return {
        "verilator": version("verilator"),
        "g++": run([str(program("g++")), "--version"]).splitlines()[0],
    }


def run(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a tool and return what it printed. Raises ``ToolError`` with its first error line."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise ToolError(
            f"{Path(command[0]).name} must succeed, got exit status {done.returncode}: "
            f"{_first_error(done.stdout)}"
        )
    return done.stdout


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it printed nothing"])[0]


def cache_folder() -> Path:
    """Where compiled models are kept; made if missing, may be deleted at any time.

    ``tilewright`` in XDG_CACHE_HOME, or in ``~/.cache``. Raises ``ToolError`` if it cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    folder = parent / "tilewright"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(
            f"the cache folder must be writable, got {folder}: {error.strerror}; "
            "set XDG_CACHE_HOME to a writable folder"
        ) from None
    return folder
