"""Runs single layers on onnx's ReferenceEvaluator and on ONNX Runtime (CPU)."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from sim.network import Bytes, Conv, GlobalAveragePool, MaxPool
from tests.support.oracle_models import (
    qdq_conv_model,
    qdq_explicitly_padded_max_pool_model,
    qdq_gemm_model,
    qdq_global_average_model,
    qdq_max_pool_model,
    qlinear_conv_model,
    qlinear_global_average_model,
)

AnyLayer = Conv | MaxPool | GlobalAveragePool
Outputs = NDArray[np.int32]


def run_reference_evaluator(model: onnx.ModelProto, x: Bytes) -> Bytes:
    """``y`` of the model for ``x``, as onnx's reference operators compute it."""
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    return np.asarray(y)


def run_onnx_runtime(model: onnx.ModelProto, x: Bytes) -> Bytes:
    """``y`` of the model for ``x`` on ONNX Runtime's CPU provider, all graph optimisations on."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


def oracle_outputs(layer: AnyLayer, x: Bytes) -> Mapping[str, Outputs]:
    """Each oracle's output map [height, width, channels] by the oracle's name.

    ONNX Runtime's fused integer operators want one type for input and output. Where the layer's
    differ, the output is shifted by 128 to the input's type for the run and shifted back, which
    is exact, for the zero point is added after rounding.
    """
    outputs: dict[str, Outputs] = {}
    for name, run, build, shifted in _oracles(layer):
        target, shift = _with_output_type_of_input(layer) if shifted else (layer, 0)
        model = build(target)
        onnx.checker.check_model(model)
        outputs[name] = _run_channels_last(run, model, layer, x) + shift
    return outputs


Runner = Callable[[onnx.ModelProto, Bytes], Bytes]
Oracle = tuple[str, Runner, Callable[..., onnx.ModelProto], bool]


def _oracles(layer: AnyLayer) -> list[Oracle]:
    """(name, runner, model builder, whether the output is shifted to the input's type)."""
    reference, runtime = run_reference_evaluator, run_onnx_runtime
    if isinstance(layer, MaxPool):
        return [
            ("reference QDQ MaxPool", reference, qdq_explicitly_padded_max_pool_model, False),
            ("runtime QDQ MaxPool", runtime, qdq_max_pool_model, False),
        ]
    if isinstance(layer, GlobalAveragePool):
        return [
            ("reference QDQ GlobalAveragePool", reference, qdq_global_average_model, False),
            ("runtime QDQ GlobalAveragePool", runtime, qdq_global_average_model, True),
            ("runtime QLinearGlobalAveragePool", runtime, qlinear_global_average_model, True),
        ]
    oracles: list[Oracle] = [
        ("reference QLinearConv", reference, qlinear_conv_model, False),
        ("runtime QLinearConv", runtime, qlinear_conv_model, True),
        ("runtime QDQ Conv", runtime, qdq_conv_model, True),
    ]
    ifmap = layer.shape.ifmap
    if (ifmap.height, ifmap.width) == layer.shape.window.kernel == (1, 1):
        oracles.append(("runtime QDQ Gemm", runtime, qdq_gemm_model, True))
    return oracles


def _with_output_type_of_input(layer: AnyLayer) -> tuple[AnyLayer, int]:
    """The layer with its output in the input's type, and what to add to get the output back."""
    if layer.input.signed == layer.output.signed:
        return layer, 0
    shift = 128 if layer.input.signed else -128
    output = replace(
        layer.output, signed=layer.input.signed, zero_point=layer.output.zero_point - shift
    )
    clamp = (layer.clamp[0] - shift, layer.clamp[1] - shift)
    return replace(layer, output=output, clamp=clamp), shift


def _run_channels_last(run: Runner, model: onnx.ModelProto, layer: AnyLayer, x: Bytes) -> Outputs:
    dimensions = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
    planes = np.ascontiguousarray(x.transpose(2, 0, 1)).reshape(dimensions)
    ofmap = layer.output.shape
    y = run(model, planes).reshape(ofmap.channels, ofmap.height, ofmap.width)
    return y.transpose(1, 2, 0).astype(np.int32)
