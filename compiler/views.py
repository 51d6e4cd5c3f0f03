"""Feature maps that share memory: parts of a concatenation, slices, reshapes cost no copy.

Every layer writes its output where it is needed last: inside the map that concatenates it. Only
where one map is needed in two places does a copy remain.
"""

from dataclasses import replace

import numpy as np

from arch.layers import PoolShape, Window
from compiler.memory_map import MapPlace, MemoryMap
from sim.network import Alias, Concat, Layer, MaxPool, Network, Slice, TensorSpec


def separate_views(network: Network) -> Network:
    """``network`` with a copy wherever a map would have to lie in two places.

    That is so if it is concatenated twice, concatenated or reshaped though it is only a part of
    another map, or both the network's input or output and a part.
    """
    fixed = {network.input.name} | {spec.name for spec in network.outputs}
    slices = {layer.output.name for layer in network.layers if isinstance(layer, Slice)}
    for layer in network.layers:
        if isinstance(layer, Slice | Alias):
            fixed |= {layer.input.name, layer.output.name}
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Concat):
            layers += _own_parts(layer, fixed)
        elif isinstance(layer, Alias) and layer.input.name in slices:
            packed = replace(layer.input, name=f"{layer.name}.packed")
            layers += [_copy(layer.input, packed), replace(layer, input=packed)]
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))


def _own_parts(layer: Concat, fixed: set[str]) -> list[Layer]:
    """``layer`` with copies of those inputs that are ``fixed`` elsewhere; all are fixed then."""
    copies: list[Layer] = []
    inputs = []
    for number, spec in enumerate(layer.inputs):
        own = spec
        if spec.name in fixed:
            own = replace(spec, name=f"{layer.name}.{number}")
            copies.append(_copy(spec, own))
        fixed.add(own.name)
        inputs.append(own)
    return [*copies, replace(layer, inputs=tuple(inputs))]


def place_maps(network: Network, memory: MemoryMap) -> dict[str, MapPlace]:
    """Where every feature map of ``network`` lies; its views must be separate."""
    places: dict[str, MapPlace] = {}

    def place(spec: TensorSpec) -> MapPlace:
        if spec.name not in places:
            address = memory.place(f"map {spec.name}", spec.shape.elements * spec.bytes)
            places[spec.name] = MapPlace.packed(address, spec.shape, spec.bytes)
        return places[spec.name]

    # Backwards, so that an outer concatenation is placed before the parts of its parts.
    for layer in reversed(network.layers):
        if isinstance(layer, Concat):
            whole, channel = place(layer.output), 0
            for spec in layer.inputs:
                places[spec.name] = whole.at(0, 0, channel)
                channel += spec.shape.channels
    # Forwards, so that a view is placed after what it is a part of.
    place(network.input)
    for layer in network.layers:
        if isinstance(layer, Slice):
            places[layer.output.name] = place(layer.input).at(*layer.start)
        elif isinstance(layer, Alias):
            address = place(layer.input).address
            places[layer.output.name] = MapPlace.packed(
                address, layer.output.shape, layer.output.bytes
            )
        else:
            place(layer.output)
    return places


def _copy(source: TensorSpec, target: TensorSpec) -> MaxPool:
    return MaxPool(
        name=f"copy of {source.name}",
        input=source,
        output=target,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=np.float32(1),
        clamp=source.limits,
    )
