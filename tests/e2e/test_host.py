"""Networks with steps of the host, whole: RTL, command-level simulator, golden model and ONNX
Runtime agree in every byte, and RTL and command-level simulator in every counter of every part."""

from pathlib import Path

import numpy as np
import pytest

from compiler.driver import CompiledModel, compile_file
from compiler.passes import PASSES
from tests.support.host_models import HostModel, random_host_model
from tests.support.machines import CONFIGS, verilog_of
from tests.support.qdq_graph import QdqGraph
from tests.support.qdq_models import onnxruntime_output
from tilewright.evaluate import prepare, run_images, summarise
from tilewright.images import Images
from tilewright.machines import CommandMachine, GoldenMachine, VerilogMachine, written_maps
from tilewright.targets import Target

SEEDS = range(100, 112)


def drawn_and_compiled(seed: int, config: str, folder: Path) -> tuple[HostModel, CompiledModel]:
    drawn = random_host_model(seed, folder)
    return drawn, compile_file(drawn.path, CONFIGS[config])


def assert_agreement(seed: int, config: str, folder: Path) -> None:
    drawn, compiled = drawn_and_compiled(seed, config, folder)
    schedule = compiled.schedule
    inputs = prepare(compiled, Images(images=drawn.images, labels=None))
    golden, command = GoldenMachine(schedule), CommandMachine(schedule)
    port = compiled.model.outputs[0]
    with VerilogMachine(schedule, verilog=verilog_of(config)) as rtl:
        for image, real in zip(inputs.maps, drawn.images, strict=True):
            expected, simulated, found = (each.run(image) for each in (golden, command, rtl))
            for name, values in expected.maps.items():
                assert np.array_equal(simulated.maps[name], values), (seed, name)
                assert np.array_equal(found.maps[name], values), (seed, name)
            for name, result in expected.results.items():
                assert np.array_equal(simulated.results[name], result), (seed, name)
                assert np.array_equal(found.results[name], result), (seed, name)
            assert found.parts == simulated.parts, seed
            assert found.counters["cycles"] == sum(part["cycles"] for part in found.parts)
            if expected.results:
                (result,) = expected.results.values()
            else:
                result = port.dequantise(np.asarray(found.maps[port.tensor.name])[None])
            oracle = onnxruntime_output(drawn.path, real[None], integer=False)
            assert np.array_equal(result, oracle), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed: int, tmp_path: Path) -> None:
    """Replay: pytest tests/e2e/test_host.py -k 'random_networks and [SEED]'."""
    assert_agreement(seed, "tiny", tmp_path)


@pytest.mark.parametrize("seed", SEEDS)
def test_passes_change_no_byte(seed: int, tmp_path: Path) -> None:
    drawn, compiled = drawn_and_compiled(seed, "tiny", tmp_path)
    names = [each.name for each in PASSES]
    plain = compile_file(drawn.path, CONFIGS["tiny"], without=names)
    (image, *_) = prepare(compiled, Images(images=drawn.images, labels=None)).maps
    found, expected = (CommandMachine(each.schedule).run(image) for each in (compiled, plain))
    assert found.maps.keys() <= expected.maps.keys()
    for name, values in found.maps.items():
        assert np.array_equal(values, expected.maps[name]), (seed, name)
    for name, result in found.results.items():
        assert np.array_equal(result, expected.results[name]), (seed, name)


@pytest.mark.soak
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", range(200, 220))
def test_random_networks_on_every_preset(seed: int, config: str, tmp_path: Path) -> None:
    assert_agreement(seed, config, tmp_path)


def test_sixteen_bits(tmp_path: Path) -> None:
    """Maps of int16: two bytes an element are moved, and read from memory as such."""
    graph = QdqGraph(opset=21).qdq(2.0**-8, dtype=np.int16)
    values = np.random.default_rng(5).integers(-60, 60, (6, 3, 1, 1))
    weights = graph.weights("w", values, scale=2.0**-5, dtype=np.int16)
    graph.node("Conv", weights, name="conv").qdq(2.0**-6, dtype=np.int16)
    graph.node("LRN", size=3, alpha=0.1).qdq(2.0**-7, dtype=np.int16)
    graph.node("GlobalAveragePool").qdq(2.0**-9, dtype=np.int16).node("Softmax", axis=1)
    path = graph.save(tmp_path)
    compiled = compile_file(path, CONFIGS["small16"])
    real = np.random.default_rng(1).normal(size=(1, 3, 6, 5)).astype(np.float32)
    (image,) = compiled.model.input.quantise(real)
    golden, command = (
        kind(compiled.schedule).run(image) for kind in (GoldenMachine, CommandMachine)
    )
    for name, expected in golden.maps.items():
        assert np.array_equal(command.maps[name], expected), name
    (result,) = command.results.values()
    assert np.array_equal(result, onnxruntime_output(path, real, integer=False))
    assert [each.read_bytes for each in compiled.schedule.host_traffic()] == [360, 12]


def test_the_seeds_have_parts_and_results(tmp_path: Path) -> None:
    schedules = [drawn_and_compiled(seed, "tiny", tmp_path)[1].schedule for seed in SEEDS]
    assert sum(len(each.programs) == 2 for each in schedules) >= 4
    assert sum(bool(each.network.results) for each in schedules) >= 4


def test_an_evaluation_counts_results(tmp_path: Path) -> None:
    seed = next(
        seed
        for seed in SEEDS
        if drawn_and_compiled(seed, "tiny", tmp_path)[1].schedule.network.results
    )
    drawn, compiled = drawn_and_compiled(seed, "tiny", tmp_path)
    schedule = compiled.schedule
    inputs = prepare(compiled, Images(images=drawn.images, labels=None))
    runs = list(run_images(compiled, inputs, CommandMachine(schedule)))
    outcome = summarise(compiled, Target.COMMAND, runs)
    (result,) = schedule.network.results
    maps = sum(spec.shape.elements for spec in written_maps(schedule))
    assert maps > sum(each.written_bytes for each in outcome.host)
    own = int(np.prod(result.shape)) * result.dtype.itemsize
    assert outcome.compared_bytes == len(drawn.images) * (maps + own)
    assert outcome.mismatching_bytes == 0
    programs = len(schedule.programs)
    assert len(outcome.parts) == (programs if programs > 1 else 0)
