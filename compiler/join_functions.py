"""The pass that makes one table of layers which together are a function of one number.

x * sigmoid(x) is a table and a product, hard-swish another, and two activations one after the other
two tables; each is a function of the byte x alone, whatever it rounds on the way, so 256 bytes say
all of it.
"""

from dataclasses import replace

import numpy as np

from arch.layers import FeatureMap, PoolShape, Window
from compiler.fusion import FusedLayer, MapLayer
from compiler.plan import Plan
from sim.golden.run import run_layer
from sim.network import Add, Bytes, MaxPool, Multiply, Table, TensorSpec

_EVERY_BYTE = FeatureMap(height=16, width=16, channels=1)


def join_functions(plan: Plan) -> Plan:
    """``plan`` with every such group of layers as one ``Table``, if nothing else reads what is in
    between. Of 8 bits only: tables of 16 bits interpolate."""
    layers = {each.output.name: each.layers[0] for each in plan.layers}
    sources = _sources(layers)
    # From the last layer on, so that groups are as large as can be.
    for name in reversed(list(layers)):
        if name not in layers or name not in sources:
            continue
        group = _group(plan, layers, sources, name)
        if group is not None:
            for each in group[:-1]:
                del layers[each.output.name]
            layers[name] = _table(sources[name], group)
    return replace(plan, layers=tuple(FusedLayer(layers=(each,)) for each in layers.values()))


def _sources(layers: dict[str, MapLayer]) -> dict[str, TensorSpec]:
    """Of each map that is a function of one other map, pixel by pixel and channel by channel, the
    map furthest back of which it is one."""
    sources: dict[str, TensorSpec] = {}
    for layer in layers.values():
        of = [sources.get(spec.name, spec) for spec in layer.inputs]
        same = len({spec.name for spec in of}) == 1 and len({s.shape for s in layer.inputs}) == 1
        if same and of[0].bits == layer.output.bits == 8 and _is_function(layer):
            sources[layer.output.name] = of[0]
    return sources


def _is_function(layer: MapLayer) -> bool:
    """Whether an output element depends on one element of each operand alone."""
    if isinstance(layer, MaxPool):
        return layer.shape.window == Window(kernel=(1, 1))
    return isinstance(layer, Table | Add | Multiply)


def _group(
    plan: Plan, layers: dict[str, MapLayer], sources: dict[str, TensorSpec], name: str
) -> list[MapLayer] | None:
    """The layers between the source of map ``name`` and the map, in order; None if there is one
    only, or if anything else reads a map in between."""
    source, wanted = sources[name].name, {name}
    group: list[MapLayer] = []
    for layer in reversed(list(layers.values())):
        if layer.output.name in wanted:
            group.insert(0, layer)
            wanted |= {spec.name for spec in layer.inputs if spec.name != source}
    inner = {plan.views.maps[each.output.name].root for each in group[:-1]}
    others = [each for each in layers.values() if each not in group]
    read = {plan.views.maps[spec.name].root for each in others for spec in each.inputs}
    read |= {plan.views.maps[spec.name].root for spec in plan.network.outputs}
    return None if len(group) == 1 or inner & read else group


def _table(source: TensorSpec, group: list[MapLayer]) -> Table:
    """The layers of ``group`` as one, by the golden model's word on every byte."""
    every = np.arange(256, dtype=np.uint8).view(source.dtype).reshape(16, 16, 1)
    maps: dict[str, Bytes] = {source.name: every}
    for layer in group:
        small = _on_every_byte(layer)
        maps[layer.output.name] = run_layer(small, *(maps[spec.name] for spec in layer.inputs))
    last = group[-1]
    table = np.ascontiguousarray(maps[last.output.name]).view(np.uint8).reshape(256)
    return Table(name=last.name, input=source, output=last.output, table=table)


def _on_every_byte(layer: MapLayer) -> MapLayer:
    """``layer`` on maps of one element for each byte."""
    source = replace(layer.input, shape=_EVERY_BYTE)
    output = replace(layer.output, shape=_EVERY_BYTE)
    if isinstance(layer, Add | Multiply):
        other = replace(layer.other, shape=_EVERY_BYTE)
        return replace(layer, input=source, other=other, output=output)
    if isinstance(layer, MaxPool):
        shape = PoolShape(ifmap=_EVERY_BYTE, window=layer.shape.window)
        return replace(layer, input=source, output=output, shape=shape)
    return replace(layer, input=source, output=output)
