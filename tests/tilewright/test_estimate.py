"""`tilewright estimate`: sums, pictures, and what bad input says."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import tomli_w

from arch.architectures import ARCHITECTURES
from arch.energy import TABLES
from arch.presets import PRESETS
from sim.analytical.dataflows import DATAFLOWS
from sim.network import Conv
from tests.support.command_line import tilewright
from tests.support.machine_layers import compile_alone, network_of
from tilewright.docs import cli_reference
from tilewright.networks.registry import build
from tilewright.networks.shapes_only import shape_network

LENET = ("estimate", "lenet-5", "--dataflow", "rs,free")


def test_parts_sum_to_the_total() -> None:
    outcome = tilewright(*LENET, "--json")
    assert outcome.status == 0
    layers = json.loads(outcome.out)
    assert len(layers) == 2 * 5
    for layer in layers:
        assert layer["energy"] == pytest.approx(
            sum(part["energy"] for part in layer["energy_parts"])
        )
        assert layer["optimal"]
        assert layer["gap"] == 0
        reads = {(each["level"], each["data"]): each["reads"] for each in layer["accesses"]}
        assert reads["spad", "weight"] == layer["macs"]


def test_fewer_rules_never_cost_more() -> None:
    layers = json.loads(tilewright(*LENET, "--json").out)
    energy = {(each["dataflow"], each["layer"]): each["energy"] for each in layers}
    for name in {layer for _, layer in energy}:
        assert energy["free", name] <= energy["rs", name] * (1 + 1e-9)


def test_other_objectives() -> None:
    arguments = ("estimate", "lenet-5", "--layer", "fc2", "--json", "--objective")
    energy, latency, product = (
        json.loads(tilewright(*arguments, objective).out)[0]
        for objective in ("energy", "latency", "edp")
    )
    assert all(each["optimal"] for each in (energy, latency, product))
    assert energy["energy"] <= product["energy"]
    assert latency["cycles"] <= product["cycles"]
    assert product["energy"] * product["cycles"] <= min(
        each["energy"] * each["cycles"] for each in (energy, latency)
    )


def test_a_generated_machine_is_priced_as_it_counts() -> None:
    outcome = tilewright("estimate", "lenet-5", "--arch", "small", "--json")
    layers = json.loads(outcome.out)
    shapes = shape_network(build("lenet-5"))
    convs = {layer.name: layer for layer in shapes.layers if isinstance(layer, Conv)}
    assert [each["layer"] for each in layers] == list(convs)
    for each in layers:
        conv = convs[each["layer"]]
        without = () if conv.input is shapes.input else ("pack-rows",)
        expected = compile_alone(network_of(conv), PRESETS["small"], without=without).counters
        assert each["dataflow"] == "machine"
        assert each["counters"] == expected
        assert each["cycles"] == expected["cycles"]
        beats = expected["memory_read_beats"] + expected["memory_write_beats"]
        assert each["memory_bytes"] == beats * PRESETS["small"].bus_bytes
        moved = {(part["level"], part["data"]): part for part in each["accesses"]}
        in_memory = [part for (level, _), part in moved.items() if level == "memory"]
        assert sum(part["reads"] + part["writes"] for part in in_memory) == each["memory_bytes"]
        assert moved["buffer", "weight"]["reads"] >= expected["weight_read"] * PRESETS["small"].cols
        assert each["energy"] == pytest.approx(sum(part["energy"] for part in each["energy_parts"]))


def test_the_best_mapping_of_a_generated_machine() -> None:
    arguments = ("estimate", "lenet-5", "--arch", "small", "--layer", "conv2", "--json")
    (chosen,) = json.loads(tilewright(*arguments).out)
    (fastest,) = json.loads(tilewright(*arguments, "--objective", "latency").out)
    (least,) = json.loads(tilewright(*arguments, "--objective", "energy").out)
    assert fastest["optimal"]
    assert least["optimal"]
    assert fastest["search"]["priced"] < fastest["search"]["mappings"]
    assert fastest["cycles"] <= min(chosen["cycles"], least["cycles"])
    assert least["energy"] <= min(chosen["energy"], fastest["energy"])


def test_a_machine_of_ones_own_next_to_a_search(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PRESETS["tiny"].model_copy(update={"name": "mine"}).to_toml())
    arguments = ("estimate", "lenet-5", "--layer", "fc3", "--mappings", "--arch")
    outcome = tilewright(*arguments, path, "--dataflow", "machine")
    assert outcome.status == 0
    assert "fc3, machine, " in outcome.out
    assert "for channels in 1 ranges of 3 groups of columns:" in outcome.out
    both = tilewright(*arguments, "tiny", "--dataflow", "machine,free", "--json")
    assert [each["dataflow"] for each in json.loads(both.out)] == ["machine", "free"]


def test_a_generated_machine_knows_no_densities(tmp_path: Path) -> None:
    path = tmp_path / "zeros.toml"
    path.write_text('source = "made up"\n\n[layers.fc3]\nifmap = 0.5\n')
    outcome = tilewright("estimate", "lenet-5", "--arch", "tiny", "--densities", path)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == (
        "tilewright: --densities needs another dataflow than machine, got densities of fc3: a "
        "generated machine works the same whatever is zero"
    )


def test_table_mappings_and_pictures(tmp_path: Path) -> None:
    outcome = tilewright(*LENET, "--layer", "conv2", "--mappings", "--plots", tmp_path / "new")
    assert outcome.status == 0
    assert "lenet-5 on eyeriss, batch of 1; energy in millions of MAC" in outcome.out
    assert "conv2, rs, " in outcome.out
    assert "each PE in turn:" in outcome.out
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "accesses_per_mac.png",
        "energy_by_data_type.png",
        "energy_by_level.png",
        "roofline.png",
        "utilization.png",
    ]


def test_the_trade_off_of_energy_and_cycles(tmp_path: Path) -> None:
    arguments = ("estimate", "lenet-5", "--layer", "fc3")
    along = (*arguments, "--objective", "pareto")
    outcome = tilewright(*along, "--json", "--plots", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pareto.png"]
    (front,) = json.loads(outcome.out)
    points = front["points"]
    assert front["complete"]
    assert len(points) > 1
    assert all(point["optimal"] for point in points)
    for first, second in pairwise(points):
        assert second["cycles"] <= first["cycles"] * (1 - front["step"])
        assert second["energy"] > first["energy"]
    (cheapest,) = json.loads(tilewright(*arguments, "--json").out)
    (fastest,) = json.loads(tilewright(*arguments, "--json", "--objective", "latency").out)
    assert points[0]["energy"] == cheapest["energy"]
    assert fastest["cycles"] <= points[-1]["cycles"] < fastest["cycles"] / (1 - front["step"])
    table = tilewright(*along, "--mappings")
    assert f"fc3, free, {points[1]['cycles']:,} cycles:" in table.out
    assert "time ran out" not in table.out


def test_a_trade_off_that_time_cuts_short() -> None:
    """What is shown are mappings that fit; which layers may have faster ones is told."""
    arguments = ("estimate", "alexnet", "--layer", "conv3", "--objective", "pareto")
    outcome = tilewright(*arguments, "--seconds", "0", "--step", "0.14")
    assert outcome.status == 0
    assert "within" in outcome.out
    assert "time ran out, there may be faster mappings: conv3" in outcome.out


def test_an_architecture_and_a_table_of_ones_own(tmp_path: Path) -> None:
    chip = ARCHITECTURES["eyeriss"].model_dump(mode="json", exclude_none=True)
    (tmp_path / "arch.toml").write_text(tomli_w.dumps(chip | {"name": "mine"}))
    table = TABLES["eyeriss"].model_dump(mode="json") | {"name": "dear", "memory": 2000.0}
    (tmp_path / "table.toml").write_text(tomli_w.dumps(table))
    arguments = ("estimate", "lenet-5", "--layer", "conv1", "--json", "--arch")
    same = json.loads(tilewright(*arguments, tmp_path / "arch.toml").out)[0]
    built_in = json.loads(tilewright(*arguments, "eyeriss").out)[0]
    assert same | {"architecture": "eyeriss"} == built_in
    dear = tilewright(*arguments, tmp_path / "arch.toml", "--energy", tmp_path / "table.toml").out
    assert json.loads(dear)[0]["energy"] > built_in["energy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--dataflow", "xs"),
            "a dataflow must be one of free, rs, ws, osa, osb, osc, nlr, got 'xs'",
        ),
        (
            ("--layer", "conv9"),
            "--layer must be one of conv1, conv2, fc1, fc2, fc3 for lenet-5, got 'conv9'",
        ),
        (("--batch", "0"), "a batch must be at least 1, got 0"),
        (
            ("--batch", "2", "--arch", "tiny"),
            "a batch must be 1 for machine, got 2: a generated machine runs one image at a time",
        ),
        (
            ("--dataflow", "machine"),
            "a configuration must be a preset (tiny, small, small16, ecp5_85f, gemmini16) or a "
            ".toml file, got 'eyeriss'",
        ),
        (
            ("--energy", "x"),
            "an energy table must be one of accelergy65, eyeriss, horowitz45 or a .toml file, "
            "got 'x'",
        ),
        (
            ("--arch", "tiny", "--dataflow", "rs"),
            "conv1: no mapping of rs fits tiny: no tile of P and R fits the array; enlarge it or "
            "the scratchpads",
        ),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    outcome = tilewright("estimate", "lenet-5", *arguments)
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == f"tilewright: {message}"
    assert "Traceback" not in outcome.err


def test_the_help_names_every_dataflow() -> None:
    """It is written by hand: reading them would slow every command's start."""
    told = cli_reference().split("One or more of ")[1].split(";")[0]
    assert set(told.split(", ")) == set(DATAFLOWS)
