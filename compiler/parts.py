"""A network with steps of the host is cut into parts that the machine runs in turn."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import chain

from compiler.views import copied_slice
from sim.network import HostStep, Layer, Network, Slice, TensorSpec


def split_parts(network: Network) -> list[Network | HostStep]:
    """The machine's parts of ``network`` and the steps of the host between them, in order.

    The outputs of a part are all maps of its own that anything else reads, the network's input
    among them; no part reads a slice that another makes.
    """
    stages: list[list[Layer] | HostStep] = [[]]
    for layer in network.layers:
        if isinstance(layer, HostStep):
            stages += [layer, []]
        elif isinstance(own := stages[-1], list):
            own.append(layer)
    if len(stages) == 1:
        return [network]
    parts = [stage for stage in stages if isinstance(stage, list)]
    for part in parts:
        read = {spec.name for other in parts if other is not part for spec in _read(other)}
        part[:] = chain.from_iterable(_whole(layer, read) for layer in part)
    return [
        stage if isinstance(stage, HostStep) else _part(network, tuple(stage), number)
        for number, stage in enumerate(stages)
        if stage
    ]


def _read(layers: Sequence[Layer]) -> Iterator[TensorSpec]:
    for layer in layers:
        yield from layer.inputs


def _whole(layer: Layer, read: Set[str]) -> tuple[Layer, ...]:
    """``layer``; where it is a slice that is ``read`` elsewhere, with a copy that has no gaps."""
    if isinstance(layer, Slice) and layer.output.name in read:
        return copied_slice(layer)
    return (layer,)


def _part(network: Network, layers: tuple[Layer, ...], number: int) -> Network:
    part = replace(network, name=f"{network.name}.{number // 2 + 1}", layers=layers, results=())
    made = {layer.output.name: layer.output for layer in layers}
    mine = set(map(id, layers))
    others = [layer for layer in network.layers if id(layer) not in mine]
    wanted = [*_read(others)]
    source = _first_source(part)
    there = {*made, source.name} if source == network.input else made
    outputs = {spec.name: spec for spec in (*network.outputs, *wanted) if spec.name in there}
    return replace(part, input=source, outputs=tuple(outputs.values()))


def _first_source(part: Network) -> TensorSpec:
    """The network's input where the part reads it, else the first map of another part."""
    made = {layer.output.name for layer in part.layers}
    read = [spec for layer in part.layers for spec in layer.inputs if spec.name not in made]
    return next((spec for spec in read if spec.name == part.input.name), read[0])
