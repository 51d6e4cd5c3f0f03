"""Benchmarks measure what they say; how fast this machine is, they are not tested for."""

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from arch.errors import RunError
from sim.network import Bytes
from tests.support.machines import verilog_of
from tilewright.bench import __main__ as bench
from tilewright.bench import speed, targets
from tilewright.bench.targets import Target
from tilewright.machines import CommandMachine, ImageRun

TARGET = Target(what="x", value=51.0, target=50.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of few images on the smallest machine, built before."""
    less = {"NETWORKS": ("lenet-5",), "IMAGES": 4, "RUNS": 2, "SLOW_RUNS": 1, "LARGE": "lenet-5"}
    for name, value in {"CONFIGS": ("tiny",), "RTL_TARGETS": {"tiny": 100_000}, **less}.items():
        monkeypatch.setattr(speed, name, value)
    for module in (speed, bench):
        monkeypatch.setattr(module, "to_verilog", lambda _: verilog_of("tiny"))
    monkeypatch.setattr(speed, "_empty_caches", lambda: nullcontext(lambda: None))
    drawn = {"SAMPLED": ("lenet-5",), "SAMPLES": 2, "DRAWN": "resnet-8", "BLOCK": "block2"}
    for name, value in drawn.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(targets, "targets", lambda: iter([TARGET]))
    monkeypatch.setattr(targets, "CONFIG", "tiny")
    targets.schedule.cache_clear()


@pytest.mark.usefixtures("quick")
def test_everything_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "benchmarks.md"
    result = CliRunner().invoke(bench.app, ["--json", "--out", str(out)])
    targets.schedule.cache_clear()
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    figures = {each["what"]: each for each in report["measurements"]}
    assert {name: each["unit"] for name, each in figures.items()} == {
        "compiling, tiny": "s",
        "generating Verilog, tiny": "s",
        "building the RTL from an empty cache, tiny": "s",
        "RTL simulation, tiny: images": "images/s",
        "RTL simulation, tiny: cycles": "cycles/s",
        "working out the timeline, tiny": "s",
        "command-level simulator, tiny: images": "images/s",
        "command-level simulator, tiny: cycles": "cycles/s",
        "golden model: images": "images/s",
        "command-level simulator, lenet-5 on tiny, data included": "s",
    }
    assert all(value > 0 for each in figures.values() for value in each["values"])
    assert len(figures["golden model: images"]["values"]) == 2
    assert report["environment"].keys() >= {"processor", "versions", "seed"}
    target = report["ratios"][0]
    assert target["value"] == figures["RTL simulation, tiny: cycles"]["median"] / 100_000
    assert target["met"] == (target["value"] >= 1)
    [network] = report["networks"]
    assert (network["network"], network["config"]) == ("lenet-5", "tiny")
    assert network["seconds"] > 0
    assert network["cycles"] > network["commands"] > 0
    assert report["ratios"][-1]["value"] == 30 / network["seconds"]
    assert [each["met"] for each in report["targets"]] == [True]
    samples = report["samples"]
    assert len({each["run"]["name"] for each in samples}) == 2
    for each in samples:
        assert each["agrees"]
        assert each["run"]["cycles"] == each["run"]["expected_cycles"] > 0
        assert each["run"]["compared"]["bytes"] > each["run"]["compared"]["mismatches"] == 0
    text = out.read_text()
    assert f"| lenet-5 | tiny | {network['commands']:,} | " in text
    assert "Written by `make bench`" in text
    assert all(name in text for name in figures)
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    names = ["benchmarks-roofline.png", "benchmarks-timeline.png", "benchmarks-utilization.png"]
    assert pictures == names
    assert all(f"]({name})" in text for name in names)
    assert "Speed of the tools" in result.stderr


@pytest.mark.usefixtures("quick")
def test_a_machine_that_errs_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(CommandMachine):
        def run(self, image: Bytes) -> ImageRun:
            run = super().run(image)
            next(iter(run.maps.values())).view(np.uint8).flat[0] ^= 1
            return run

    monkeypatch.setattr(speed, "CommandMachine", Wrong)
    with pytest.raises(RunError) as raised:
        speed.measure_speeds()
    assert str(raised.value) == (
        "command-level simulator, tiny: every byte must be golden, got 4 others; run make test"
    )
    with pytest.raises(RunError) as raised:
        list(speed._measure_large())
    assert str(raised.value) == (
        "command-level simulator, lenet-5 on tiny, data included: every byte must be golden, "
        "got 1 others; run make test"
    )


def test_each_build_starts_from_an_empty_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with speed._empty_caches() as renew:
        folders = []
        for _ in range(2):
            renew()
            folders.append(Path(os.environ["XDG_CACHE_HOME"]))
            assert list(folders[-1].iterdir()) == []
        assert folders[0] != folders[1]
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path)
    assert not any(folder.exists() for folder in folders)
