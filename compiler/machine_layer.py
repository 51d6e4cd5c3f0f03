"""Layers of the compiler as the analytical model of generated machines takes them."""

from arch.errors import MappingError
from compiler.constants import block_numbers
from compiler.plan import Plan
from sim.analytical.machine.layer import MachineLayer
from sim.network import AveragePool


def machine_layer(plan: Plan, index: int = 0) -> MachineLayer:
    """Layer ``index`` of ``plan``, which finds nothing on chip and leaves nothing there.

    Raises ``MappingError`` for a layer that the model does not cover.
    """
    layer, room = plan.layers[index], plan.room(index)
    source = plan.home(layer.input, index).memory
    on_chip = room.input_pitch is not None or room.other_on_chip or room.output_on_chip
    if layer.front is not None or source is None or on_chip:
        raise MappingError(
            f"{layer.name}: a layer must run by itself to be priced, got {layer.kind} with a "
            "depthwise convolution in front or a map on chip; time the program instead"
        )
    blocks = None
    if isinstance(layer.pool, AveragePool):
        numbers = block_numbers(layer.pool)
        blocks = tuple(map(tuple, numbers.tolist())) if numbers.any() else None
    shape = layer.shape
    packed = source.is_packed(layer.input.shape)
    return MachineLayer(
        conv=shape.conv,
        window=shape.window,
        products=shape.conv is None and shape.depthwise is not None,
        operand=None if layer.other is None else layer.other.shape,
        table=layer.table is not None,
        blocks=blocks,
        input_pitches=None if packed else (source.pixel_pitch, source.row_pitch),
    )


def map_sizes(plan: Plan, index: int = 0) -> dict[str, int]:
    """The bytes in memory of the maps of layer ``index``, by what they are to it, in the order in
    which they lie there."""
    layer, views = plan.layers[index], plan.views.maps
    roles = {views[layer.input.name].root: "input", views[layer.output.name].root: "output"}
    if layer.other is not None:
        roles[views[layer.other.name].root] = "operand"
    return {roles[root]: size for root, size in plan.views.roots.items() if root in roles}
