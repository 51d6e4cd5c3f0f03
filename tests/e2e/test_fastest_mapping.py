"""The fastest mapping that the analytical search finds, compiled and run on the RTL, costs what the
model said, in every counter.

The seed is in each test's name. Replay seed 3 on `small`::

    pytest 'tests/e2e/test_fastest_mapping.py::test_costs_what_the_model_said[small-3]'
"""

import numpy as np
import pytest

from arch.registers import Status
from compiler.place import place_network
from compiler.search import MappingSearch
from sim.analytical.objective import Goal, Objective
from sim.command.timeline import TimelineSimulator
from tests.support.agreement import Case, assert_golden, run_rtl
from tests.support.machine_layers import network_of
from tests.support.machines import CONFIGS, rtl_machine
from tests.support.random_layers import random_layer
from tests.support.random_maps import SizeLimits, of_words

LIMITS = SizeLimits(max_height=16, max_width=16, max_channels=40, max_macs=400_000)
KINDS = ("conv", "grouped_conv", "fully_connected", "max_pool", "table")
FASTEST = Goal(objective=Objective.LATENCY)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["small", "uneven"])
def test_costs_what_the_model_said(name: str, seed: int) -> None:
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    layer, maps = random_layer(rng, of_words(LIMITS, config), KINDS)
    network = network_of(layer)
    winner = place_network(network, config, search=MappingSearch(FASTEST))
    best = winner.layers[0].search
    assert best is not None
    assert best.optimal
    case = Case(program=winner, image=maps[0])
    machine = rtl_machine(name)
    result = run_rtl(machine, case)
    assert result.status is Status.OK
    assert_golden(case, machine.memory)
    assert result.counters == best.counters
    chosen = TimelineSimulator(config).run(place_network(network, config).commands).counters
    assert best.counters["cycles"] <= chosen["cycles"]
