"""Runs layers on RTL, command-level simulator and golden model, and demands that they agree."""

from dataclasses import dataclass

import numpy as np

from arch.config import AcceleratorConfig
from arch.registers import Status
from compiler.passes import PASSES
from compiler.place import place_network
from compiler.program import Program
from sim.command.functional import Storage
from sim.command.timeline import Timeline, TimelineSimulator
from sim.golden.run import run_network
from sim.network import Bytes
from sim.rtl.machine import RtlMachine, RunResult
from tests.support.random_maps import SizeLimits, of_words
from tests.support.random_networks import NETWORK_KINDS, random_network

FUSING = tuple(each.name for each in PASSES if each.name.startswith("fuse-"))
"""The passes that fuse layers."""

LIMITS = SizeLimits(max_height=12, max_width=12, max_channels=40, max_macs=300_000)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A program and the quantised image that it runs on."""

    program: Program
    image: Bytes

    @property
    def timeline(self) -> Timeline:
        """What the command-level simulator expects."""
        return TimelineSimulator(self.program.config).run(self.program.commands)


def random_case(
    seed: int, config: AcceleratorConfig, kinds: tuple[str, ...] = NETWORK_KINDS
) -> Case:
    """A random network of one of ``kinds`` placed on ``config``, each layer by itself.

    Raises ``CompileError`` if it does not fit.
    """
    network, image = random_network(np.random.default_rng(seed), of_words(LIMITS, config), kinds)
    return Case(program=place_network(network, config, without=FUSING), image=image)


def run_rtl(machine: RtlMachine, case: Case) -> RunResult:
    """Run ``case`` from a clean memory."""
    program = case.program
    machine.memory[:] = 0
    machine.memory[: program.image.size] = program.image
    program.write_map(machine.memory, program.network.input, case.image)
    return machine.run(program.program_address, len(program.commands), 100_000_000)


def assert_golden(case: Case, memory: np.ndarray) -> None:
    """Every layer's output in ``memory`` must be the golden model's, and the outputs be there."""
    golden = run_network(case.program.network, case.image)
    specs = [placed.layer.output for placed in case.program.layers]
    for spec in (*case.program.network.outputs, *specs):
        if spec.name in case.program.maps and spec.name in golden:
            found = case.program.read_map(memory, spec)
            wrong = int(np.count_nonzero(found != golden[spec.name]))
            assert wrong == 0, f"{spec.name}: {wrong} of {found.size} bytes differ"
    assert {spec.name for spec in case.program.network.outputs} <= case.program.maps.keys()


def assert_agreement(machine: RtlMachine, case: Case) -> None:
    """RTL bytes and command-level bytes must be golden; RTL counters must be the timeline's."""
    result = run_rtl(machine, case)
    assert result.status is Status.OK
    assert_golden(case, machine.memory)
    expected = case.timeline.counters
    assert result.counters == {name: expected.get(name, 0) for name in result.counters}

    memory = case.program.image.copy()
    case.program.write_map(memory, case.program.network.input, case.image)
    storage = Storage(case.program.config, memory)
    for command in case.program.commands:
        storage.apply(command)
    assert_golden(case, memory)
