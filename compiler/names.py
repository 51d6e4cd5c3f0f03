"""Names from an untrusted file: safe for files, Verilog and reports, printable for errors."""

import re

_LONGEST = 60


def printable(raw: str) -> str:
    """``raw`` on one line, without control characters, at most 60 characters."""
    if len(raw) <= _LONGEST and raw.isprintable():
        return raw
    text = "".join(char if char.isprintable() else "?" for char in raw[: _LONGEST + 1])
    return text if len(raw) <= _LONGEST else text[: _LONGEST - 3] + "..."


def node_label(operator: str, name: str, outputs: tuple[str, ...]) -> str:
    """How errors call a node: by its name, or by its first output where it has none."""
    if name or not outputs:
        return f"node '{printable(name)}' ({printable(operator)})"
    return f"node of output '{printable(outputs[0])}' ({printable(operator)})"


class SafeNames:
    """Gives raw names distinct safe ones: letters, digits, ``_`` and ``.``, at most 60 long."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        # The count that each base was given last: to begin at 1 again would take n^2 steps.
        self._counts: dict[str, int] = {}

    def make(self, raw: str) -> str:
        """A name close to ``raw`` that was not given before, upper and lower case alike."""
        base = re.sub(r"[^A-Za-z0-9_.]+", "_", raw[: 4 * _LONGEST]).strip("_.")[:_LONGEST]
        if not base[:1].isalpha():
            base = f"n{base}"[:_LONGEST]
        name, count = base, self._counts.get(base.lower(), 1)
        while name.lower() in self._taken:
            count += 1
            # The count may eat into the base, never into the length.
            name = f"{base[: _LONGEST - len(str(count)) - 1]}_{count}"
        self._counts[base.lower()] = count
        self._taken.add(name.lower())
        return name
