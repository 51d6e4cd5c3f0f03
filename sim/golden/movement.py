"""Layers that move bytes and compute nothing."""

import numpy as np

from arch.errors import ModelError
from sim.network import Alias, Bytes, Concat, Slice, TensorSpec


def concatenate(layer: Concat, maps: tuple[Bytes, ...]) -> Bytes:
    """``maps`` side by side along the channels.

    Raises ``ModelError`` if an operand is not quantised as the output.
    """
    for spec in layer.inputs:
        _check_quantisation(layer.name, spec, layer.output)
    return np.concatenate(maps, axis=2).astype(layer.output.dtype)


def slice_map(layer: Slice, x: Bytes) -> Bytes:
    """The box of ``x`` that the layer takes.

    Raises ``ModelError`` if the output is quantised otherwise or does not lie within the input.
    """
    _check_quantisation(layer.name, layer.input, layer.output)
    shape = layer.output.shape
    stop = np.add(layer.start, (shape.height, shape.width, shape.channels))
    if min(layer.start) < 0 or np.any(stop > x.shape):
        raise ModelError(
            f"layer {layer.name}: a slice must lie within its input {x.shape}, "
            f"got {layer.start} to {tuple(map(int, stop))}"
        )
    y, left, c = layer.start
    y_end, right, c_end = stop.tolist()
    return x[y:y_end, left:right, c:c_end].copy()


def reshape(layer: Alias, x: Bytes) -> Bytes:
    """The same bytes in the output's shape."""
    shape = layer.output.shape
    return x.reshape(shape.height, shape.width, shape.channels)


def _check_quantisation(name: str, spec: TensorSpec, output: TensorSpec) -> None:
    if not spec.quantised_as(output):
        raise ModelError(
            f"layer {name}: tensor {spec.name} must be quantised as {output.name}, got scale "
            f"{spec.scale:g} and zero point {spec.zero_point}; requantise it first"
        )
