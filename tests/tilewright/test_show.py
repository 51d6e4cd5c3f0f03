"""Tables."""

import pytest
from rich.table import Table

from tilewright.show import print_table


@pytest.mark.parametrize("on_stderr", [False, True])
def test_tables_are_never_cropped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, on_stderr: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = Table(*"abcdef")
    table.add_row(*(str(10**8 + index) for index in range(6)))
    print_table(table, on_stderr=on_stderr)
    shown = capsys.readouterr()
    text, other = (shown.err, shown.out) if on_stderr else (shown.out, shown.err)
    assert other == ""
    assert any(all(str(10**8 + index) in line for index in range(6)) for line in text.splitlines())
