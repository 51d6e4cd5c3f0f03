"""Nothing about a user's model leaves the machine: ONNX Runtime's telemetry is off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Runs ONNX Runtime in a folder that must stay empty; its telemetry keeps a session file there.
PROGRAM = "import {module}, onnxruntime; onnxruntime.SessionOptions()"


def files_left(program: str, folder: Path) -> list[str]:
    environment = {name: v for name, v in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("module", ["compiler.driver", "tilewright.cli", "tilewright.fidelity"])
def test_onnx_runtime_reports_nothing(module: str, tmp_path: Path) -> None:
    assert files_left(PROGRAM.format(module=module), tmp_path) == []
