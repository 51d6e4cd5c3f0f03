"""What the compiler's passes work on: fused layers, and which maps stay on chip between them."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.config import AcceleratorConfig
from compiler.fusion import FusedLayer, MapLayer
from compiler.homes import Home
from compiler.packed_input import PackedInput
from compiler.tile_cost import Room
from compiler.views import Views, find_views, separate_views
from sim.network import Alias, Concat, HostStep, Network, Slice, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Resident:
    """A root map that lies in the activation buffer, at ``address``, while layers ``first`` to
    ``last`` run: those that write it and those that read it there."""

    root: str
    address: int
    size: int
    first: int
    last: int
    in_memory: bool
    """Whether it is stored as well."""

    def lives(self, index: int) -> bool:
        """Whether it is on chip while layer ``index`` runs."""
        return self.first <= index <= self.last


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A network's layers in the order in which they run, and where its maps are."""

    given: Network
    network: Network
    """``given``, with copies where a map would have to lie in two places."""
    config: AcceleratorConfig
    views: Views
    layers: tuple[FusedLayer, ...]
    owns_input: bool
    """Whether the input has no place in memory yet: the host writes it where the plan says."""
    packing: PackedInput | None = None
    """How the host lays the input out, if not as it is."""
    residents: tuple[Resident, ...] = ()

    @classmethod
    def of(
        cls, given: Network, network: Network, config: AcceleratorConfig, *, owns_input: bool
    ) -> "Plan":
        """``network`` layer by layer, with every map in memory."""
        network = separate_views(network)
        return cls(
            given=given,
            network=network,
            config=config,
            views=find_views(network),
            layers=tuple(FusedLayer(layers=(layer,)) for layer in _machine_layers(network)),
            owns_input=owns_input,
        )

    @property
    def sources(self) -> tuple[TensorSpec, ...]:
        """Every map that is in memory before the first layer runs."""
        if self.packing is None:
            return self.network.sources
        return tuple(
            self.packing.packed if spec.name == self.packing.source.name else spec
            for spec in self.network.sources
        )

    def home(self, spec: TensorSpec, index: int) -> Home:
        """Where a map is while layer ``index`` runs."""
        view = self.views.maps[spec.name]
        resident = self._resident(view.root)
        chip = None
        if resident is not None and resident.lives(index):
            chip = view.place.moved(resident.address)
        in_memory = resident is None or resident.in_memory
        return Home(memory=view.place if in_memory else None, chip=chip)

    def room(self, index: int) -> Room:
        """What layer ``index`` finds on chip, and the banks that are left to it."""
        layer = self.layers[index]
        source, output = self.home(layer.input, index), self.home(layer.output, index)
        first, banks = self._free_banks(index)
        return Room(
            first_bank=first,
            banks=banks,
            input_pitch=None
            if source.chip is None
            else source.chip.pixel_pitch // source.chip.element,
            input_scattered=source.memory is not None
            and source.memory.pixel_pitch != layer.input.shape.channels * layer.input.bytes,
            other_on_chip=layer.other is not None
            and self.home(layer.other, index).chip is not None,
            output_on_chip=output.chip is not None,
            output_in_memory=output.memory is not None,
            joined=any(
                self.views.maps[spec.name].root == self.views.maps[layer.output.name].root
                and self.home(spec, index).chip is None
                for spec in layer.inputs
            ),
        )

    def _resident(self, root: str) -> Resident | None:
        return next((each for each in self.residents if each.root == root), None)

    def _free_banks(self, index: int) -> tuple[int, int]:
        """(first, number) of the most banks in a row that no resident touches."""
        config = self.config
        used: set[int] = set()
        for each in self.residents:
            if each.lives(index):
                last = (each.address + each.size - 1) // config.activation_bank_bytes
                used |= set(range(each.address // config.activation_bank_bytes, last + 1))
        best, start = (0, 0), 0
        for bank in range(config.activation_banks + 1):
            if bank in used or bank == config.activation_banks:
                if bank - start > best[1]:
                    best = start, bank - start
                start = bank + 1
        return best


def _machine_layers(network: Network) -> Iterator[MapLayer]:
    for layer in network.layers:
        if isinstance(layer, HostStep):
            raise LookupError(f"{layer.name} is a step of the host: cut the network there")
        if not isinstance(layer, Alias | Concat | Slice):
            yield layer
