"""From an integer network to a program: passes, mapping, memory map, commands, waits."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.mapping import Mapping
from compiler.constants import constant_sizes, constants
from compiler.emit_common import Placement
from compiler.emit_conv import ConvEmitter
from compiler.emit_map import MapEmitter
from compiler.fusion import FusedLayer
from compiler.homes import Home
from compiler.memory_map import MapPlace, MemoryMap
from compiler.passes import run_passes
from compiler.plan import Plan
from compiler.prefetch import prefetch_constants
from compiler.program import PlacedLayer, Program, pack_all
from compiler.tiling import find_mapping, map_layer
from compiler.waits import Step, add_waits
from compiler.words import check_words
from sim.network import Network, TensorSpec


def place_network(
    network: Network,
    config: AcceleratorConfig,
    *,
    timing_only: bool = False,
    without: Collection[str] = (),
) -> Program:
    """Compile ``network`` for ``config``, by all passes but those named in ``without``.

    With ``timing_only``, weights are not looked at and the memory image stays empty: the program
    can be timed, not run. Raises ``CompileError`` for a layer that does not fit, ``InputError`` for
    a name that no pass has.
    """
    check_words(network, config)
    plan = run_passes(network, config, without)
    mappings = [choose_mapping(plan, index) for index in range(len(plan.layers))]
    pairs = list(zip(plan.layers, mappings, strict=True))
    memory = MemoryMap()
    for index, (layer, mapping) in enumerate(pairs):
        for kind, size in constant_sizes(layer, mapping, config).items():
            memory.place(f"{kind} {index}", size)
    roots = _place_roots(plan, memory)
    steps = [
        step
        for index, (layer, mapping) in enumerate(pairs)
        for step in _emit(layer, mapping, _placement(plan, index, memory, roots), config)
    ]
    steps = prefetch_constants(steps, config)
    commands = add_waits(steps, config)
    program_address = memory.place("program", len(commands) * COMMAND_BYTES)
    image = np.zeros(memory.size, np.uint8)
    if not timing_only:
        for index, (layer, mapping) in enumerate(pairs):
            for kind, data in constants(layer, mapping, config).items():
                _write(image, memory.address(f"{kind} {index}"), data)
        _write(image, program_address, np.frombuffer(pack_all(commands, config), np.uint8))
    return Program(
        network=plan.network,
        config=config,
        steps=tuple(steps),
        commands=tuple(commands),
        layers=tuple(PlacedLayer(layer=layer, mapping=mapping) for layer, mapping in pairs),
        program_address=program_address,
        maps=_maps_in_memory(plan, roots),
        residents=plan.residents,
        image=image,
    )


def choose_mapping(plan: Plan, index: int) -> Mapping:
    """The mapping that layer ``index`` gets. Raises ``CompileError`` if it does not fit."""
    layer = plan.layers[index]
    choice = find_mapping(layer.shape, plan.room(index), plan.config)
    return (choice or map_layer(layer.name, layer.shape, plan.config)).mapping


def _place_roots(plan: Plan, memory: MemoryMap) -> dict[str, int]:
    """The addresses of the root maps that are in memory: those that a layer reads from there or
    writes there, the network's input, and its outputs."""
    used = {plan.views.maps[spec.name].root for spec in (plan.network.input, *plan.network.outputs)}
    for index, layer in enumerate(plan.layers):
        for spec in (*layer.inputs, layer.output):
            if plan.home(spec, index).memory is not None:
                used.add(plan.views.maps[spec.name].root)
    return {
        root: memory.place(f"map {root}", size)
        for root, size in plan.views.roots.items()
        if root in used
    }


def _maps_in_memory(plan: Plan, roots: dict[str, int]) -> dict[str, MapPlace]:
    """Where the network's maps that exist in memory lie, by name: neither those between fused
    layers nor those that are on chip alone."""
    inner = (each.output for layer in plan.layers for each in layer.layers[:-1])
    gone = {spec.name for spec in inner}
    specs = (plan.network.input, *(layer.output for layer in plan.network.layers))
    views = {spec.name: plan.views.maps[spec.name] for spec in specs if spec.name not in gone}
    return {
        name: view.place.moved(roots[view.root])
        for name, view in views.items()
        if view.root in roots
    }


def _placement(plan: Plan, index: int, memory: MemoryMap, roots: dict[str, int]) -> Placement:
    layer = plan.layers[index]

    def home(spec: TensorSpec) -> Home:
        found = plan.home(spec, index)
        if found.memory is None:
            return found
        return Home(
            memory=found.memory.moved(roots[plan.views.maps[spec.name].root]), chip=found.chip
        )

    return Placement(
        index=index,
        input=home(layer.input),
        other=None if layer.other is None else home(layer.other),
        output=home(layer.output),
        weights=0 if layer.conv is None else memory.address(f"weights {index}"),
        parameters=memory.address(f"parameters {index}"),
        table=0 if layer.table is None else memory.address(f"table {index}"),
    )


def _emit(
    layer: FusedLayer, mapping: Mapping, place: Placement, config: AcceleratorConfig
) -> list[Step]:
    if layer.conv is not None:
        return list(ConvEmitter(layer, layer.conv, mapping, place, config).steps())
    return list(MapEmitter(layer, mapping, place, config).steps())


def _write(image: NDArray[np.uint8], address: int, data: NDArray[np.uint8]) -> None:
    image[address : address + data.size] = data
