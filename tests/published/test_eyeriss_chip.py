"""The Eyeriss chip's measured AlexNet layers from the mappings printed beside them.

Chen, Krishna, Emer, Sze, Eyeriss, JSSC 52(1), 2017 (10.1109/JSSC.2016.2616357): mappings in Table
III, measurements in Table V (batch 4, core at 200 MHz). No constant of the model was fitted to
them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from arch.architecture import DataType
from arch.architectures import ARCHITECTURES
from arch.errors import MappingError
from arch.sparsity import DensityFile
from sim.analytical.counts import Level, count
from sim.analytical.eyeriss_chip import ChipLayer, RowStationary, run_layer
from sim.analytical.mapping import Batch
from sim.analytical.problem import Problem
from tilewright.networks.nodes import Weighted
from tilewright.networks.registry import build

CHIP = ARCHITECTURES["eyeriss"]
# Zeros of ifmaps are printed in Table V; those of outputs are others' measurements.
ZEROS = DensityFile.from_file(Path(__file__).parents[2] / "examples/eyeriss/alexnet.toml")
LAYERS = {node.name: node for node in build("alexnet").nodes if isinstance(node, Weighted)}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row of Tables III and V; MB are 10^6 bytes."""

    mapping: RowStationary
    active_pes: int
    buffer_mb: float
    dram_mb: float
    processing_ms: float


def table_iii(m: int, n: int, e: int, p: int, q: int, r: int, t: int) -> RowStationary:
    return RowStationary(m=m, n=n, e=e, p=p, q=q, r=r, t=t)


MEASURED = {
    "conv1": Measured(
        mapping=table_iii(96, 1, 7, 16, 1, 1, 2),
        active_pes=154,
        buffer_mb=18.5,
        dram_mb=5.0,
        processing_ms=16.5,
    ),
    "conv2": Measured(
        mapping=table_iii(64, 1, 27, 16, 2, 1, 1),
        active_pes=135,
        buffer_mb=77.6,
        dram_mb=4.0,
        processing_ms=39.2,
    ),
    "conv3": Measured(
        mapping=table_iii(64, 4, 13, 16, 4, 1, 4),
        active_pes=156,
        buffer_mb=50.2,
        dram_mb=3.0,
        processing_ms=21.8,
    ),
    "conv4": Measured(
        mapping=table_iii(64, 4, 13, 16, 3, 2, 2),
        active_pes=156,
        buffer_mb=37.4,
        dram_mb=2.1,
        processing_ms=16.0,
    ),
    "conv5": Measured(
        mapping=table_iii(64, 4, 13, 16, 3, 2, 2),
        active_pes=156,
        buffer_mb=24.9,
        dram_mb=1.3,
        processing_ms=10.0,
    ),
}
# The other reading of CONV3: the mapping printed for CONV4 and CONV5.
CONV3_AS_CONV4 = table_iii(64, 4, 13, 16, 3, 2, 2)


def problem_of(name: str) -> Problem:
    return replace(Problem.conv(name, LAYERS[name].shape, batch=4), densities=ZEROS.layers[name])


def modelled(name: str, mapping: RowStationary) -> ChipLayer:
    return run_layer(CHIP, problem_of(name), mapping)


@pytest.mark.parametrize("name", MEASURED)
def test_active_pes(name: str) -> None:
    assert modelled(name, MEASURED[name].mapping).active_pes == MEASURED[name].active_pes


@pytest.mark.parametrize("name", ["conv1", "conv2", "conv4", "conv5"])
def test_buffer_traffic(name: str) -> None:
    found = modelled(name, MEASURED[name].mapping).buffer_bytes
    assert found / 1e6 == pytest.approx(MEASURED[name].buffer_mb, rel=0.01)


def test_conv3_contradicts_itself() -> None:
    # Table III prints q = 4, r = 1, t = 4: 38 % more traffic than Table V measured. With the
    # mapping of CONV4 and CONV5 it is what was measured.
    printed = modelled("conv3", MEASURED["conv3"].mapping).buffer_bytes
    other = modelled("conv3", CONV3_AS_CONV4).buffer_bytes
    assert printed / 1e6 == pytest.approx(69.22, abs=0.005)
    assert other / 1e6 == pytest.approx(MEASURED["conv3"].buffer_mb, rel=0.01)


@pytest.mark.parametrize("name", MEASURED)
def test_dram_traffic(name: str) -> None:
    found = modelled(name, MEASURED[name].mapping).coded_bytes
    assert found / 1e6 == pytest.approx(MEASURED[name].dram_mb, rel=0.05)


@pytest.mark.parametrize(("name", "saved"), [("conv1", 0.30), ("conv5", 0.75)])
def test_coding_of_feature_maps(name: str, saved: float) -> None:
    # The text on Fig. 9: about 30 % of the traffic of CONV1's feature maps, about 75 % of CONV5's.
    layer, problem = modelled(name, MEASURED[name].mapping), problem_of(name)
    mapping = MEASURED[name].mapping.mapping(CHIP, problem)
    counts = count(CHIP, Batch.of(problem, mapping))
    weights = 2 * float(np.ravel(counts.accesses[Level.MEMORY, DataType.WEIGHT].reads)[0])
    coded, raw = layer.coded_bytes - weights, layer.memory_bytes - weights
    assert 1 - coded / raw == pytest.approx(saved, abs=0.02)


@pytest.mark.parametrize("name", MEASURED)
def test_processing_latency(name: str) -> None:
    milliseconds = modelled(name, MEASURED[name].mapping).processing_cycles / 200e3
    assert milliseconds == pytest.approx(MEASURED[name].processing_ms, rel=0.10)


def test_processing_latency_of_the_other_reading_of_conv3() -> None:
    milliseconds = modelled("conv3", CONV3_AS_CONV4).processing_cycles / 200e3
    assert milliseconds == pytest.approx(MEASURED["conv3"].processing_ms, rel=0.10)


def test_a_mapping_that_does_not_fit() -> None:
    # 32 filters of 2 x 11 weights are 704 words, for a scratchpad of 224.
    with pytest.raises(MappingError) as caught:
        modelled("conv1", table_iii(96, 1, 7, 32, 2, 1, 1))
    assert str(caught.value) == (
        "conv1: the mapping does not fit ifmap_spad of eyeriss by 10 words: it needs 22 of ifmap "
        "in 24 bytes"
    )
