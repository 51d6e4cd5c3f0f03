"""Files that appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from arch.errors import InputError, RunError
from tilewright.files import shown, whole_file, write_together


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_writing(path: Path, error: BaseException) -> None:
    with whole_file(path, "--out") as part:
        part.write_text("so far")
        raise error


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    with whole_file(target, "--out") as part:
        part.write_text("after")
        assert target.read_text() == "before"
    assert target.read_text() == "after"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [InputError, ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        fail_writing(tmp_path / "a.txt", error("half-way"))
    assert names(tmp_path) == []


def test_a_failed_run_keeps_its_waveform(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="it hung"):
        fail_writing(tmp_path / "a.vcd", RunError("it hung"))
    assert (tmp_path / "a.vcd").read_text() == "so far"
    assert names(tmp_path) == ["a.vcd"]


def test_a_new_file_may_be_read_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with whole_file(tmp_path / "a.txt", "--out"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "a.txt")]
    assert modes[0] == modes[1]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/a.txt")
    with whole_file(tmp_path / "link", "--out") as part:
        part.write_text("text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "text"


def test_a_protected_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch(mode=0o444)
    # root may write everywhere, so what the system says is put in its mouth
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError) as raised, whole_file(tmp_path / "a.txt", "--out"):
        pass
    assert str(raised.value) == (
        f"--out must be a file that can be written, got '{tmp_path}/a.txt': it is write-protected; "
        "choose another"
    )
    assert names(tmp_path) == ["a.txt"]


def test_together_or_not_at_all(tmp_path: Path) -> None:
    def fails() -> str:
        raise ValueError("no text")

    with pytest.raises(ValueError, match="no text"):
        write_together(tmp_path / "out", {"a": lambda: "1", "b": fails}, "--out")
    assert names(tmp_path / "out") == []
    paths = write_together(tmp_path / "out", {"a": lambda: "1", "b": lambda: "2"}, "--out")
    assert [path.read_text() for path in paths] == ["1", "2"]
    assert names(tmp_path / "out") == ["a", "b"]


def test_no_text_is_made_for_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def make() -> str:
        raise AssertionError

    with pytest.raises(InputError, match=r"^--out must be a folder that can be written, got "):
        write_together(tmp_path / "file", {"a": make}, "--out")


def test_paths_are_shown_on_one_line() -> None:
    assert shown(Path("a\nb\x1b[31m\udcff")) == "'a?b?[31m?'"
