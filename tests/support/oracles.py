"""Runs single layers on onnx's ReferenceEvaluator and on ONNX Runtime (CPU)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from sim.network import AveragePool, Bytes, Conv, Layer, TensorSpec
from tests.support.oracle_causes import Cause, OneInput, Outputs, TwoInputs
from tests.support.random_maps import Maps

Runner = Callable[[onnx.ModelProto, Maps], Bytes]
Signs = Callable[[Layer], tuple[bool, ...]]  # of each operand and, last, of the output


def run_reference_evaluator(model: onnx.ModelProto, maps: Maps) -> Bytes:
    """``y`` of the model for its inputs, as onnx's reference operators compute it."""
    (y,) = ReferenceEvaluator(model).run(None, _feeds(model, maps))
    return np.asarray(y)


def run_onnx_runtime(model: onnx.ModelProto, maps: Maps) -> Bytes:
    """``y`` of the model on ONNX Runtime's CPU provider, default optimisations on."""
    return _run_session(model, maps, session_options())


def run_plain_onnx_runtime(model: onnx.ModelProto, maps: Maps) -> Bytes:
    """The same without optimisations, which would make a float bias an int32, even one that does
    not fit."""
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _run_session(model, maps, options)


def _run_session(model: onnx.ModelProto, maps: Maps, options: onnxruntime.SessionOptions) -> Bytes:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, _feeds(model, maps))
    return np.asarray(y)


def _feeds(model: onnx.ModelProto, maps: Maps) -> dict[str, Bytes]:
    return {item.name: x for item, x in zip(model.graph.input, maps, strict=True)}


def session_options() -> onnxruntime.SessionOptions:
    """One thread, and errors only on the terminal."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def own_types(layer: Layer) -> tuple[bool, ...]:
    """Inputs and output keep the layer's types."""
    return tuple(spec.signed for spec in (*layer.inputs, layer.output))


def input_type(layer: Layer) -> tuple[bool, ...]:
    """All take the input's type: ONNX Runtime's integer operators know no other form."""
    return (layer.input.signed,) * (len(layer.inputs) + 1)


def mixed_types(layer: Layer) -> tuple[bool, ...]:
    """The output takes the other type: ONNX Runtime then computes QDQ layers in float32."""
    return (*(layer.input.signed for _ in layer.inputs), not layer.input.signed)


def both_uint8(_: Layer) -> tuple[bool, ...]:
    """ONNX Runtime turns a QDQ Conv of uint8 into an integer operator on any CPU."""
    return False, False


def both_int8(_: Layer) -> tuple[bool, ...]:
    """ONNX Runtime computes a QDQ Conv of int8 in float32 on x86."""
    return True, True


@dataclass(frozen=True)
class Oracle:
    """One way to run a layer elsewhere.

    Where ``signs`` are not the layer's own, maps, zero points and clamp are shifted by 128 for the
    run and back after it. That is exact: x - zx stays, and the output's zero point is added after
    rounding.
    """

    name: str
    run: Runner
    build: Callable[..., onnx.ModelProto]
    signs: Signs
    causes: tuple[Cause, ...]

    def outputs(self, layer: Layer, maps: Maps) -> Outputs:
        """The oracle's output map [height, width, channels]."""
        signs = self.signs(layer)
        model = self.build(with_signs(layer, signs))
        onnx.checker.check_model(model)
        fed = [
            _as_fed(item, _shifted(x, signed))
            for item, x, signed in zip(model.graph.input, maps, signs[:-1], strict=True)
        ]
        ofmap = layer.output.shape
        y = self.run(model, tuple(fed))
        y = y.reshape(ofmap.channels, ofmap.height, ofmap.width).transpose(1, 2, 0)
        shifted = _shifted(y, layer.output.signed).astype(np.int32)
        # The models clamp 8-bit outputs themselves.
        return (
            np.clip(shifted, *layer.clamp) if isinstance(layer, OneInput | TwoInputs) else shifted
        )


def with_signs(layer: Layer, signs: tuple[bool, ...]) -> Layer:
    """The layer with operands and output of these signs, all values shifted along."""
    if signs == own_types(layer):
        return layer
    if not isinstance(layer, OneInput | TwoInputs):
        raise TypeError(f"{layer.name}: only layers that compute may change their types")
    source, _ = _spec_with_sign(layer.input, signs[0])
    output, shift = _spec_with_sign(layer.output, signs[-1])
    clamp = (layer.clamp[0] + shift, layer.clamp[1] + shift)
    if isinstance(layer, TwoInputs):
        other, _ = _spec_with_sign(layer.other, signs[1])
        return replace(layer, input=source, other=other, output=output, clamp=clamp)
    return replace(layer, input=source, output=output, clamp=clamp)


def is_fully_connected(layer: Layer) -> bool:
    """Whether a fully connected operator can express the layer."""
    if not isinstance(layer, Conv) or layer.shape.groups > 1:
        return False
    ifmap = layer.shape.ifmap
    return (ifmap.height, ifmap.width) == layer.shape.window.kernel == (1, 1)


def is_global(layer: Layer) -> bool:
    """Whether the layer is an average over its whole map."""
    if not isinstance(layer, AveragePool):
        return False
    ifmap = layer.shape.ifmap
    return (ifmap.height, ifmap.width) == layer.shape.window.kernel and not any(
        layer.shape.window.padding
    )


def _as_fed(item: onnx.ValueInfoProto, x: Bytes) -> Bytes:
    """A map in the shape and order of the model's input."""
    sizes = [size.dim_value for size in item.type.tensor_type.shape.dim]
    return np.ascontiguousarray(x.transpose(2, 0, 1)).reshape(sizes)


def _spec_with_sign(spec: TensorSpec, signed: bool) -> tuple[TensorSpec, int]:
    shift = 128 * (int(spec.signed) - int(signed))
    return replace(spec, signed=signed, zero_point=spec.zero_point + shift), shift


def _shifted(x: Bytes, signed: bool) -> Bytes:
    if (x.dtype.kind == "i") == signed:
        return x
    values = x.astype(np.int16)
    return (values - 128).astype(np.int8) if signed else (values + 128).astype(np.uint8)
