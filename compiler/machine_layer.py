"""Layers of the compiler as the analytical model of generated machines takes them."""

from arch.errors import MappingError
from compiler.constants import block_numbers
from compiler.plan import Plan
from sim.analytical.machine.layer import Home, MachineLayer
from sim.analytical.machine.place import MapSizes
from sim.network import AveragePool, TensorSpec


def machine_layer(plan: Plan, index: int = 0) -> MachineLayer:
    """Layer ``index`` of ``plan``, with its maps where the plan has them.

    Raises ``MappingError`` for a layer that the model does not cover.
    """
    layer, room, views = plan.layers[index], plan.room(index), plan.views.maps
    if layer.front is not None:
        raise MappingError(
            f"{layer.name}: a layer must be without a depthwise convolution in front to be priced, "
            f"got {layer.kind}; time the program instead"
        )
    if views[layer.output.name].root in {views[spec.name].root for spec in layer.inputs}:
        raise MappingError(
            f"{layer.name}: a layer must not read and write parts of one map to be priced, got "
            f"{layer.output.name} beside its input; time the program instead"
        )
    blocks = None
    if isinstance(layer.pool, AveragePool):
        numbers = block_numbers(layer.pool)
        blocks = tuple(map(tuple, numbers.tolist())) if numbers.any() else None
    shape, other, homes = layer.shape, layer.other, _homes(plan, index)
    return MachineLayer(
        conv=shape.conv,
        window=shape.window,
        products=shape.conv is None and shape.depthwise is not None,
        operand=None if other is None else other.shape,
        table=layer.table is not None,
        blocks=blocks,
        input_home=homes["input"],
        operand_home=homes.get("operand", Home()),
        output_home=homes["output"],
        free_banks=(room.first_bank, room.banks),
    )


def map_sizes(plan: Plan, index: int = 0) -> MapSizes:
    """The bytes of the maps in memory of layer ``index``, by what they are to it, in the order in
    which they lie there."""
    maps, roles = _maps(plan, index), dict[str, list[str]]()
    for role, home in _homes(plan, index).items():
        if home.in_memory:
            roles.setdefault(plan.views.maps[maps[role].name].root, []).append(role)
    return {tuple(roles[root]): size for root, size in plan.views.roots.items() if root in roles}


def _maps(plan: Plan, index: int) -> dict[str, TensorSpec]:
    """The maps of layer ``index`` by what they are to it."""
    layer = plan.layers[index]
    operand = {} if layer.other is None else {"operand": layer.other}
    return {"input": layer.input, **operand, "output": layer.output}


def _homes(plan: Plan, index: int) -> dict[str, Home]:
    """Where they are while the layer runs; of what it finds on chip, memory makes no difference."""
    homes = {}
    for role, spec in _maps(plan, index).items():
        home = plan.home(spec, index)
        memory = None if role != "output" and home.chip is not None else home.memory
        place = memory or home.chip
        assert place is not None
        packed = place.is_packed(spec.shape)
        homes[role] = Home(
            in_memory=memory is not None,
            on_chip=home.chip is not None,
            pitches=None if packed else (place.pixel_pitch, place.row_pitch),
            offset=0 if memory is None else memory.address,
        )
    return homes
