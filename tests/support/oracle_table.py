"""Which oracles know which kind of layer."""

from collections.abc import Callable, Iterator

import onnx

from sim.network import AveragePool, Layer
from tests.support import elementwise_models as elementwise
from tests.support import oracle_causes as causes
from tests.support import oracle_models as models
from tests.support.oracles import (
    Oracle,
    both_int8,
    both_uint8,
    input_type,
    is_fully_connected,
    is_global,
    mixed_types,
    own_types,
    run_onnx_runtime,
    run_plain_onnx_runtime,
    run_reference_evaluator,
)


def oracles_of(layer: Layer) -> Iterator[Oracle]:
    """The oracles that know the layer's kind and width."""
    if layer.input.bits == 16:
        yield from _oracles_of_16_bits(layer)
        return
    yield from ORACLES[type(layer).__name__]
    if is_fully_connected(layer):
        yield from ORACLES["fully connected"]
    if is_global(layer):
        yield from ORACLES["global average"]
    if isinstance(layer, AveragePool):
        if layer.shape.window.dilation == (1, 1):
            yield from ORACLES["average without dilation"]
        # onnx 1.23 reads its padding in a wrong order where sizes are rounded up.
        if layer.overhang == (0, 0):
            yield from ORACLES["average rounded down"]


def _oracles_of_16_bits(layer: Layer) -> Iterator[Oracle]:
    """There are no integer operators of 16 bits: all compute QDQ layers in float32."""
    if isinstance(layer, AveragePool) and layer.overhang != (0, 0):
        yield from WIDE_ORACLES["AveragePool"][1:]
    else:
        yield from WIDE_ORACLES.get(type(layer).__name__, ())


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
    "global average": (
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
    "average rounded down": (
        Oracle(
            "ReferenceEvaluator QDQ AveragePool",
            run_reference_evaluator,
            models.qdq_average_model,
            own_types,
            causes.FLOAT_AVERAGE_CAUSES,
        ),
    ),
    "AveragePool": (
        Oracle(
            "ONNX Runtime QDQ AveragePool, mixed types",
            run_onnx_runtime,
            models.qdq_average_model,
            mixed_types,
            causes.FLOAT_AVERAGE_CAUSES,
        ),
    ),
    "average without dilation": (
        Oracle(
            "ONNX Runtime QLinearAveragePool",
            run_onnx_runtime,
            models.qlinear_average_model,
            input_type,
            causes.INTEGER_AVERAGE_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ AveragePool",
            run_onnx_runtime,
            models.qdq_average_model,
            input_type,
            causes.INTEGER_AVERAGE_CAUSES,
        ),
    ),
    "Table": (
        Oracle(
            "ReferenceEvaluator Gather",
            run_reference_evaluator,
            elementwise.table_model,
            own_types,
            (),
        ),
        Oracle("ONNX Runtime Gather", run_onnx_runtime, elementwise.table_model, own_types, ()),
    ),
    "Concat": (
        Oracle(
            "ReferenceEvaluator Concat",
            run_reference_evaluator,
            elementwise.concat_model,
            own_types,
            (),
        ),
        Oracle("ONNX Runtime Concat", run_onnx_runtime, elementwise.concat_model, own_types, ()),
    ),
    "Slice": (
        Oracle(
            "ReferenceEvaluator Slice",
            run_reference_evaluator,
            elementwise.slice_model,
            own_types,
            (),
        ),
        Oracle("ONNX Runtime Slice", run_onnx_runtime, elementwise.slice_model, own_types, ()),
    ),
    "Add": (
        Oracle(
            "ReferenceEvaluator QDQ Add",
            run_reference_evaluator,
            elementwise.qdq_binary_model,
            own_types,
            causes.REFERENCE_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QLinearAdd",
            run_onnx_runtime,
            elementwise.qlinear_binary_model,
            input_type,
            causes.FLOAT_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Add",
            run_onnx_runtime,
            elementwise.qdq_binary_model,
            input_type,
            causes.FLOAT_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Add, mixed types",
            run_onnx_runtime,
            elementwise.qdq_binary_model,
            mixed_types,
            causes.FLOAT_BINARY_CAUSES,
        ),
    ),
    "Multiply": (
        Oracle(
            "ReferenceEvaluator QDQ Mul",
            run_reference_evaluator,
            elementwise.qdq_binary_model,
            own_types,
            causes.REFERENCE_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QLinearMul",
            run_onnx_runtime,
            elementwise.qlinear_binary_model,
            input_type,
            causes.FLOAT_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Mul",
            run_onnx_runtime,
            elementwise.qdq_binary_model,
            input_type,
            causes.FLOAT_BINARY_CAUSES,
        ),
        Oracle(
            "ONNX Runtime QDQ Mul, mixed types",
            run_onnx_runtime,
            elementwise.qdq_binary_model,
            mixed_types,
            causes.FLOAT_BINARY_CAUSES,
        ),
    ),
}

_RUNNERS = (
    ("ReferenceEvaluator", run_reference_evaluator),
    ("ONNX Runtime", run_plain_onnx_runtime),
)
_WIDE_KINDS: dict[str, tuple[Callable[..., onnx.ModelProto], tuple[causes.Cause, ...]]] = {
    "Conv": (models.qdq_conv_model, causes.FLOAT_CONV_CAUSES),
    "MaxPool": (models.qdq_explicitly_padded_max_pool_model, causes.FLOAT_MAX_POOL_CAUSES),
    "AveragePool": (models.qdq_average_model, causes.FLOAT_AVERAGE_CAUSES),
    "Add": (elementwise.qdq_binary_model, causes.FLOAT_BINARY_CAUSES),
    "Multiply": (elementwise.qdq_binary_model, causes.FLOAT_BINARY_CAUSES),
    "Concat": (elementwise.concat_model, ()),
    "Slice": (elementwise.slice_model, ()),
}

WIDE_ORACLES: dict[str, tuple[Oracle, ...]] = {
    kind: tuple(
        Oracle(f"{name} QDQ {kind}, 16 bits", run, build, own_types, found)
        for name, run in _RUNNERS
    )
    for kind, (build, found) in _WIDE_KINDS.items()
}
"""For layers of 16 bits; the reference evaluator stands first."""
