"""Runs layers and whole networks on one image."""

from collections.abc import Mapping
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from arch.errors import InputError
from sim.golden.convolution import convolve
from sim.golden.elementwise import add, look_up, multiply
from sim.golden.movement import concatenate, reshape, slice_map
from sim.golden.pooling import average_pool, max_pool
from sim.network import (
    Add,
    Alias,
    AveragePool,
    Bytes,
    Concat,
    Conv,
    HostStep,
    Layer,
    MaxPool,
    Multiply,
    Network,
    Slice,
    Table,
    TensorSpec,
)


def run_layer(layer: Layer, *maps: Bytes) -> Bytes:
    """Output map [height, width, channels] of ``layer`` for one map of each of ``layer.inputs``.

    Raises ``InputError`` if a map has not the shape and type of its operand or is missing,
    ``ShapeError``, ``ModelError`` or ``CompileError`` where the layer itself has no exact result
    (see the modules of each kind).
    """
    if len(maps) != len(layer.inputs):
        raise InputError(
            f"layer {layer.name} must get {len(layer.inputs)} maps, got {len(maps)}; "
            "give one for each operand"
        )
    for spec, x in zip(layer.inputs, maps, strict=True):
        _check_input(spec, x)
    if isinstance(layer, Concat):
        return concatenate(layer, maps)
    if isinstance(layer, Add):
        return add(layer, *maps)
    if isinstance(layer, Multiply):
        return multiply(layer, *maps)
    return _run_one_input(layer, maps[0])


def run_network(network: Network, image_q: Bytes) -> dict[str, Bytes]:
    """Every layer's output map by its ``TensorSpec`` name, for one quantised image.

    The input is not among them. Raises as ``run_layer`` does.
    """
    _check_input(network.input, image_q)
    maps = {network.input.name: image_q}
    for layer in network.layers:
        missing = [spec.name for spec in layer.inputs if spec.name not in maps]
        if missing:
            raise InputError(
                f"layer {layer.name} reads tensor {missing[0]} before it is made; "
                "list the layers in topological order"
            )
        maps[layer.output.name] = run_layer(layer, *(maps[spec.name] for spec in layer.inputs))
    return {layer.output.name: maps[layer.output.name] for layer in network.layers}


def run_results(
    network: Network, image_q: Bytes, maps: Mapping[str, Bytes]
) -> dict[str, NDArray[np.generic]]:
    """Every result of the host by its name, of the image and the ``maps`` of ``run_network``."""
    # ONNX Runtime is imported where it runs.
    from sim.host import run_host_result

    known = {network.input.name: image_q, **maps}
    return {each.name: run_host_result(each, known[each.input.name]) for each in network.results}


def _run_one_input(
    layer: Conv | MaxPool | AveragePool | Table | Slice | Alias | HostStep, x: Bytes
) -> Bytes:
    match layer:
        case Conv():
            return convolve(layer, x)
        case MaxPool():
            return max_pool(layer, x)
        case AveragePool():
            return average_pool(layer, x)
        case Table():
            return look_up(layer, x)
        case Slice():
            return slice_map(layer, x)
        case Alias():
            return reshape(layer, x)
        case HostStep():
            from sim.host import run_host_step

            return run_host_step(layer, x)
        case _:
            assert_never(layer)


def _shape(spec: TensorSpec) -> tuple[int, int, int]:
    return spec.shape.height, spec.shape.width, spec.shape.channels


def _check_input(spec: TensorSpec, x: Bytes) -> None:
    if x.shape != _shape(spec) or x.dtype != spec.dtype:
        raise InputError(
            f"tensor {spec.name} must be {spec.dtype} of shape {_shape(spec)}, "
            f"got {x.dtype} of shape {x.shape}"
        )
