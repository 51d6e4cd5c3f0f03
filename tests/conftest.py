"""What holds for every test."""

import os

# Before a test imports ONNX Runtime; the packages do the same for their users.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
