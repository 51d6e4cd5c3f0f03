"""What the host computes with ONNX Runtime: always by these functions, so that bytes are the same.

Its optimiser is off: every operator is computed as ONNX defines it, none are merged.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from sim.network import Bytes, HostResult, HostStep

RUNTIME_ERRORS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""What ONNX Runtime raises for a model that it cannot load or run."""


def run_host_step(step: HostStep, x: Bytes) -> Bytes:
    """Output map [height, width, channels] of ``step`` for its input map."""
    elements: np.dtype[Any] = step.output.dtype
    return run_model(step.model, x).astype(elements, copy=False)


def run_host_result(result: HostResult, x: Bytes) -> NDArray[np.generic]:
    """The array of ``result`` for its input map [height, width, channels]."""
    return run_model(result.model, x)


def run_model(model: bytes, x: NDArray[np.generic]) -> NDArray[np.generic]:
    """The only output of an ONNX file for its only input, ``x``. Raises ``RUNTIME_ERRORS``."""
    (y,) = _session(model).run(None, {"x": np.ascontiguousarray(x)})
    return np.asarray(y)


@lru_cache(maxsize=64)
def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
