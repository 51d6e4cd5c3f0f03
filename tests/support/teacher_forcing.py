"""Compares an imported network with ONNX Runtime layer by layer, each on the same bytes.

Every quantised tensor of the model becomes an output of ONNX Runtime's run, in which every operator
is computed in float32. A layer of the network then reads ONNX Runtime's bytes, so that a difference
is seen where it arises, and has one cause.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from compiler.frontend import ImportedModel
from compiler.values import Value
from sim.golden.run import run_layer
from sim.network import AveragePool, Bytes, Concat, Conv, Layer, MaxPool, Table
from tests.support import oracle_causes as causes
from tests.support.oracle_causes import Cause, OneInput, TwoInputs, count_causes
from tests.support.oracles import session_options
from tests.support.qdq_models import Floats

COMPOSED = "several layers without a tensor between that ONNX Runtime shows"


@dataclass
class Agreement:
    """Bytes compared, and how many of them differ, by kind of layer and cause."""

    compared: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    largest: int = 0


def compare_layers(model: ImportedModel, path: Path, images: Floats) -> Agreement:
    """Every layer of ``model`` against the model in ``path`` on each image."""
    agreement = Agreement()
    session = _session_of_all(path, list(model.tensors))
    for image in images:
        found = session.run(list(model.tensors), {session.get_inputs()[0].name: image[None]})
        taught = {
            value.tensor.name: _in_memory(value, each)
            for value, each in zip(model.tensors.values(), found, strict=True)
        }
        _compare(model, taught | _parts(model, taught), agreement)
    return agreement


def _parts(model: ImportedModel, taught: dict[str, Bytes]) -> dict[str, Bytes]:
    """What a concatenation shows of maps that ONNX Runtime quantised only in it."""
    parts: dict[str, Bytes] = {}
    for layer in model.network.layers:
        if isinstance(layer, Concat) and layer.output.name in taught:
            ends = np.cumsum([spec.shape.channels for spec in layer.inputs])[:-1]
            shown = np.split(taught[layer.output.name], ends, axis=2)
            for spec, part in zip(layer.inputs, shown, strict=True):
                parts[spec.name] = part.astype(spec.dtype)
    return {name: part for name, part in parts.items() if name not in taught}


def _compare(model: ImportedModel, taught: dict[str, Bytes], agreement: Agreement) -> None:
    maps = dict(taught)
    direct = set(taught)
    for layer in model.network.layers:
        operands = tuple(maps[spec.name] for spec in layer.inputs)
        y = run_layer(layer, *operands)
        name = layer.output.name
        if name not in taught:
            maps[name] = y
            # Bytes that only moved are still ONNX Runtime's.
            if _moves_bytes(layer) and all(spec.name in direct for spec in layer.inputs):
                direct.add(name)
            continue
        kind = type(layer).__name__
        agreement.compared[kind] += y.size
        golden, oracle = y.astype(np.int32), taught[name].astype(np.int32)
        difference = np.abs(golden - oracle)
        agreement.largest = max(agreement.largest, int(difference.max()))
        if all(spec.name in direct for spec in layer.inputs):
            counts = count_causes(_causes_of(layer), layer, operands, golden, oracle)
        else:
            counts = Counter({COMPOSED: int(np.count_nonzero(difference))})
        for cause, count in (+counts).items():
            agreement.causes[f"{kind}: {cause}"] += count


def _moves_bytes(layer: Layer) -> bool:
    if isinstance(layer, Conv):  # a shuffle
        return bool(np.isin(layer.weights, (0, 1)).all()) and layer.name.endswith("_in_order")
    return not isinstance(layer, OneInput | TwoInputs) and layer.output.quantised_as(layer.input)


def _causes_of(layer: Layer) -> tuple[Cause, ...]:
    if isinstance(layer, Conv):
        return (*causes.FLOAT_CONV_CAUSES, *causes.FLOAT_BIAS_CAUSES)
    if isinstance(layer, MaxPool):
        return causes.FLOAT_MAX_POOL_CAUSES
    if isinstance(layer, AveragePool):
        return causes.INTEGER_AVERAGE_CAUSES
    if isinstance(layer, Table):
        return causes.WIDE_TABLE_CAUSES if layer.input.bits == 16 else ()
    return causes.FLOAT_BINARY_CAUSES if isinstance(layer, TwoInputs) else ()


def _session_of_all(path: Path, tensors: list[str]) -> onnxruntime.InferenceSession:
    model = onnx.load(path)
    shown = {output.name for output in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in shown
    )
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _in_memory(value: Value, found: NDArray[np.generic]) -> Bytes:
    """An ONNX tensor as the map that the network holds."""
    shape = value.tensor.shape
    rows = value.layout.to_memory(found).reshape(shape.height, shape.width, shape.channels)
    return rows.astype(value.tensor.dtype)
