"""The search's lower bounds are lower bounds, and its winner is the best of all mappings."""

import numpy as np
import pytest

from arch.errors import CompileError, MappingError
from arch.mapping import Mapping
from compiler.machine_layer import map_sizes
from compiler.tile_cost import Room
from compiler.tiling import all_mappings
from sim.analytical.machine.bound import least_cycles
from sim.analytical.machine.counters import counters
from sim.analytical.machine.counts import count
from sim.analytical.machine.place import addresses_alone
from sim.analytical.machine.search import best_mapping
from sim.analytical.machine.tiling import Tiling
from sim.analytical.objective import Goal, Objective
from tests.sim.analytical.machine.test_random_mappings import draw
from tests.support.machine_layers import compile_alone, network_of
from tests.support.machines import CONFIGS
from tests.support.random_layers import random_layer
from tests.support.random_maps import SizeLimits, of_words

FASTEST = Goal(objective=Objective.LATENCY)


@pytest.mark.parametrize("name", ["tiny", "uneven16", "gemmini16"])
def test_no_layer_is_faster_than_its_bound(name: str) -> None:
    for seed in range(1000, 1060):
        try:
            alone = draw(name, seed)
            layer = alone.layer
        except (CompileError, LookupError, MappingError):
            continue
        tiling = Tiling(layer, alone.mapping, CONFIGS[name])
        bound = least_cycles(tiling, count(tiling))
        assert 0 < bound <= alone.counters["cycles"], f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_the_winner_is_the_best_of_all(seed: int) -> None:
    config, rng = CONFIGS["tiny"], np.random.default_rng(seed)
    limits = of_words(SizeLimits(max_height=6, max_width=6, max_channels=12), config)
    layer, _ = random_layer(rng, limits, ("conv", "max_pool"))
    alone = compile_alone(network_of(layer), config)
    mappings = all_mappings(alone.plan.layers[0].shape, Room.whole(config), config)
    assert alone.mapping in mappings
    sizes = map_sizes(alone.plan)

    def cycles(mapping: Mapping) -> int:
        tiling = Tiling(alone.layer, mapping, config)
        return counters(tiling, addresses_alone(tiling, sizes))["cycles"]

    best = best_mapping(
        alone.layer, mappings, config, sizes, FASTEST, lambda _: 0.0, likely=alone.mapping
    )
    assert best.optimal
    assert best.value == min(map(cycles, mappings))
    assert best.mappings == len(mappings)
    assert 1 <= best.priced <= len(mappings)


def test_a_time_limit_says_how_good_the_best_is() -> None:
    config, rng = CONFIGS["tiny"], np.random.default_rng(0)
    layer, _ = random_layer(rng, of_words(SizeLimits(), config), ("max_pool",))
    alone = compile_alone(network_of(layer), config)
    mappings = all_mappings(alone.plan.layers[0].shape, Room.whole(config), config)
    best = best_mapping(
        alone.layer, mappings, config, map_sizes(alone.plan), FASTEST, lambda _: 0.0, seconds=0
    )
    assert best.priced == 1
    assert not best.optimal
    assert best.gap > 0


def test_no_mapping_at_all() -> None:
    config, rng = CONFIGS["tiny"], np.random.default_rng(0)
    layer, _ = random_layer(rng, of_words(SizeLimits(), config), ("max_pool",))
    alone = compile_alone(network_of(layer), config)
    with pytest.raises(MappingError) as error:
        best_mapping(alone.layer, [], config, {}, FASTEST, lambda _: 0.0)
    assert str(error.value) == "a layer must fit tiny, got no mapping that does"
