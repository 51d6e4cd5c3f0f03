"""The command line when all is well; bad input stands in tests/e2e/test_cli_errors.py."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from arch.config import AcceleratorConfig
from arch.presets import PRESETS
from compiler.driver import compile_file
from compiler.passes import PASSES
from tests.support.command_line import DIGITS, Outcome, run_digits, tilewright
from tests.support.qdq_graph import QdqGraph
from tests.support.vcd import read_vcd
from tilewright import evaluate
from tilewright.machines import CommandMachine, ImageRun

INT8 = DIGITS / "digits_int8.onnx"
NOTES = {
    "golden": "running the golden model\n",
    "command": "working out the timeline\n",
    "rtl": "generating and building the RTL (about a minute the first time)\n",
}
FIGURES = {
    "images": int,
    "correct": int,
    "accuracy": float,
    "mismatching_bytes": int,
    "cycles_per_image": float,
    "array_utilization": float,
    "memory_bytes": int,
    "simulated_cycles_per_second": float,
    "config": str,
    "version": str,
}


@cache
def two_images(on: str) -> Outcome:
    return run_digits("--config", "tiny", "--on", on, "--count", "2", "--json")


@pytest.mark.parametrize("on", NOTES)
def test_json_is_all_of_stdout(on: str) -> None:
    outcome = two_images(on)
    assert (outcome.status, outcome.err) == (0, NOTES[on])
    result = json.loads(outcome.out)
    timed = on != "golden"
    for name, kind in FIGURES.items():
        assert isinstance(result[name], kind) or (not timed and result[name] is None), name
    assert (result["images"], result["correct"], result["mismatching_bytes"]) == (2, 2, 0)
    assert (result["config"], result["version"]) == ("tiny", version("tilewright"))


def test_rtl_and_command_level_report_the_same() -> None:
    results = [json.loads(two_images(on).out) for on in ("command", "rtl")]
    for name in ("cycles_per_image", "array_utilization", "memory_bytes", "accuracy"):
        assert results[0][name] == results[1][name], name


def test_a_table_for_eyes() -> None:
    outcome = run_digits("--count", "3")
    assert (outcome.status, outcome.err) == (0, NOTES["command"])
    assert "digits on small (command)" in outcome.out
    assert "mismatching bytes" in outcome.out


def test_mismatching_bytes_are_exit_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(CommandMachine):
        def run(self, image: np.ndarray) -> ImageRun:
            run = super().run(image)
            next(iter(run.maps.values())).view(np.uint8).flat[0] ^= 1
            return run

    monkeypatch.setattr(evaluate, "CommandMachine", Wrong)
    outcome = run_digits("--count", "3", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["mismatching_bytes"] == 3


def test_trace_and_picture(tmp_path: Path) -> None:
    files = ("--timeline", tmp_path / "t.json", "--plot", tmp_path / "t.PNG")
    assert run_digits("--count", "1", *files).status == 0
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert (tmp_path / "t.PNG").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.PNG", "t.json"]


def test_waveform(tmp_path: Path) -> None:
    """A small layer of two images: the clock ticks as often as counted, the interrupt rises."""
    model = QdqGraph().qdq().conv().qdq().save(tmp_path)
    np.savez(tmp_path / "i.npz", images=np.ones((2, 3, 6, 5), np.float32))
    command = ("run", model, "--images", tmp_path / "i.npz", "--config", "tiny", "--on", "rtl")
    outcome = tilewright(*command, "--json", "--vcd", tmp_path / "w.vcd")
    assert outcome.status == 0, outcome.err
    wave = read_vcd(tmp_path / "w.vcd")
    cycles = json.loads(outcome.out)["cycles_per_image"]
    clock = wave.changes_of("tiny.aclk")
    assert {time % 5 for time, _ in clock} == {0}
    ticks = sum(bits == "1" for _, bits in clock)
    assert ticks > 2 * cycles
    assert wave.end == 10 * ticks - 5
    interrupts = [bits for _, bits in wave.changes_of("tiny.interrupt")]
    assert interrupts == ["0", "1", "0", "1", "0"]


def test_a_stopped_run_leaves_no_file(tmp_path: Path) -> None:
    command = ("run", INT8, "--images", DIGITS / "test.npz", "--config", "tiny", "--on", "rtl")
    process = subprocess.Popen(
        [sys.executable, "-m", "tilewright.cli", *map(str, command), "--vcd", tmp_path / "w.vcd"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    while not any(path.stat().st_size for path in tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_compile_reports_and_writes_the_image(tmp_path: Path) -> None:
    outcome = tilewright("compile", INT8, "--json", "--out", tmp_path / "image.bin")
    program = compile_file(INT8, PRESETS["small"]).program
    report = json.loads(outcome.out)
    assert (outcome.status, outcome.err) == (0, "")
    assert (tmp_path / "image.bin").read_bytes() == program.image.tobytes()
    assert report["image_bytes"] == program.image.size
    assert report["programs"] == [
        {"address": program.program_address, "commands": len(program.commands)}
    ]
    assert [layer["name"] for layer in report["layers"]] == [
        "conv1",
        "conv2",
        "conv3",
        "head",
    ]
    assert report["layers"][2]["kind"] == "Conv+MaxPool"
    assert [layer["output_in"] for layer in report["layers"]] == ["chip"] * 3 + ["memory"]
    assert set(report["maps"]) == {"conv1.input", "logits"}
    packed = report["packed_input"]
    assert (packed["input"], packed["map"], packed["kernel_rows"]) == ("images", "conv1.input", 3)
    assert [each["root"] for each in report["on_chip"]] == ["relu1_out", "relu2_out", "pool_out"]


def test_compile_without_passes() -> None:
    names = [each.name for each in PASSES]
    options = [word for name in names for word in ("--without", name)]
    report = json.loads(tilewright("compile", INT8, "--json", *options).out)
    assert [layer["kind"] for layer in report["layers"]] == ["Conv"] * 3 + ["MaxPool", "Conv"]
    assert {layer["output_in"] for layer in report["layers"]} == {"memory"}
    assert report["on_chip"] == []


@pytest.mark.parametrize("command", [("compile", INT8), ("run", "lenet-5", "--timing-only")])
def test_a_pass_that_is_none(command: tuple[str, ...]) -> None:
    outcome = tilewright(*command, "--without", "fuse-add", "--without", "fuse")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "tilewright: a pass to leave out must be one of share-maps, join-functions, "
        "skip-pixels, pack-rows, fuse-depthwise, fuse-pool, fuse-add, fuse-table, keep-on-chip, "
        "got 'fuse'\n"
    )


def test_mappings_are_searched_for() -> None:
    formula, searched = (
        json.loads(tilewright("compile", INT8, "--json", *more).out)
        for more in ((), ("--objective", "latency"))
    )
    assert {layer["mapping"] for layer in formula["layers"]} == {"formula"}
    assert {layer["mapping"] for layer in searched["layers"]} == {"optimal"}
    assert "chip" in {layer["output_in"] for layer in searched["layers"]}
    cycles = [[layer["cycles"] for layer in report["layers"]] for report in (formula, searched)]
    assert all(after <= before for before, after in zip(*cycles, strict=True))


def test_a_search_says_what_it_found() -> None:
    options = ("--timing-only", "--objective", "energy")
    outcome = tilewright("run", "lenet-5", *options)
    assert outcome.err == "placing the network and working out its timeline\n"
    assert outcome.out.endswith("mappings of least energy: 7 of 7 layers proven, each by itself\n")
    limited = tilewright("run", "lenet-5", *options, "--seconds", "0", "--json")
    assert "within" in json.loads(limited.out)["layers"][0]["mapping"]
    assert limited.err.splitlines()[-1].startswith("mappings of least energy: ")
    assert limited.err.count("stopped before") == 1


@pytest.mark.parametrize("option", [("--energy", "eyeriss"), ("--seconds", "1.0")])
@pytest.mark.parametrize("command", [("compile", INT8), ("run", "lenet-5", "--timing-only")])
def test_what_goes_with_a_search_alone(command: tuple[str, ...], option: tuple[str, str]) -> None:
    outcome = tilewright(*command, *option)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        f"tilewright: {option[0]} must go with --objective, got {option[1]} without it; say what "
        "mappings are searched for\n"
    )


def test_compile_shows_every_column_uncut() -> None:
    outcome = tilewright("compile", INT8)
    assert "…" not in outcome.out
    lines = [line.split() for line in outcome.out.splitlines()]
    layers = {line[0]: line for line in lines if line[:1] == ["conv1"]}
    assert layers["conv1"][1:4] == ["Conv", "8x8x12", "chip"]


def test_generate(tmp_path: Path) -> None:
    outcome = tilewright("generate", "--config", "tiny", "--out", tmp_path / "new/out")
    assert outcome.status == 0
    first, second = outcome.err.splitlines()
    assert first == "generating the Verilog of tiny"
    size = (
        r"estimated on an ECP5: [\d,]+00 LUTs, [\d,]+00 flip-flops, 25 multipliers, 21 block RAMs"
    )
    assert re.fullmatch(size, second)
    names = [
        "tilewright_tiny.v",
        "tiny.toml",
        "configuration.schema.json",
        "registers.md",
        "commands.md",
    ]
    assert outcome.out.split() == [str(tmp_path / "new/out" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "new/out").iterdir()) == sorted(names)
    assert AcceleratorConfig.from_file(tmp_path / "new/out/tiny.toml") == PRESETS["tiny"]
    schema = json.loads((tmp_path / "new/out/configuration.schema.json").read_text())
    assert schema["properties"].keys() == AcceleratorConfig.model_fields.keys()
    verilog = (tmp_path / "new/out/tilewright_tiny.v").read_text()
    assert verilog.count("\nmodule tilewright_tiny(") == 1


def test_a_configuration_file_is_as_good_as_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PRESETS["tiny"].to_toml().replace('"tiny"', '"mine"'))
    outcome = run_digits("--config", path, "--count", "1", "--json")
    assert json.loads(outcome.out)["config"] == "mine"


def test_version() -> None:
    outcome = tilewright("--version")
    assert (outcome.status, outcome.out) == (0, f"{version('tilewright')}\n")
