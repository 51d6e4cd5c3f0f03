"""From an integer network to a program: mapping, memory map, commands, waits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES, Command
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
from sim.network import Add, Alias, Concat, Conv, HostStep, Multiply, Network, Slice, Table


def place_network(
    network: Network, config: AcceleratorConfig, *, timing_only: bool = False
) -> Program:
    """Compile ``network``, which the machine must run whole, for ``config``.

    With ``timing_only``, weights are not looked at and the memory image stays empty: the program
    can be timed, not run. Raises ``CompileError`` for a layer that does not fit, ``LookupError``
    for a step of the host (``compiler.schedule`` takes those).
    """
    (program,) = place_parts([network], config, timing_only=timing_only).values()
    return program


def place_parts(
    stages: Sequence[Network | HostStep], config: AcceleratorConfig, *, timing_only: bool = False
) -> dict[int, Program]:
    """The programs of a network's parts by their place in ``stages``, over one memory and image.

    Each part reads maps where the parts and the steps of the host before it leave them. For the
    rest see ``place_network``.
    """
    memory, maps = MemoryMap(), dict[str, MapPlace]()
    parts = {}
    for number, stage in enumerate(stages):
        if isinstance(stage, HostStep):
            for spec in (stage.input, stage.output):
                if spec.name not in maps:
                    address = memory.place(f"map {spec.name}", spec.shape.elements)
                    maps[spec.name] = MapPlace.packed(address, spec.shape)
        else:
            parts[number] = _place_part(stage, number, config, memory, maps)
    image = np.zeros(memory.size, np.uint8)
    if not timing_only:
        for part in parts.values():
            _fill(image, part, config, memory)
    return {
        number: Program(
            network=part.network,
            config=config,
            steps=part.steps,
            commands=part.commands,
            layers=part.layers,
            program_address=part.program_address,
            maps=maps,
            image=image,
        )
        for number, part in parts.items()
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """A program whose memory image is not written yet."""

    number: int
    network: Network
    layers: tuple[PlacedLayer, ...]
    steps: tuple[Step, ...]
    commands: tuple[Command, ...]
    program_address: int


def _place_part(
    network: Network,
    number: int,
    config: AcceleratorConfig,
    memory: MemoryMap,
    maps: dict[str, MapPlace],
) -> _Part:
    """Place a part in ``memory``, and its maps also in ``maps``."""
    network = separate_views(network, maps)
    layers = [
        PlacedLayer(layer=layer, mapping=choose_mapping(layer, config))
        for layer in _machine_layers(network)
    ]
    for index, placed in enumerate(layers):
        for kind, size in constant_sizes(placed.layer, placed.mapping, config).items():
            memory.place(_constant_name(kind, number, index), size)
    maps.update(place_maps(network, memory, maps))
    steps = [
        step
        for index, placed in enumerate(layers)
        for step in _emit(placed, _placement(number, index, placed.layer, memory, maps), config)
    ]
    steps = prefetch_constants(steps, config)
    commands = add_waits(steps, config)
    return _Part(
        number=number,
        network=network,
        layers=tuple(layers),
        steps=tuple(steps),
        commands=tuple(commands),
        program_address=memory.place(f"program {number}", len(commands) * COMMAND_BYTES),
    )


def _machine_layers(network: Network) -> Iterator[MapLayer]:
    for layer in network.layers:
        if isinstance(layer, HostStep):
            raise LookupError(f"{layer.name} is a step of the host: cut the network there")
        if not isinstance(layer, Alias | Concat | Slice):
            yield layer


def _fill(
    image: NDArray[np.uint8], part: _Part, config: AcceleratorConfig, memory: MemoryMap
) -> None:
    """Write a part's constants and commands."""
    for index, placed in enumerate(part.layers):
        for kind, data in constants(placed.layer, placed.mapping, config).items():
            _write(image, memory.address(_constant_name(kind, part.number, index)), data)
    packed = np.frombuffer(pack_all(part.commands, config), np.uint8)
    _write(image, part.program_address, packed)


def _constant_name(kind: str, part: int, index: int) -> str:
    return f"{kind} {part}.{index}"


def choose_mapping(layer: MapLayer, config: AcceleratorConfig) -> Mapping:
    """The mapping that ``layer`` gets on ``config``."""
    if isinstance(layer, Conv):
        return map_conv(layer.name, layer.shape, config)
    if isinstance(layer, Add | Multiply):
        return map_elementwise(layer.name, pool_shape(layer), layer.broadcasts, config)
    return map_pool(layer.name, pool_shape(layer), config)


def _placement(
    part: int, index: int, layer: MapLayer, memory: MemoryMap, maps: dict[str, MapPlace]
) -> Placement:
    def constant(kind: str) -> int:
        return memory.address(_constant_name(kind, part, index))

    other = maps[layer.other.name] if isinstance(layer, Add | Multiply) else None
    return Placement(
        index=index,
        input=maps[layer.input.name],
        other=other,
        output=maps[layer.output.name],
        weights=constant("weights") if isinstance(layer, Conv) else 0,
        parameters=constant("parameters"),
        table=constant("table") if isinstance(layer, Table) else 0,
    )


def _emit(placed: PlacedLayer, place: Placement, config: AcceleratorConfig) -> list[Step]:
    layer, mapping = placed.layer, placed.mapping
    if isinstance(layer, Conv):
        return list(ConvEmitter(layer, mapping, place, config).steps())
    return list(MapEmitter(layer, mapping, place, config).steps())


def _write(image: NDArray[np.uint8], address: int, data: NDArray[np.uint8]) -> None:
    image[address : address + data.size] = data
