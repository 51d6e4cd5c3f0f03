"""Runs layers and whole networks on one image."""

from typing import assert_never

from arch.errors import InputError
from sim.golden.convolution import convolve
from sim.golden.pooling import global_average_pool, max_pool
from sim.network import Alias, Bytes, Conv, GlobalAveragePool, Layer, MaxPool, Network, TensorSpec


def run_layer(layer: Layer, x: Bytes) -> Bytes:
    """Output map [height, width, channels] of ``layer`` for input map ``x``.

    Raises ``InputError`` if ``x`` has not the shape and type of ``layer.input``, ``ShapeError`` or
    ``CompileError`` where the layer itself has no exact result (see the modules of each kind).
    """
    _check_input(layer.input, x)
    match layer:
        case Conv():
            return convolve(layer, x)
        case MaxPool():
            return max_pool(layer, x)
        case GlobalAveragePool():
            return global_average_pool(layer, x)
        case Alias():
            return x.reshape(_shape(layer.output))
        case _:
            assert_never(layer)


def run_network(network: Network, image_q: Bytes) -> dict[str, Bytes]:
    """Every layer's output map by its ``TensorSpec`` name, for one quantised image.

    The input is not among them. Raises as ``run_layer`` does.
    """
    _check_input(network.input, image_q)
    maps = {network.input.name: image_q}
    for layer in network.layers:
        if layer.input.name not in maps:
            raise InputError(
                f"layer {layer.name} reads tensor {layer.input.name} before it is made; "
                "list the layers in topological order"
            )
        maps[layer.output.name] = run_layer(layer, maps[layer.input.name])
    return {layer.output.name: maps[layer.output.name] for layer in network.layers}


def _shape(spec: TensorSpec) -> tuple[int, int, int]:
    return spec.shape.height, spec.shape.width, spec.shape.channels


def _check_input(spec: TensorSpec, x: Bytes) -> None:
    if x.shape != _shape(spec) or x.dtype != spec.dtype:
        raise InputError(
            f"tensor {spec.name} must be {spec.dtype} of shape {_shape(spec)}, "
            f"got {x.dtype} of shape {x.shape}"
        )
