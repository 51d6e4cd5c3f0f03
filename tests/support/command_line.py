"""Runs the command line inside the test's process, as a shell would see it."""

import gc
import io
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from tilewright.cli import main

DIGITS = Path(__file__).parents[2] / "examples/digits"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str


def tilewright(*arguments: str | Path) -> Outcome:
    """Run ``tilewright`` with ``arguments``."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["tilewright", *map(str, arguments)]
    handler = signal.getsignal(signal.SIGTERM)
    status: object = None
    try:
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", argv):
            main()
    except SystemExit as stop:
        status = stop.code
    finally:
        signal.signal(signal.SIGTERM, handler)
        gc.enable()
    assert status is None or isinstance(status, int)
    return Outcome(status=status or 0, out=out.getvalue(), err=err.getvalue())


def run_digits(*arguments: str | Path) -> Outcome:
    """Run the digits example with further ``arguments``."""
    files = (DIGITS / "digits_int8.onnx", "--images", DIGITS / "test.npz")
    return tilewright("run", *files, *arguments)
