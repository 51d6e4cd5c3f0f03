"""Whole networks on the RTL: what is compared, and that a difference is told."""

import json
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arch.counters import COUNTER_NAMES
from compiler.program import Program
from sim.golden.run import run_network
from sim.network import Bytes
from sim.rtl.machine import RtlMachine
from tests.support.machines import CONFIGS, verilog_of
from tilewright.bench import rtl
from tilewright.bench.rtl_layers import Golden, memory_bytes, run_layers, run_whole
from tilewright.bench.sampled import run_samples
from tilewright.bench.seeded import compiled

CONFIG = "small"
# Maps in memory, on chip, and in both; parts of concatenations and fused layers among them.
NETWORKS = ["resnet-8", "squeezenet-64x64"]


@cache
def case(name: str) -> tuple[Program, Bytes, Golden]:
    program, image = compiled(name, CONFIG, 0)
    return program, image, run_network(program.network, image)


def machine(program: Program) -> RtlMachine:
    return RtlMachine(verilog_of(CONFIG), CONFIGS[CONFIG], memory_bytes=memory_bytes(program))


def ignore(cycles: int) -> None:
    assert cycles >= 0


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_and_layer_by_layer(name: str) -> None:
    program, image, golden = case(name)
    outputs = [placed.layer.output for placed in program.layers]
    with machine(program) as rtl_machine:
        whole = run_whole(rtl_machine, program, image, golden, ignore)
        layers = run_layers(rtl_machine, program, image, golden, ignore)
    assert whole.agrees
    assert whole.ends == whole.expected_ends != {}
    in_memory = [spec for spec in outputs if spec.name in program.maps]
    assert whole.compared.bytes == sum(spec.shape.elements for spec in in_memory)
    assert [layer.name for layer in layers] == [placed.layer.name for placed in program.layers]
    assert all(layer.agrees for layer in layers)
    places = {"memory", "chip", "memory and chip"}
    assert {layer.place for layer in layers} <= places
    assert "chip" in {layer.place for layer in layers}
    for layer, spec in zip(layers, outputs, strict=True):
        copies = len(layer.place.split(" and "))
        assert layer.compared.bytes == copies * spec.shape.elements
        assert layer.cycles == layer.expected_cycles


def test_a_wrong_byte_is_told_wherever_it_is() -> None:
    program, image, golden = case("resnet-8")
    with machine(program) as rtl_machine:
        right = run_layers(rtl_machine, program, image, golden, ignore)
        # A layer of each place.
        for place, index in {each.place: index for index, each in enumerate(right)}.items():
            placed = program.layers[index]
            name = placed.layer.output.name
            wrong = golden[name].copy()
            wrong.flat[-1] ^= 1
            layers = run_layers(rtl_machine, program, image, {**golden, name: wrong}, ignore)
            told = {each.name: each.compared.mismatches for each in layers if not each.agrees}
            assert told == {placed.layer.name: len(place.split(" and "))}


def test_a_slower_memory_is_told_and_changes_no_byte() -> None:
    program, image, golden = case("resnet-8")
    with machine(program) as rtl_machine:
        rtl_machine.exact_timing(latency=CONFIGS[CONFIG].memory_latency + 1)
        whole = run_whole(rtl_machine, program, image, golden, ignore)
        layers = run_layers(rtl_machine, program, image, golden, ignore)
    assert not whole.agrees
    assert "cycles" in whole.wrong_counters
    assert whole.ends != whole.expected_ends
    assert whole.compared.mismatches == 0
    assert all("cycles" in each.wrong_counters for each in layers)
    assert not any(each.compared.mismatches for each in layers)


def test_samples_are_the_seeds() -> None:
    def names(seed: int) -> list[str]:
        found = run_samples(["resnet-8"], 4, seed=seed, config=CONFIG, verilog=verilog_of(CONFIG))
        samples = list(found)
        assert all(each.run.agrees for each in samples)
        return [each.run.name for each in samples]

    assert names(1) == names(1)
    assert len(set(names(1))) == 4


def test_the_command_writes_a_table_and_every_layer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rtl, "CONFIG", CONFIG)
    monkeypatch.setattr(rtl, "NETWORKS", ("resnet-8",))
    monkeypatch.setattr(rtl, "to_verilog", lambda _: verilog_of(CONFIG))
    out = tmp_path / "rtl.md"
    result = CliRunner().invoke(rtl.app, ["--out", str(out)])
    assert result.exit_code == 0, result.output
    [network] = json.loads((tmp_path / "rtl.json").read_text())["networks"]
    assert network["agrees"]
    assert network["whole"]["cycles"] > 0
    text = out.read_text()
    counters = len(COUNTER_NAMES) * (1 + len(network["layers"]))
    assert f"| {counters} | 0 |" in text
    assert all(f"| {layer['name']} | " in text for layer in network["layers"])


def test_a_difference_ends_in_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rtl, "CONFIG", CONFIG)
    monkeypatch.setattr(rtl, "NETWORKS", ("resnet-8",))
    monkeypatch.setattr(rtl, "to_verilog", lambda _: verilog_of(CONFIG))

    def slower(verilog: str, size: int) -> RtlMachine:
        made = RtlMachine(verilog, CONFIGS[CONFIG], memory_bytes=size)
        made.exact_timing(latency=CONFIGS[CONFIG].memory_latency + 1)
        return made

    monkeypatch.setattr(rtl, "_machine", slower)
    out = tmp_path / "rtl.md"
    result = CliRunner().invoke(rtl.app, ["--out", str(out)])
    assert result.exit_code == 1
    assert "NOT MET" in out.read_text()
