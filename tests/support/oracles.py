"""Runs single layers on onnx's ReferenceEvaluator and on ONNX Runtime (CPU)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from sim.network import Bytes, Conv, TensorSpec
from tests.support import oracle_causes as causes
from tests.support import oracle_models as models
from tests.support.oracle_causes import AnyLayer, Cause, Outputs

Runner = Callable[[onnx.ModelProto, Bytes], Bytes]
Signs = Callable[[AnyLayer], tuple[bool, bool]]


def run_reference_evaluator(model: onnx.ModelProto, x: Bytes) -> Bytes:
    """``y`` of the model for ``x``, as onnx's reference operators compute it."""
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    return np.asarray(y)


def run_onnx_runtime(model: onnx.ModelProto, x: Bytes) -> Bytes:
    """``y`` of the model for ``x`` on ONNX Runtime's CPU provider, default optimisations on."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


def session_options() -> onnxruntime.SessionOptions:
    """One thread, and errors only on the terminal."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def own_types(layer: AnyLayer) -> tuple[bool, bool]:
    """Input and output keep the layer's types."""
    return layer.input.signed, layer.output.signed


def input_type(layer: AnyLayer) -> tuple[bool, bool]:
    """The output takes the input's type: ONNX Runtime's integer operators know no other form."""
    return layer.input.signed, layer.input.signed


def mixed_types(layer: AnyLayer) -> tuple[bool, bool]:
    """The output takes the other type: ONNX Runtime then computes QDQ layers in float32."""
    return layer.input.signed, not layer.input.signed


def both_uint8(_: AnyLayer) -> tuple[bool, bool]:
    """ONNX Runtime turns a QDQ Conv of uint8 into an integer operator on any CPU."""
    return False, False


def both_int8(_: AnyLayer) -> tuple[bool, bool]:
    """ONNX Runtime computes a QDQ Conv of int8 in float32 on x86."""
    return True, True


@dataclass(frozen=True)
class Oracle:
    """One way to run a layer elsewhere.

    Where ``signs`` (input, output) are not the layer's own, maps, zero points and clamp are shifted
    by 128 for the run and back after it. That is exact: x - zx stays, and the output's zero point
    is added after rounding.
    """

    name: str
    run: Runner
    build: Callable[..., onnx.ModelProto]
    signs: Signs
    causes: tuple[Cause, ...]

    def outputs(self, layer: AnyLayer, x: Bytes) -> Outputs:
        """The oracle's output map [height, width, channels]."""
        signs = self.signs(layer)
        model = self.build(with_signs(layer, signs))
        onnx.checker.check_model(model)
        dimensions = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
        planes = np.ascontiguousarray(_shifted(x, signs[0]).transpose(2, 0, 1))
        ofmap = layer.output.shape
        y = self.run(model, planes.reshape(dimensions))
        y = y.reshape(ofmap.channels, ofmap.height, ofmap.width).transpose(1, 2, 0)
        return _shifted(y, layer.output.signed).astype(np.int32)


def oracles_of(layer: AnyLayer) -> Iterator[Oracle]:
    """The oracles that know the layer's kind."""
    yield from ORACLES[type(layer).__name__]
    if isinstance(layer, Conv) and _is_fully_connected(layer):
        yield from ORACLES["fully connected"]


def with_signs(layer: AnyLayer, signs: tuple[bool, bool]) -> AnyLayer:
    """The layer with (input, output) of these signs, all values shifted along."""
    source, _ = _spec_with_sign(layer.input, signs[0])
    output, shift = _spec_with_sign(layer.output, signs[1])
    clamp = (layer.clamp[0] + shift, layer.clamp[1] + shift)
    return replace(layer, input=source, output=output, clamp=clamp)


def _spec_with_sign(spec: TensorSpec, signed: bool) -> tuple[TensorSpec, int]:
    shift = 128 * (int(spec.signed) - int(signed))
    return replace(spec, signed=signed, zero_point=spec.zero_point + shift), shift


def _shifted(x: Bytes, signed: bool) -> NDArray[np.int8] | NDArray[np.uint8]:
    if (x.dtype == np.int8) == signed:
        return x
    values = x.astype(np.int16)
    return (values - 128).astype(np.int8) if signed else (values + 128).astype(np.uint8)


def _is_fully_connected(layer: Conv) -> bool:
    ifmap = layer.shape.ifmap
    return (ifmap.height, ifmap.width) == layer.shape.window.kernel == (1, 1)


ORACLES: dict[str, tuple[Oracle, ...]] = {
    "Conv": (
        Oracle(
            "ReferenceEvaluator QLinearConv",
            run_reference_evaluator,
            models.qlinear_conv_model,
            own_types,
            causes.REFERENCE_CONV_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QLinearConv",
            run_onnx_runtime,
            models.qlinear_conv_model,
            input_type,
            causes.INTEGER_CONV_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Conv, uint8",
            run_onnx_runtime,
            models.qdq_conv_model,
            both_uint8,
            causes.INTEGER_CONV_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Conv, int8",
            run_onnx_runtime,
            models.qdq_conv_model,
            both_int8,
            causes.FLOAT_CONV_CAUSES,
        ),
    ),
    "fully connected": (
        Oracle(
            "ONNX Runtime QDQ Gemm",
            run_onnx_runtime,
            models.qdq_gemm_model,
            input_type,
            causes.INTEGER_CONV_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Gemm, mixed types",
            run_onnx_runtime,
            models.qdq_gemm_model,
            mixed_types,
            causes.FLOAT_CONV_CAUSES,
        ),
    ),
    "MaxPool": (
        Oracle(
            "ReferenceEvaluator QDQ MaxPool",
            run_reference_evaluator,
            models.qdq_explicitly_padded_max_pool_model,
            own_types,
            causes.FLOAT_MAX_POOL_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ MaxPool",
            run_onnx_runtime,
            models.qdq_max_pool_model,
            own_types,
            causes.FLOAT_MAX_POOL_CAUSES,
        ),
    ),
    "GlobalAveragePool": (
        Oracle(
            "ReferenceEvaluator QDQ GlobalAveragePool",
            run_reference_evaluator,
            models.qdq_global_average_model,
            own_types,
            causes.REFERENCE_AVERAGE_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QLinearGlobalAveragePool",
            run_onnx_runtime,
            models.qlinear_global_average_model,
            input_type,
            (),
        ),
        Oracle(
            "ONNX Runtime QDQ GlobalAveragePool",
            run_onnx_runtime,
            models.qdq_global_average_model,
            input_type,
            (),
        ),
        Oracle(
            "ONNX Runtime QDQ GlobalAveragePool, mixed types",
            run_onnx_runtime,
            models.qdq_global_average_model,
            mixed_types,
            causes.FLOAT_AVERAGE_CAUSES,
        ),
    ),
}
