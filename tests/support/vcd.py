"""Reads waveform files (Value Change Dump, IEEE 1364 section 18), and is strict about it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """Signals by their names inside their scopes, e.g. ``top.tiny.aclk``."""

    codes: dict[str, str]
    """The code that stands for each signal in the file."""
    changes: dict[str, list[tuple[int, str]]]
    """By code: time and bits of each change."""
    end: int
    """Last time in the file."""

    def changes_of(self, name: str) -> list[tuple[int, str]]:
        """Time and bits of each change of the signal whose full name ends in ``name``."""
        (code,) = {code for full, code in self.codes.items() if full.endswith(name)}
        return self.changes[code]


def read_vcd(path: Path) -> Waveform:
    """The waveform in ``path``. Raises ``AssertionError`` for anything that is no VCD."""
    text = path.read_text("ascii")
    assert text.endswith("\n"), "the last line is incomplete"
    header, separator, body = text.partition("$enddefinitions $end\n")
    assert separator, "the definitions do not end"
    codes, widths = _definitions(header)
    changes: dict[str, list[tuple[int, str]]] = {code: [] for code in widths}
    time = -1
    for line in body.splitlines():
        if line.startswith("#"):
            assert int(line[1:]) > time, f"time runs backwards at {line}"
            time = int(line[1:])
        elif line:
            bits, code = _change(line)
            assert len(bits) == widths[code], f"{code} has {widths[code]} bits, got {line}"
            assert time >= 0, f"{line} stands before any time"
            changes[code].append((time, bits))
    return Waveform(codes=codes, changes=changes, end=time)


def _definitions(header: str) -> tuple[dict[str, str], dict[str, int]]:
    """Codes by full name, and widths by code."""
    codes: dict[str, str] = {}
    widths: dict[str, int] = {}
    scopes: list[str] = []
    assert "$timescale" in header
    for statement in header.split("$end"):
        match statement.split():
            case ["$scope", _, name]:
                scopes.append(name)
            case ["$upscope"]:
                scopes.pop()
            case ["$var", _, width, code, name, *_]:
                codes[".".join((*scopes, name))] = code
                assert widths.setdefault(code, int(width)) == int(width)
    assert not scopes, f"scopes that do not end: {scopes}"
    return codes, widths


def _change(line: str) -> tuple[str, str]:
    """Bits and code of a value change."""
    if line[0] == "b":
        bits, code = line[1:].split(" ")
    else:
        bits, code = line[0], line[1:]
    assert set(bits) <= set("01xz"), line
    return bits, code
