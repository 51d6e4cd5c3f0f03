"""From an integer network to a program: mapping, memory map, commands, waits."""

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import parameter_blocks, weight_tiles
from compiler.emit_common import MapLayer, Placement
from compiler.emit_conv import ConvEmitter
from compiler.emit_pool import PoolEmitter, pool_shape
from compiler.geometry import column_groups
from compiler.memory_map import MemoryMap
from compiler.prefetch import prefetch_constants
from compiler.program import PlacedLayer, Program, pack_all
from compiler.tiling import map_conv, map_pool
from compiler.waits import Step, add_waits
from sim.network import Alias, Conv, Network


def place_network(network: Network, config: AcceleratorConfig) -> Program:
    """Compile ``network`` for ``config``. Raises ``CompileError`` for a layer that does not fit."""
    layers = [layer for layer in network.layers if not isinstance(layer, Alias)]
    mappings = [choose_mapping(layer, config) for layer in layers]
    memory, constants = _lay_out(network, layers, mappings, config)
    placements = [_placement(index, layer, memory) for index, layer in enumerate(layers)]
    steps = [
        step
        for layer, mapping, placement in zip(layers, mappings, placements, strict=True)
        for step in _emit(layer, mapping, placement, config)
    ]
    steps = prefetch_constants(steps, config)
    commands = add_waits(steps, config)
    program_address = memory.place("program", len(commands) * COMMAND_BYTES)
    image = np.zeros(memory.size, np.uint8)
    for name, data in constants.items():
        _write(image, memory.address(name), data)
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
        tensors={
            name.removeprefix("map "): address
            for name, (address, _) in memory.objects.items()
            if name.startswith("map ")
        },
        image=image,
    )


def choose_mapping(layer: MapLayer, config: AcceleratorConfig) -> Mapping:
    """The mapping that ``layer`` gets on ``config``."""
    if isinstance(layer, Conv):
        return map_conv(layer.name, layer.shape, config)
    return map_pool(layer.name, pool_shape(layer), config)


def _lay_out(
    network: Network, layers: list[MapLayer], mappings: list[Mapping], config: AcceleratorConfig
) -> tuple[MemoryMap, dict[str, NDArray[np.uint8]]]:
    """Addresses of constants and feature maps, and the constants' bytes."""
    memory, constants = MemoryMap(), {}
    for index, (layer, mapping) in enumerate(zip(layers, mappings, strict=True)):
        if isinstance(layer, Conv):
            tiles = [
                weight_tiles(layer, columns, mapping.channel_block, config).ravel()
                for columns in column_groups(layer.shape, config.cols)
            ]
            constants[f"weights {index}"] = np.concatenate(tiles).view(np.uint8)
        constants[f"parameters {index}"] = parameter_blocks(layer, config).ravel()
    for name, data in constants.items():
        memory.place(name, data.size)
    memory.place(f"map {network.input.name}", network.input.shape.elements)
    for each in network.layers:
        target = f"map {each.output.name}"
        if isinstance(each, Alias):
            memory.alias(target, f"map {each.input.name}")
        else:
            memory.place(target, each.output.shape.elements)
    return memory, constants


def _placement(index: int, layer: MapLayer, memory: MemoryMap) -> Placement:
    return Placement(
        index=index,
        input=memory.address(f"map {layer.input.name}"),
        output=memory.address(f"map {layer.output.name}"),
        weights=memory.address(f"weights {index}") if isinstance(layer, Conv) else 0,
        parameters=memory.address(f"parameters {index}"),
    )


def _emit(
    layer: MapLayer, mapping: Mapping, place: Placement, config: AcceleratorConfig
) -> list[Step]:
    if isinstance(layer, Conv):
        return list(ConvEmitter(layer, mapping, place, config).steps())
    return list(PoolEmitter(layer, mapping, place, config).steps())


def _write(image: NDArray[np.uint8], address: int, data: NDArray[np.uint8]) -> None:
    image[address : address + data.size] = data
