import multiprocessing
import time
from pathlib import Path

import pytest

from arch.errors import ToolError
from sim.rtl import cache
from sim.rtl.cache import cached_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def build_slowly(scratch: Path) -> Path:
    """Leaves a mark for each build, beside the cache."""
    marks = scratch.parents[2] / "marks"
    marks.mkdir(exist_ok=True)
    (marks / scratch.name).touch()
    (scratch / "made").write_text("half")
    time.sleep(0.3)
    (scratch / "made").write_text("whole")
    return scratch / "made"


def read(ingredients: object) -> str:
    return cached_file("thing", ingredients, build_slowly).read_text()


def builds(folder: Path) -> int:
    return len(list((folder / "cache" / "marks").iterdir()))


def test_a_file_is_built_once_for_its_ingredients(folder: Path) -> None:
    first = cached_file("thing", ["a", {"b": 1}], build_slowly)
    assert cached_file("thing", ["a", {"b": 1}], build_slowly) == first
    assert builds(folder) == 1
    assert cached_file("thing", ["a", {"b": 2}], build_slowly) != first
    assert builds(folder) == 2


def test_other_tools_build_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(1)
    monkeypatch.setattr(cache, "tool_versions", lambda: {"g++": "another"})
    read(1)
    assert builds(folder) == 2


def test_processes_at_once_build_once(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(read, [1] * 8, chunksize=1) == ["whole"] * 8
    assert builds(folder) == 1


def test_a_failed_build_leaves_nothing(folder: Path) -> None:
    def fail(scratch: Path) -> Path:
        (scratch / "made").write_text("half")
        raise ToolError("no")

    with pytest.raises(ToolError, match=r"^no$"):
        cached_file("thing", 1, fail)
    left = [path.suffix for path in (folder / "cache" / "tilewright" / "rtl").iterdir()]
    assert left == [".lock"]
    assert read(1) == "whole"
