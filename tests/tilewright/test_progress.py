"""Progress on stderr."""

import pytest

from tilewright.evaluate import ImageResult
from tilewright.progress import follow, working


def result(*, correct: bool | None, wrong: int = 0) -> ImageResult:
    return ImageResult(
        correct=correct, compared_bytes=10, mismatching_bytes=wrong, parts=(), seconds=0.1
    )


RESULTS = [result(correct=True), result(correct=False, wrong=3), result(correct=True, wrong=1)]


def test_progress_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with working("warming up"):
        pass
    assert follow(iter(RESULTS), 3, "running") == RESULTS
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("warming up", "running", "3/3", "2 correct, 4 mismatching bytes"):
        assert part in shown.err


def test_without_labels_nothing_is_said_of_correctness(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    follow([result(correct=None, wrong=2)], 1, "running")
    shown = capsys.readouterr().err
    assert "2 mismatching bytes" in shown
    assert "correct" not in shown


def test_progress_elsewhere_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with working("warming [up]"):
        pass
    follow(RESULTS, 3, "running")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "warming [up]\n")
