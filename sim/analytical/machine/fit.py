"""Whether a mapping fits a layer and a machine."""

from math import prod

from arch.commands import LOOP_LIMIT
from arch.config import AcceleratorConfig
from arch.errors import MappingError
from arch.mapping import Mapping, Slots
from sim.analytical.machine.layer import MachineLayer

_SLOT_ALIGNMENT = 64


def check_shape(layer: MachineLayer, mapping: Mapping, config: AcceleratorConfig) -> None:
    """Raises ``MappingError`` for a mapping that is not of ``layer``, or that the model does not
    cover."""
    kernel, conv = layer.window.window.kernel, layer.conv
    if mapping.window != kernel:
        raise MappingError(
            f"a window must be taken whole to be priced, {kernel[0]} x {kernel[1]} positions, got "
            f"{mapping.window[0]} x {mapping.window[1]}; time the program instead"
        )
    if mapping.depthwise is not None:
        raise MappingError(
            "a mapping must be without slots for a depthwise convolution in front to be priced, "
            f"got {mapping.depthwise.count}; time the program instead"
        )
    sizes = mapping.tile_height, mapping.tile_width, mapping.tile_groups, *mapping.split
    if min(sizes) < 1 or max(sizes) > LOOP_LIMIT:
        raise MappingError(
            f"a tile's sizes and its weights' parts must be 1 to {LOOP_LIMIT}, got {sizes}"
        )
    if conv is not None:
        _check_block(layer, mapping.channel_block, config)


def _check_block(layer: MachineLayer, block: int, config: AcceleratorConfig) -> None:
    channels = layer.ifmap.channels
    if layer.loads_input:
        if not 1 <= block <= channels:
            raise MappingError(
                f"channel_block must be 1 to the layer's {channels} input channels, got {block}"
            )
        return
    element = config.activation_bytes
    pitch = layer.input_home.distances(layer.ifmap, element)[0] // element
    if block != pitch:
        raise MappingError(
            f"channel_block must be the {pitch} elements from pixel to pixel of an input on chip, "
            f"got {block}"
        )


def check_slots(
    name: str,
    slots: Slots | None,
    size: int,
    free: tuple[int, int],
    config: AcceleratorConfig,
) -> None:
    """Raises ``MappingError`` if ``slots`` for ``name`` do not hold tiles of ``size`` bytes, or do
    not lie in the banks that are ``free`` (first, number)."""
    if slots is None:
        raise MappingError(
            f"{name} must have slots in the activation buffer, got none, and they are not on chip"
        )
    first, banks = free
    if slots.first < first or slots.first + slots.banks > first + banks:
        raise MappingError(
            f"slots of {name} must lie in the {banks} free banks of the activation buffer from "
            f"bank {first} on, got banks {slots.first} to {slots.first + slots.banks - 1}"
        )
    if slots.count < 1:
        raise MappingError(f"{name} must have at least 1 slot, got {slots.count}")
    room = slots.banks * config.activation_bank_bytes // slots.count
    room = room // _SLOT_ALIGNMENT * _SLOT_ALIGNMENT
    _check_room(f"a tile of {name}", f"a slot of {name}", size, room, "bytes")


def check_no_slots(name: str, slots: Slots | None) -> None:
    """Raises ``MappingError`` for ``slots`` of a map that is on chip."""
    if slots is not None:
        raise MappingError(
            f"{name} must have no slots in the activation buffer if they are on chip as a whole, "
            f"got {slots.count}"
        )


def check_sums(height: int, width: int, config: AcceleratorConfig) -> None:
    """Raises ``MappingError`` if so many sums do not fit half of the accumulators."""
    room = config.accumulator_half_entries
    _check_room("a tile's sums", "half of the accumulators", height * width, room, "entries")


def check_weights(
    loops: tuple[int, int, int], split: tuple[int, int, int], config: AcceleratorConfig
) -> None:
    """Raises ``MappingError`` if boxes of ``split`` of a reduction's ``loops`` do not fit the
    weight buffer, or are no whole stretches of it."""
    size = prod(map(min, loops, split)) * config.weight_tile_bytes
    _check_room("a box of weights", "the weight buffer", size, config.weight_buffer_bytes, "bytes")
    ky, kx, _ = split
    whole = kx >= loops[1], split[2] >= loops[2]
    if (ky > 1 and not all(whole)) or (kx > 1 and not whole[1]):
        raise MappingError(
            f"the tiles of a box of weights must follow one another, got a split {split} of {loops}"
        )


def _check_room(what: str, where: str, size: int, room: int, unit: str) -> None:
    if size > room:
        raise MappingError(
            f"{what} must fit {where}: {size} {unit} of {room}, short by {size - room}; make the "
            "tile smaller"
        )
