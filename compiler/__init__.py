"""ONNX file -> graph -> quantised layers -> mapping -> command stream."""

import os

# Before anything imports ONNX Runtime, which else reports to its makers what it runs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
