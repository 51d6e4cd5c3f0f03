"""From an integer network to a program: passes, mapping, memory map, commands, waits."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arch.commands import COMMAND_BYTES
from arch.config import AcceleratorConfig
from arch.mapping import Mapping as LayerMapping
from compiler.constants import constant_sizes, constants
from compiler.emit_common import Placement
from compiler.emit_conv import ConvEmitter
from compiler.emit_map import MapEmitter
from compiler.homes import Home
from compiler.memory_map import MapPlace, MemoryMap
from compiler.passes import run_passes
from compiler.plan import Plan
from compiler.prefetch import prefetch_constants
from compiler.program import PlacedLayer, Program, pack_all
from compiler.tiling import find_mapping, map_layer
from compiler.waits import Step, add_waits
from compiler.words import check_words
from sim.network import HostStep, Network, TensorSpec

if TYPE_CHECKING:
    # Imported where mappings are searched: it takes longer than starting up.
    from compiler.search import MappingSearch


def place_network(
    network: Network,
    config: AcceleratorConfig,
    *,
    timing_only: bool = False,
    without: Collection[str] = (),
    search: "MappingSearch | None" = None,
) -> Program:
    """Compile ``network``, which the machine must run whole, for ``config``.

    All passes run but those named in ``without``. With ``timing_only``, weights are not looked at
    and the memory image stays empty: the program can be timed, not run. Layers that ``search``
    covers get the mapping that it finds, the others the one that the formula likes. Raises
    ``CompileError`` for a layer that does not fit, ``InputError`` for a name that no pass has,
    ``LookupError`` for a step of the host (``compiler.schedule`` takes those).
    """
    parts = place_parts([network], config, timing_only=timing_only, without=without, search=search)
    (program,) = parts.values()
    return program


def place_parts(
    stages: Sequence[Network | HostStep],
    config: AcceleratorConfig,
    *,
    timing_only: bool = False,
    without: Collection[str] = (),
    search: "MappingSearch | None" = None,
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
                    size = spec.shape.elements * spec.bytes
                    address = memory.place(f"map {spec.name}", size)
                    maps[spec.name] = MapPlace.packed(address, spec.shape, spec.bytes)
        else:
            check_words(stage, config)
            owns_input = stage.input.name not in maps
            plan = run_passes(stage, config, without, owns_input=owns_input)
            parts[number] = _Part(plan, number, memory, maps, search)
    image = np.zeros(memory.size, np.uint8)
    if not timing_only:
        for part in parts.values():
            part.fill(image)
    return {number: part.program(maps, image) for number, part in parts.items()}


class _Part:
    """A program on its way: placed in ``memory``, with its maps entered into ``maps``."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        memory: MemoryMap,
        maps: dict[str, MapPlace],
        search: "MappingSearch | None",
    ) -> None:
        self._plan = plan
        self._number = number
        self._memory = memory
        self._layers = tuple(_map(plan, index, search) for index in range(len(plan.layers)))
        for index, placed in enumerate(self._layers):
            for kind, size in constant_sizes(placed.layer, placed.mapping, plan.config).items():
                memory.place(self._constant(kind, index), size)
        roots = _place_roots(plan, memory, maps)
        maps.update(_maps_in_memory(plan, roots))
        steps = [
            step
            for index, placed in enumerate(self._layers)
            for step in _emit(placed, self._placement(index, roots), plan.config)
        ]
        self._steps = prefetch_constants(steps, plan.config)
        self._commands = add_waits(self._steps, plan.config)
        size = len(self._commands) * COMMAND_BYTES
        self._address = memory.place(f"program {number}", size)

    def fill(self, image: NDArray[np.uint8]) -> None:
        """Write constants and commands into the memory image."""
        config = self._plan.config
        for index, placed in enumerate(self._layers):
            for kind, data in constants(placed.layer, placed.mapping, config).items():
                _write(image, self._memory.address(self._constant(kind, index)), data)
        _write(image, self._address, np.frombuffer(pack_all(self._commands, config), np.uint8))

    def program(self, maps: dict[str, MapPlace], image: NDArray[np.uint8]) -> Program:
        """The program over the finished map and image of the memory."""
        return Program(
            network=self._plan.network,
            config=self._plan.config,
            steps=tuple(self._steps),
            commands=tuple(self._commands),
            layers=self._layers,
            program_address=self._address,
            maps=maps,
            residents=self._plan.residents,
            packing=self._plan.packing,
            image=image,
        )

    def _constant(self, kind: str, index: int) -> str:
        """What the memory map calls a layer's constants."""
        return f"{kind} {self._number}.{index}"

    def _placement(self, index: int, roots: dict[str, int]) -> Placement:
        plan, layer = self._plan, self._plan.layers[index]

        def home(spec: TensorSpec) -> Home:
            found = plan.home(spec, index)
            if found.memory is None:
                return found
            root = roots[plan.views.maps[spec.name].root]
            return Home(memory=found.memory.moved(root), chip=found.chip)

        def constant(kind: str) -> int:
            return self._memory.address(self._constant(kind, index))

        return Placement(
            index=index,
            input=home(layer.input),
            other=None if layer.other is None else home(layer.other),
            output=home(layer.output),
            weights=0 if layer.conv is None else constant("weights"),
            parameters=constant("parameters"),
            table=0 if layer.table is None else constant("table"),
            depthwise=0 if layer.front is None else constant("depthwise"),
        )


def _map(plan: Plan, index: int, search: "MappingSearch | None") -> PlacedLayer:
    """Layer ``index`` with its mapping."""
    layer, mapping = plan.layers[index], choose_mapping(plan, index)
    found = None if search is None else search.best_if_covered(plan, index, mapping)
    if found is not None:
        mapping = found.tiling.mapping
    return PlacedLayer(layer=layer, mapping=mapping, search=found)


def choose_mapping(plan: Plan, index: int) -> LayerMapping:
    """The mapping of layer ``index`` that the formula likes best. Raises ``CompileError`` if none
    fits."""
    layer = plan.layers[index]
    choice = find_mapping(layer.shape, plan.room(index), plan.config)
    return (choice or map_layer(layer.name, layer.shape, plan.config)).mapping


def _place_roots(plan: Plan, memory: MemoryMap, maps: Mapping[str, MapPlace]) -> dict[str, int]:
    """The addresses of the root maps that are in memory: those that a layer reads from there or
    writes there, the network's input, and its outputs. ``maps`` are there already."""
    used = {plan.views.maps[spec.name].root for spec in (*plan.sources, *plan.network.outputs)}
    for index, layer in enumerate(plan.layers):
        for spec in (*layer.inputs, layer.output):
            if plan.home(spec, index).memory is not None:
                used.add(plan.views.maps[spec.name].root)
    return {
        root: maps[root].address if root in maps else memory.place(f"map {root}", size)
        for root, size in plan.views.roots.items()
        if root in used
    }


def _maps_in_memory(plan: Plan, roots: dict[str, int]) -> dict[str, MapPlace]:
    """Where the network's maps that exist in memory lie, by name: neither those between fused
    layers nor those that are on chip alone."""
    inner = (each.output for layer in plan.layers for each in layer.layers[:-1])
    gone = {spec.name for spec in inner}
    specs = (*plan.sources, *(layer.output for layer in plan.network.layers))
    views = {spec.name: plan.views.maps[spec.name] for spec in specs if spec.name not in gone}
    return {
        name: view.place.moved(roots[view.root])
        for name, view in views.items()
        if view.root in roots
    }


def _emit(placed: PlacedLayer, place: Placement, config: AcceleratorConfig) -> list[Step]:
    layer, mapping = placed.layer, placed.mapping
    if layer.conv is not None:
        return list(ConvEmitter(layer, layer.conv, mapping, place, config).steps())
    return list(MapEmitter(layer, mapping, place, config).steps())


def _write(image: NDArray[np.uint8], address: int, data: NDArray[np.uint8]) -> None:
    image[address : address + data.size] = data
