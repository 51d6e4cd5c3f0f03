"""Whole networks timed from their shapes."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from arch.layers import FeatureMap, Window
from arch.presets import PRESETS
from compiler.passes import PASSES
from compiler.place import place_network
from compiler.schedule import schedule_network
from tests.support.command_line import tilewright
from tilewright.bounds import Bounds, under
from tilewright.networks.registry import NETWORKS, build, totals
from tilewright.networks.shapes_only import shape_network
from tilewright.timing import NetworkTiming, time_schedule

SMALL_NETWORKS = ["lenet-5", "resnet-8", "mobilenet-v1-0.25-32x32", "densenet-block", "se-block"]


def timing_of(name: str, config: str) -> NetworkTiming:
    network = shape_network(build(name))
    return time_schedule(schedule_network(network, PRESETS[config], timing_only=True))


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_layers_add_up_to_the_run(name: str) -> None:
    timing = timing_of(name, "small")
    # The run ends two cycles after its last command is done.
    assert sum(layer.cycles for layer in timing.layers) == timing.cycles - 2
    assert timing.macs == sum(layer.macs for layer in timing.layers)
    for counter in ("array_busy", "accumulator_drain", "weight_read", "memory_read_beats"):
        layers = sum(layer.accesses.get(counter, 0) for layer in timing.layers)
        assert layers == timing.counters[counter]


@pytest.mark.parametrize("name", ["lenet-5", "resnet-8"])
def test_macs_are_those_of_the_registry(name: str) -> None:
    assert timing_of(name, "gemmini16").macs == totals(NETWORKS[name]).macs


@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", ["alexnet", "resnet-18", "squeezenet", "mobilenet-v2"])
def test_large_networks_compile(name: str, config: str) -> None:
    program = place_network(shape_network(build(name)), PRESETS[config], timing_only=True)
    assert len(program.layers) > 5
    assert not program.image.any()


@pytest.mark.soak
@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_compiles_and_ends(name: str, config: str) -> None:
    assert timing_of(name, config).cycles > 0


@pytest.mark.parametrize(("name", "plain"), [("alexnet-lrn", "alexnet")])
def test_local_response_normalisation_is_the_hosts(name: str, plain: str) -> None:
    timing, without = (timing_of(each, "gemmini16") for each in (name, plain))
    assert [(each.name, each.kind, each.layers_before) for each in timing.host] == [
        ("lrn1", "LRN", 1),
        ("lrn2", "LRN", 3),
    ]
    assert [each.read_bytes for each in timing.host] == [55 * 55 * 96, 27 * 27 * 256]
    assert timing.macs == without.macs
    # The maps around it are stored, and its pooling is no part of the convolution.
    assert timing.cycles > without.cycles
    assert timing.memory_bytes > without.memory_bytes


def test_bound_is_what_was_busy_longest() -> None:
    bounds = set()
    for layer in timing_of("resnet-8", "small").layers:
        busy = layer.busy
        causes = {
            "compute": busy["execute"],
            "memory": max(busy["load"], busy["store"]),
            "drain": busy["post"],
        }
        assert causes[layer.bound] == max(causes.values())
        bounds.add(layer.bound)
    assert bounds >= {"compute", "drain"}


def test_no_engine_is_busy_longer_than_the_run() -> None:
    timing = timing_of("lenet-5", "small")
    for engine in ("load", "execute", "post", "store"):
        assert 0 < sum(layer.busy[engine] for layer in timing.layers) < timing.cycles


def test_bytes_by_storage() -> None:
    timing, config = timing_of("lenet-5", "small"), PRESETS["small"]
    for layer in timing.layers:
        found, counts = layer.storage_bytes, layer.accesses
        assert found["memory"] == layer.read_bytes + layer.written_bytes
        assert found["weight"] == 8 * (counts.get("weight_read", 0) + counts.get("weight_write", 0))
        # A tile of weights is loaded once for each time that it is used, or kept.
        assert counts.get("weight_read", 0) * config.cols >= counts.get("weight_write", 0) * 8


def test_pictures_and_trace_beside_timing(tmp_path: Path) -> None:
    names = {"--plot": "a.png", "--utilization": "b.svg", "--roofline": "c.svg"}
    options = [part for option, name in names.items() for part in (option, str(tmp_path / name))]
    trace = tmp_path / "d.json"
    outcome = tilewright("run", "lenet-5", "--timing-only", "--timeline", str(trace), *options)
    assert outcome.status == 0
    assert {path.name for path in tmp_path.iterdir()} == {*names.values(), "d.json"}
    assert json.loads(trace.read_text())["traceEvents"]


def test_starting_up_leaves_slow_libraries_alone() -> None:
    code = (
        "import sys, tilewright.cli; "
        "print({'amaranth', 'matplotlib', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "set()"


def test_networks_lists_every_network() -> None:
    outcome = tilewright("networks", "--json")
    assert outcome.status == 0
    rows = {row["name"]: row for row in json.loads(outcome.out)}
    assert set(rows) == set(NETWORKS)
    assert rows["resnet-50"]["macs"] == totals(NETWORKS["resnet-50"]).macs
    table = tilewright("networks")
    assert table.status == 0
    assert all(name in table.out for name in NETWORKS)


def test_timing_of_a_built_in_network_as_json() -> None:
    outcome = tilewright("run", "lenet-5", "--timing-only", "--config", "gemmini16", "--json")
    assert outcome.status == 0
    found = json.loads(outcome.out)
    assert found["cycles"] == timing_of("lenet-5", "gemmini16").cycles
    assert [layer["name"] for layer in found["layers"]][:2] == ["conv1", "avgpool1"]
    assert found["layers"][0]["kind"] == "Conv+Table"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("lenet-6", "--timing-only"),
            "MODEL must be an ONNX file or a built-in network, got 'lenet-6'; "
            "`tilewright networks` lists them",
        ),
        (
            ("lenet-5", "--timing-only", "--on", "rtl"),
            "--timing-only must go without --images, --count and --vcd, and with --on command; "
            "leave the others out",
        ),
        (
            ("lenet-5",),
            "--images must be given, got no value; or only time it: --timing-only",
        ),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str) -> None:
    outcome = tilewright("run", *arguments)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"tilewright: {message}\n")


@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_passes_save_cycles_and_traffic(name: str, config: str) -> None:
    network, machine = shape_network(build(name)), PRESETS[config]
    names = [each.name for each in PASSES]
    plain = time_schedule(schedule_network(network, machine, timing_only=True, without=names))
    timing = timing_of(name, config)
    assert timing.cycles < plain.cycles
    assert timing.memory_bytes < plain.memory_bytes
    assert timing.macs == plain.macs


@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", [*SMALL_NETWORKS, "alexnet-lrn"])
def test_both_accounts_of_a_layer_add_up_to_its_cycles(name: str, config: str) -> None:
    timing = timing_of(name, config)
    for layer in timing.layers:
        assert sum(layer.array_parts.values()) == layer.cycles, layer.name
        assert sum(layer.memory_parts.values()) == layer.cycles, layer.name


@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_accounts_are_the_counters(name: str, config: str) -> None:
    """Over all layers, the array works and loads weights as often as the machine counts."""
    timing = timing_of(name, config)
    total: Counter[str] = Counter()
    for layer in timing.layers:
        total.update(layer.array_parts)
    vectors = total["compute"] + total["shape"] + total["recomputed"]
    assert vectors == timing.counters["array_busy"]
    assert total["weights"] == timing.counters["stall_weights"]
    interval = PRESETS[config].beat_interval
    for layer in timing.layers:
        beats = [layer.accesses.get(f"memory_{way}_beats", 0) for way in ("read", "write")]
        moved = layer.memory_parts["bound"] + layer.memory_parts["traffic"]
        assert moved == max(beats) * interval


@pytest.mark.parametrize("config", ["small", "gemmini16"])
@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_bounds_are_bounds(name: str, config: str) -> None:
    """Nothing of what a layer must do is done less often."""
    timing, machine = timing_of(name, config), PRESETS[config]
    for layer in timing.layers:
        assert layer.accesses.get("array_busy", 0) >= layer.bounds.compute
        assert layer.read_bytes >= layer.bounds.read_bytes
        assert layer.written_bytes >= layer.bounds.written_bytes
        assert layer.array_parts.get("shape", 0) >= 0
        assert layer.memory_parts["traffic"] >= 0
    assert timing.cycles >= sum(layer.bounds.compute for layer in timing.layers)
    busier = max(
        sum(layer.bounds.read_bytes for layer in timing.layers),
        sum(layer.bounds.written_bytes for layer in timing.layers),
    )
    assert timing.cycles >= busier / machine.memory_bytes_per_cycle
    assert timing.bound == sum(layer.bounds.cycles for layer in timing.layers)
    assert timing.ratio == timing.cycles / timing.bound


def test_bounds_by_hand() -> None:
    """LeNet-5's first layers on gemmini16, where only the image and the constants are in memory."""
    conv, pool = timing_of("lenet-5", "gemmini16").layers[:2]
    weights, parameters, table = 6 * 5 * 5, 6 * 8, 256
    assert conv.bounds == Bounds(
        compute=-(-117_600 // 256),
        memory=-(-(28 * 28 + weights + parameters + table) // 16),
        read_bytes=28 * 28 + weights + parameters + table,
        written_bytes=0,
    )
    assert conv.ratio == conv.cycles / conv.bounds.compute
    # 5 x 5 taps, packed into two tiles of 16 rows, and 6 of 16 columns.
    assert conv.why.split(",")[0].endswith("% rows 25/32 columns 6/16")
    assert (pool.bounds.cycles, pool.ratio) == (0, None)
    assert "drain" in pool.why


@pytest.mark.parametrize(
    ("stride", "seen"), [((1, 1), 6 * 5), ((2, 2), 3 * 3), ((3, 3), 2 * 2), ((1, 4), 6 * 2)]
)
def test_pixels_under_no_window_need_not_be_read(stride: tuple[int, int], seen: int) -> None:
    window = Window(kernel=(1, 1), stride=stride)
    fmap = FeatureMap(height=6, width=5, channels=4)
    rows, columns = (under(range(9), window, axis, fmap) for axis in (0, 1))
    assert len(rows) * len(columns) == seen


def test_windows_over_windows() -> None:
    """Rows that a pooling leaves out are not read for it, padding never is."""
    fmap = FeatureMap(height=10, width=10, channels=1)
    pooled = under(range(3), Window(kernel=(2, 2), stride=(4, 4)), 0, fmap)
    assert pooled == {0, 1, 4, 5, 8, 9}
    assert under(pooled, Window(kernel=(3, 3), padding=(1, 1, 1, 1)), 0, fmap) == set(range(10))
    assert under([0], Window(kernel=(3, 3), dilation=(2, 2), padding=(1, 1, 1, 1)), 0, fmap) == {
        1,
        3,
    }
