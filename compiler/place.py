"""From an integer network to a program: mapping, memory map, commands, waits."""

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import MapLayer, constant_sizes, constants
from compiler.emit_common import Placement
from compiler.emit_conv import ConvEmitter
from compiler.emit_map import MapEmitter, pool_shape
from compiler.memory_map import MapPlace, MemoryMap
from compiler.prefetch import prefetch_constants
from compiler.program import PlacedLayer, Program, pack_all
from compiler.tiling import map_conv, map_elementwise, map_pool
from compiler.views import place_maps, separate_views
from compiler.waits import Step, add_waits
from compiler.words import check_words
from sim.network import Add, Alias, Concat, Conv, Multiply, Network, Slice, Table


def place_network(
    network: Network, config: AcceleratorConfig, *, timing_only: bool = False
) -> Program:
    """Compile ``network`` for ``config``.

    With ``timing_only``, weights are not looked at and the memory image stays empty: the program
    can be timed, not run. Raises ``CompileError`` for a layer that does not fit.
    """
    check_words(network, config)
    network = separate_views(network)
    layers = [layer for layer in network.layers if not isinstance(layer, Alias | Concat | Slice)]
    mappings = [choose_mapping(layer, config) for layer in layers]
    memory = MemoryMap()
    for index, (layer, mapping) in enumerate(zip(layers, mappings, strict=True)):
        for kind, size in constant_sizes(layer, mapping, config).items():
            memory.place(f"{kind} {index}", size)
    maps = place_maps(network, memory)
    steps = [
        step
        for index, (layer, mapping) in enumerate(zip(layers, mappings, strict=True))
        for step in _emit(layer, mapping, _placement(index, layer, memory, maps), config)
    ]
    steps = prefetch_constants(steps, config)
    commands = add_waits(steps, config)
    program_address = memory.place("program", len(commands) * COMMAND_BYTES)
    image = np.zeros(memory.size, np.uint8)
    if not timing_only:
        for index, (layer, mapping) in enumerate(zip(layers, mappings, strict=True)):
            for kind, data in constants(layer, mapping, config).items():
                _write(image, memory.address(f"{kind} {index}"), data)
        _write(image, program_address, np.frombuffer(pack_all(commands, config), np.uint8))
    return Program(
        network=network,
        config=config,
        steps=tuple(steps),
        commands=tuple(commands),
        layers=tuple(
            PlacedLayer(layer=layer, mapping=mapping)
            for layer, mapping in zip(layers, mappings, strict=True)
        ),
        program_address=program_address,
        maps=maps,
        image=image,
    )


def choose_mapping(layer: MapLayer, config: AcceleratorConfig) -> Mapping:
    """The mapping that ``layer`` gets on ``config``."""
    if isinstance(layer, Conv):
        return map_conv(layer.name, layer.shape, config)
    if isinstance(layer, Add | Multiply):
        return map_elementwise(layer.name, pool_shape(layer), layer.broadcasts, config)
    return map_pool(layer.name, pool_shape(layer), config)


def _placement(
    index: int, layer: MapLayer, memory: MemoryMap, maps: dict[str, MapPlace]
) -> Placement:
    other = maps[layer.other.name] if isinstance(layer, Add | Multiply) else None
    return Placement(
        index=index,
        input=maps[layer.input.name],
        other=other,
        output=maps[layer.output.name],
        weights=memory.address(f"weights {index}") if isinstance(layer, Conv) else 0,
        parameters=memory.address(f"parameters {index}"),
        table=memory.address(f"table {index}") if isinstance(layer, Table) else 0,
    )


def _emit(
    layer: MapLayer, mapping: Mapping, place: Placement, config: AcceleratorConfig
) -> list[Step]:
    if isinstance(layer, Conv):
        return list(ConvEmitter(layer, mapping, place, config).steps())
    return list(MapEmitter(layer, mapping, place, config).steps())


def _write(image: NDArray[np.uint8], address: int, data: NDArray[np.uint8]) -> None:
    image[address : address + data.size] = data
