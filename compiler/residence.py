"""The pass that keeps maps in the activation buffer between the layers that write and read them.

Maps are looked at in the order in which they are made. Each is tried for all of its readers, then
for all but the last, and so on, at every place where no two engines would need one port of a bank
in the same layer; it stays if the layers of that time become no slower by the tiling's formula.
"""

from dataclasses import dataclass, replace

from arch.config import ceil_div
from compiler.fusion import FusedLayer
from compiler.memory_map import ALIGNMENT
from compiler.plan import Plan, Resident
from compiler.tiling import find_mapping

_FIELD_LIMIT = 1 << 19
"""Steps of addresses in a command are signed numbers of 20 bits."""


@dataclass(frozen=True, kw_only=True)
class _Uses:
    """The layers that write and read one root map."""

    root: str
    size: int
    writers: tuple[int, ...]
    readers: tuple[int, ...]
    is_output: bool


def keep_on_chip(plan: Plan) -> Plan:
    """``plan`` with residents. The network's input is in memory and stays there."""
    for uses in _all_uses(plan):
        plan = _keep(plan, uses)
    return plan


def _all_uses(plan: Plan) -> list[_Uses]:
    """The uses of every root that fits the activation buffer, in the order of their writers."""
    roots = plan.views.maps
    writers: dict[str, list[int]] = {}
    readers: dict[str, list[int]] = {}
    for index, layer in enumerate(plan.layers):
        writers.setdefault(roots[layer.output.name].root, []).append(index)
        for spec in layer.inputs:
            readers.setdefault(roots[spec.name].root, []).append(index)
    outputs = {roots[spec.name].root for spec in plan.network.outputs}
    source = roots[plan.network.input.name].root
    return [
        _Uses(
            root=root,
            size=plan.views.roots[root],
            writers=tuple(indices),
            readers=tuple(sorted(set(readers.get(root, ())))),
            is_output=root in outputs,
        )
        for root, indices in writers.items()
        if root != source and plan.views.roots[root] <= plan.config.activation_buffer_bytes
    ]


def _keep(plan: Plan, uses: _Uses) -> Plan:
    """``plan`` with the root of ``uses`` on chip for as many of its readers as pays."""
    for count in range(len(uses.readers), 0, -1):
        last = uses.readers[count - 1]
        if last <= uses.writers[0]:
            return plan
        best: tuple[float, Plan] | None = None
        for address in _addresses(plan, uses.size):
            resident = Resident(
                root=uses.root,
                address=address,
                size=uses.size,
                first=uses.writers[0],
                last=last,
                in_memory=uses.is_output or count < len(uses.readers) or uses.writers[-1] > last,
            )
            kept = replace(plan, residents=(*plan.residents, resident))
            if _has_place(plan, resident) and _avoids_conflicts(kept, resident):
                cycles = _cycles(kept, resident)
                if best is None or cycles < best[0]:
                    best = cycles, kept
        if best is not None and best[0] <= _cycles(plan, best[1].residents[-1]):
            return best[1]
    return plan


def _addresses(plan: Plan, size: int) -> list[int]:
    """Where a map of ``size`` bytes may begin: at banks, and right before or behind residents."""
    whole, bank = plan.config.activation_buffer_bytes, plan.config.activation_bank_bytes
    starts = {*range(0, whole, bank), whole - size}
    for each in plan.residents:
        starts |= {each.address + each.size, each.address - size}
    # A bank's last bytes rather than its first: then its neighbours stay free.
    starts |= {end - size for end in range(bank, whole, bank)}
    # Aligned, so that rows begin where words do.
    aligned = {start // ALIGNMENT * ALIGNMENT for start in starts}
    aligned |= {ceil_div(start, ALIGNMENT) * ALIGNMENT for start in starts}
    return sorted(start for start in aligned if 0 <= start <= whole - size)


def _has_place(plan: Plan, new: Resident) -> bool:
    """Whether no other resident lies there at that time."""
    return not any(
        old.first <= new.last
        and new.first <= old.last
        and old.address < new.address + new.size
        and new.address < old.address + old.size
        for old in plan.residents
    )


def _avoids_conflicts(plan: Plan, new: Resident) -> bool:
    """Whether, while ``new`` is on chip, no bank of it is read by two units in the same layer.

    Banks have other ports for writing, and only the post-processor writes residents.
    """
    bank = plan.config.activation_bank_bytes
    for index in range(new.first, new.last + 1):
        readers: set[str] = set()
        for each in plan.residents:
            shares = (
                each.address // bank <= (new.address + new.size - 1) // bank
                and new.address // bank <= (each.address + each.size - 1) // bank
            )
            if shares and each.lives(index):
                readers |= _readers(plan, each, index)
        if len(readers) > 1 or not _fits_fields(plan.layers[index], plan, index):
            return False
    return True


def _readers(plan: Plan, resident: Resident, index: int) -> set[str]:
    """The units that read ``resident`` while layer ``index`` runs."""
    layer, maps = plan.layers[index], plan.views.maps
    readers = set()
    if maps[layer.input.name].root == resident.root:
        readers.add("execute" if layer.conv is not None and layer.depthwise is None else "post")
    if layer.other is not None and maps[layer.other.name].root == resident.root:
        readers.add("operand")
    if maps[layer.output.name].root == resident.root and resident.in_memory:
        readers.add("store")
    return readers


def _fits_fields(layer: FusedLayer, plan: Plan, index: int) -> bool:
    """Whether the steps of the layer's window over a map on chip fit the commands' fields."""
    chip = plan.home(layer.input, index).chip
    first = layer.depthwise or layer.conv
    window = layer.shape.window.window if first is None else first.shape.window
    step = max(window.stride[0], window.dilation[0])
    return chip is None or chip.row_pitch * step < _FIELD_LIMIT


def _cycles(plan: Plan, resident: Resident) -> float:
    """Rough cycles of the layers during whose time ``resident`` is on chip; infinite if one does
    not fit."""
    total = 0.0
    for index in range(resident.first, resident.last + 1):
        choice = find_mapping(plan.layers[index].shape, plan.room(index), plan.config)
        if choice is None:
            return float("inf")
        total += choice.cycles
    return total
