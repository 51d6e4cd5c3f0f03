"""Some layers of real networks on the RTL, so that a benchmark of the command-level simulator shows
that its bytes and cycles are the RTL's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arch.presets import PRESETS
from compiler.plan import Resident
from compiler.program import Program
from compiler.views import find_views
from sim.golden.run import run_network
from sim.network import Bytes
from sim.rtl.machine import RtlMachine
from tilewright.bench.rtl_layers import (
    Golden,
    LayerRun,
    element_bytes,
    fill,
    load_map,
    memory_bytes,
    run_layer,
)
from tilewright.bench.seeded import compiled
from tilewright.progress import working


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One layer of a network by itself on the RTL."""

    network: str
    run: LayerRun


def run_samples(
    networks: Sequence[str], count: int, *, seed: int, config: str, verilog: str
) -> Iterator[Sample]:
    """Run ``count`` layers of each of ``networks``, chosen by ``seed``; weights are seeded too.

    Raises ``RunError`` if one ends in an error status.
    """
    random = np.random.default_rng(seed)
    for name in networks:
        with working(f"{name}: weights, program, golden model"):
            program, image = compiled(name, config, seed)
            golden = run_network(program.network, image)
        layers = len(program.layers)
        chosen = sorted(random.choice(layers, min(count, layers), replace=False).tolist())
        machine = RtlMachine(verilog, PRESETS[config], memory_bytes=memory_bytes(program))
        with machine:
            for index in chosen:
                with working(f"{name}: {program.layers[index].layer.name} on the RTL"):
                    _prepare(machine, program, index, image, golden)
                    run = run_layer(machine, program, index, golden, lambda _: None)
                yield Sample(network=name, run=run)


def _prepare(
    machine: RtlMachine, program: Program, index: int, image: Bytes, golden: Golden
) -> None:
    """Golden maps of the layers before ``index`` in memory and on chip."""
    fill(machine, program, image)
    before = [placed.layer.output for placed in program.layers[:index]]
    for spec in before:
        if spec.name in program.maps:
            program.write_map(machine.memory, spec, golden[spec.name])
    for resident in program.residents:
        if resident.first < index and resident.lives(index):
            load_map(machine, program, resident, _root(program, index, resident, golden))


def _root(program: Program, index: int, resident: Resident, golden: Golden) -> NDArray[np.uint8]:
    """The bytes of a map on chip when layer ``index`` begins."""
    views, root = find_views(program.network), np.zeros(resident.size, np.uint8)
    for placed in program.layers[:index]:
        spec = placed.layer.output
        view = views.maps[spec.name]
        if view.root == resident.root:
            elements = np.ascontiguousarray(golden[spec.name])[..., None].view(np.uint8)
            root[element_bytes(view.place, spec)] = elements
    return root
