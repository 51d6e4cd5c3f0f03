"""Mappings that are searched for: what they cost is what was said, no other costs less, and the
network computes the same.

The seed is in each test's name. Replay seed 3 on `small`::

    pytest 'tests/compiler/test_search.py::test_a_layer_costs_what_the_search_said[energy-small-3]'
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from arch.architectures import from_config
from arch.config import AcceleratorConfig
from arch.energy import TABLES
from arch.errors import MappingError
from arch.layers import FeatureMap, Window
from arch.presets import PRESETS
from compiler.machine_layer import machine_layer
from compiler.passes import run_passes
from compiler.place import choose_mapping, place_network
from compiler.plan import Plan
from compiler.program import FORMULA, Program
from compiler.search import MappingSearch
from sim.analytical.machine.energy import energy_parts
from sim.analytical.machine.search import Best
from sim.analytical.objective import Goal, Objective
from sim.command.functional import Storage
from sim.command.timeline import TimelineSimulator
from sim.golden.run import run_network
from sim.network import Bytes, Concat, Conv, Network
from tests.support.machine_layers import network_of
from tests.support.machines import CONFIGS
from tests.support.random_chains import CHAIN_LIMITS, random_chain
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


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["tiny", "uneven16", "gemmini16"])
def test_layers_with_maps_on_chip_are_searched(name: str, seed: int) -> None:
    """Every access of each layer by itself is what the search said; cycles depend on addresses."""
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    network, image = random_chain(rng, of_words(CHAIN_LIMITS, config))
    program = place_network(network, config, search=search_for(Objective.LATENCY))
    assert program.residents
    for index, placed in enumerate(program.layers):
        if placed.search is not None:
            assert placed.chosen_by == "optimal"
            commands = program.isolated(index)
            found = TimelineSimulator(config).run(commands).counters
            assert accesses(found) == accesses(placed.search.counters), index
    assert_golden(program, network, image)


def accesses(counters: dict[str, int]) -> dict[str, int]:
    times = ("cycles", "stall_")
    return {name: count for name, count in counters.items() if not name.startswith(times)}


def plan_with(is_meant: Callable[[Plan, int], bool]) -> tuple[Plan, int]:
    """A random network's plan on `gemmini16`, and the layer in it that is meant."""
    config = PRESETS["gemmini16"]
    limits = of_words(CHAIN_LIMITS, config)
    networks = (random_chain(np.random.default_rng(seed), limits)[0] for seed in count())
    plans = (run_passes(network, config, ()) for network in networks)
    return next(
        (plan, index)
        for plan in plans
        for index in range(len(plan.layers))
        if is_meant(plan, index)
    )


def test_layers_that_are_not_covered_keep_the_formulas_mapping() -> None:
    """A depthwise convolution in front of another one."""
    plan, index = plan_with(lambda plan, index: plan.layers[index].front is not None)
    with pytest.raises(MappingError, match="without a depthwise convolution in front"):
        search_for(Objective.ENERGY).best(plan, index, choose_mapping(plan, index))
    search = search_for(Objective.ENERGY)
    searched = place_network(plan.given, plan.config, search=search).layers[index]
    assert searched.chosen_by == FORMULA
    assert searched.mapping == place_network(plan.given, plan.config).layers[index].mapping


def test_a_layer_that_reads_and_writes_one_map_is_not_covered() -> None:
    """A convolution whose output is concatenated with its input."""
    layer, _ = random_layer(np.random.default_rng(1), LIMITS, ("conv",))
    assert isinstance(layer, Conv)
    fmap = layer.input.shape
    pointwise = replace(
        layer.shape, window=Window(kernel=(1, 1)), out_channels=fmap.channels, groups=1
    )
    first = replace(
        layer,
        output=replace(layer.output, shape=fmap),
        shape=pointwise,
        weights=np.zeros((fmap.channels, 1, 1, fmap.channels), np.int8),
        bias=np.zeros(fmap.channels, np.int32),
        multiplier=np.full(fmap.channels, 0.5, np.float32),
    )
    second = replace(
        first, name="second", input=first.output, output=replace(first.output, name="more")
    )
    wide = FeatureMap(height=fmap.height, width=fmap.width, channels=2 * fmap.channels)
    both = replace(first.output, name="both", shape=wide)
    concat = Concat(name="concat", inputs=(first.output, second.output), output=both)
    network = Network(
        name="dense", input=layer.input, layers=(first, second, concat), outputs=(both,)
    )
    plan = run_passes(network, PRESETS["tiny"], ())
    with pytest.raises(MappingError) as error:
        machine_layer(plan, 1)
    assert str(error.value) == (
        "second: a layer must not read and write parts of one map to be priced, got more beside "
        "its input; time the program instead"
    )
