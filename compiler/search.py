"""The best of a layer's mappings instead of the one that the formula likes, where the exact model
of a layer by itself can tell."""

from collections.abc import Callable
from collections.abc import Mapping as Counts

from arch.architectures import from_config
from arch.config import AcceleratorConfig
from arch.energy import EnergyTable
from arch.errors import MappingError
from arch.mapping import Mapping
from compiler.machine_layer import machine_layer, map_sizes
from compiler.plan import Plan
from compiler.tiling import all_mappings
from sim.analytical.machine.energy import energy_parts
from sim.analytical.machine.layer import MachineLayer
from sim.analytical.machine.search import Best, Energy, best_mapping
from sim.analytical.machine.tiling import Tiling
from sim.analytical.objective import Goal


class MappingSearch:
    """Finds mappings of least energy, cycles, or energy times cycles, of each layer as if it ran by
    itself; equal layers are searched once."""

    def __init__(
        self,
        goal: Goal,
        *,
        energy: EnergyTable | None = None,
        seconds: float | None = None,
        begin: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``energy`` instead of the table of the machine's architecture; ``seconds`` limits each
        layer's search, which ``begin`` hears of by the layer's name."""
        self._goal = goal
        self._energy = energy
        self._seconds = seconds
        self._begin = begin
        self._known: dict[object, Best] = {}

    def best(self, plan: Plan, index: int, likely: Mapping) -> Best:
        """The best mapping of layer ``index`` in the banks that it has; ``likely`` is priced first.

        Raises ``MappingError`` for a layer that the model does not cover.
        """
        return self._search(_covered(plan, index, likely), plan, index, likely)

    def best_if_covered(self, plan: Plan, index: int, likely: Mapping) -> Best | None:
        """The same; None for a layer that the model does not cover."""
        try:
            layer = _covered(plan, index, likely)
        except MappingError:
            return None
        return self._search(layer, plan, index, likely)

    def _search(self, layer: MachineLayer, plan: Plan, index: int, likely: Mapping) -> Best:
        room, config, sizes = plan.room(index), plan.config, map_sizes(plan, index)
        key = layer, room, config, tuple(sizes.items())
        if key not in self._known:
            self._begin(plan.layers[index].name)
            self._known[key] = best_mapping(
                layer,
                all_mappings(plan.layers[index].shape, room, config),
                config,
                sizes,
                self._goal,
                self._price(layer, config),
                likely=likely,
                seconds=self._seconds,
            )
        return self._known[key]

    def _price(self, layer: MachineLayer, config: AcceleratorConfig) -> Energy:
        table = self._energy or from_config(config).energy

        def energy(found: Counts[str, int]) -> float:
            return sum(energy_parts(found, config, table, products=layer.products).values())

        return energy


def _covered(plan: Plan, index: int, likely: Mapping) -> MachineLayer:
    """Layer ``index`` as the model takes it. Raises ``MappingError`` if it does not."""
    layer = machine_layer(plan, index)
    # Says whether windows are taken in parts.
    Tiling(layer, likely, plan.config)
    return layer
