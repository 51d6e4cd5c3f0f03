"""Feature maps that share memory: parts of a concatenation, slices, reshapes cost no copy.

Every layer writes its output where it is needed last: inside the map that concatenates it. Only
where one map is needed in two places does a copy remain.
"""

from dataclasses import dataclass, replace

import numpy as np

from arch.layers import PoolShape, Window
from compiler.memory_map import MapPlace
from sim.network import Alias, Concat, Layer, MaxPool, Network, Slice, TensorSpec


def separate_views(network: Network) -> Network:
    """``network`` with a copy wherever a map would have to lie in two places.

    That is so if it is concatenated twice, concatenated or reshaped though it is only a part of
    another map, or both one of the network's sources or outputs and a part.
    """
    fixed = {spec.name for spec in (*network.sources, *network.outputs)}
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
            layers += [copy_of(layer.input, packed), replace(layer, input=packed)]
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))


def copy_views(network: Network) -> Network:
    """``network`` with a copy of every part of a concatenation, and of every slice."""
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Concat):
            layers += _own_parts(layer, {spec.name for spec in layer.inputs})
        elif isinstance(layer, Slice):
            layers += copied_slice(layer)
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
            copies.append(copy_of(spec, own))
        fixed.add(own.name)
        inputs.append(own)
    return [*copies, replace(layer, inputs=tuple(inputs))]


@dataclass(frozen=True, kw_only=True)
class View:
    """Where a map lies: ``place`` in the whole map ``root``, whose first byte has address 0."""

    root: str
    place: MapPlace


@dataclass(frozen=True, kw_only=True)
class Views:
    """Where every map of a network lies, by its name, and the bytes of every root."""

    maps: dict[str, View]
    roots: dict[str, int]


def find_views(network: Network) -> Views:
    """The views of ``network``, which must be separate. A map that is no part is its own root."""
    views: dict[str, View] = {}
    roots: dict[str, int] = {}

    def view(spec: TensorSpec) -> View:
        if spec.name not in views:
            roots[spec.name] = spec.shape.elements * spec.bytes
            place = MapPlace.packed(0, spec.shape, spec.bytes)
            views[spec.name] = View(root=spec.name, place=place)
        return views[spec.name]

    # Backwards, so that an outer concatenation comes before the parts of its parts.
    for layer in reversed(network.layers):
        if isinstance(layer, Concat):
            whole, channel = view(layer.output), 0
            for spec in layer.inputs:
                views[spec.name] = replace(whole, place=whole.place.at(0, 0, channel))
                channel += spec.shape.channels
    # Forwards, so that a view comes after what it is a part of.
    for spec in network.sources:
        view(spec)
    for layer in network.layers:
        if isinstance(layer, Slice):
            whole = view(layer.input)
            views[layer.output.name] = replace(whole, place=whole.place.at(*layer.start))
        elif isinstance(layer, Alias):
            whole = view(layer.input)
            packed = MapPlace.packed(whole.place.address, layer.output.shape, layer.output.bytes)
            views[layer.output.name] = replace(whole, place=packed)
        else:
            view(layer.output)
    return Views(maps=views, roots=roots)


def copied_slice(layer: Slice) -> tuple[Layer, Layer]:
    """``layer`` as a view and a copy of it."""
    view = replace(layer.output, name=f"{layer.name}.view")
    return replace(layer, output=view), copy_of(view, layer.output)


def copy_of(source: TensorSpec, target: TensorSpec) -> MaxPool:
    """A layer that gives ``target`` the bytes of ``source``."""
    return MaxPool(
        name=f"copy of {source.name}",
        input=source,
        output=target,
        shape=PoolShape(ifmap=source.shape, window=Window(kernel=(1, 1))),
        multiplier=np.float32(1),
        clamp=source.limits,
    )
