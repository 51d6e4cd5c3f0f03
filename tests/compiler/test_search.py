"""Mappings that are searched for: what they cost is what was said, no other costs less, and the
network computes the same.

The seed is in each test's name. Replay seed 3 on `small`::

    pytest 'tests/compiler/test_search.py::test_a_layer_costs_what_the_search_said[energy-small-3]'
"""

from itertools import count

import numpy as np
import pytest

from arch.architectures import from_config
from arch.config import AcceleratorConfig
from arch.energy import TABLES
from arch.errors import MappingError
from arch.presets import PRESETS
from compiler.passes import run_passes
from compiler.place import choose_mapping, place_network
from compiler.program import FORMULA, Program
from compiler.search import MappingSearch
from sim.analytical.machine.energy import energy_parts
from sim.analytical.machine.search import Best
from sim.analytical.objective import Goal, Objective
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.network import Bytes, Network
from tests.support.machine_layers import network_of
from tests.support.machines import CONFIGS
from tests.support.random_layers import COMPUTING_KINDS, random_layer
from tests.support.random_maps import SizeLimits, of_words
from tests.support.random_networks import random_network

LIMITS = SizeLimits(max_height=14, max_width=14, max_channels=40, max_macs=300_000)
KINDS = tuple(kind for kind in COMPUTING_KINDS if kind not in ("add", "multiply"))
"""Those with one input; the networks below have the others."""


def search_for(objective: Objective) -> MappingSearch:
    return MappingSearch(Goal(objective=objective))


def assert_golden(program: Program, network: Network, image: Bytes) -> None:
    memory = program.image.copy()
    program.write_map(memory, program.network.input, image)
    storage = Storage(program.config, memory)
    for command in program.commands:
        storage.apply(command)
    golden = run_network(network, image)
    for spec in network.outputs:
        assert np.array_equal(program.read_map(memory, spec), golden[spec.name]), spec.name


def cost(program: Program, objective: Objective) -> float:
    """Of a program of one layer."""
    counters = TimelineSimulator(program.config).run(program.commands).counters
    layer = program.layers[0].layer
    products = layer.conv is None and layer.shape.depthwise is not None
    table = from_config(program.config).energy
    energy = sum(energy_parts(counters, program.config, table, products=products).values())
    cycles = counters["cycles"]
    return {
        Objective.ENERGY: energy,
        Objective.LATENCY: float(cycles),
        Objective.EDP: energy * cycles,
    }[objective]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["tiny", "small", "uneven16"])
@pytest.mark.parametrize("objective", Objective)
def test_a_layer_costs_what_the_search_said(objective: Objective, name: str, seed: int) -> None:
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    layer, maps = random_layer(rng, of_words(LIMITS, config), KINDS)
    network = network_of(layer)
    program = place_network(network, config, search=search_for(objective))
    (placed,) = program.layers
    found = placed.search
    assert found is not None
    assert placed.chosen_by == "optimal"
    assert found.counters == TimelineSimulator(config).run(program.commands).counters
    assert cost(program, objective) == found.value
    assert found.value <= cost(place_network(network, config), objective)
    assert_golden(program, network, maps[0])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["tiny", "small", "gemmini16"])
def test_networks_compute_the_same(name: str, seed: int) -> None:
    """Among their layers are fused ones, and ones beside or with maps that stay on chip."""
    config = PRESETS[name]
    network, image = random_network(np.random.default_rng(seed), of_words(LIMITS, config))
    program = place_network(network, config, search=search_for(Objective.ENERGY))
    assert_golden(program, network, image)


def conv_search(config: AcceleratorConfig, search: MappingSearch) -> Best:
    layer, _ = random_layer(np.random.default_rng(1), of_words(LIMITS, config), ("conv",))
    plan = run_passes(network_of(layer), config, ())
    return search.best(plan, 0, choose_mapping(plan, 0))


def test_equal_layers_are_searched_once() -> None:
    begun: list[str] = []
    search = MappingSearch(Goal(), begin=begun.append)
    first, again = (conv_search(PRESETS["tiny"], search) for _ in range(2))
    assert again is first
    conv_search(PRESETS["small"], search)
    assert len(begun) == 2


def test_energies_are_the_users() -> None:
    config = PRESETS["small"]
    ours, theirs = (
        conv_search(config, MappingSearch(Goal(), energy=TABLES[name]))
        for name in ("eyeriss", "horowitz45")
    )
    assert ours.value != theirs.value


def test_a_time_limit() -> None:
    goal = Goal(objective=Objective.LATENCY)
    best = conv_search(PRESETS["small"], MappingSearch(goal, seconds=0))
    assert best.proof.startswith("within ")


def test_layers_that_are_not_covered_keep_the_formulas_mapping() -> None:
    """Between two convolutions, one that reads and leaves its maps on chip."""
    config = PRESETS["gemmini16"]
    networks = (
        random_network(np.random.default_rng(seed), of_words(LIMITS, config))[0] for seed in count()
    )
    network, plan, index = next(
        (network, plan, index)
        for network in networks
        for plan in (run_passes(network, config, ()),)
        for index in range(len(plan.layers))
        if plan.room(index).output_on_chip
    )
    with pytest.raises(MappingError, match="a map on chip"):
        search_for(Objective.ENERGY).best(plan, index, choose_mapping(plan, index))
    searched = place_network(network, config, search=search_for(Objective.ENERGY)).layers[index]
    assert searched.chosen_by == FORMULA
    assert searched.mapping == place_network(network, config).layers[index].mapping
