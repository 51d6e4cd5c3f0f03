"""The generated Verilog: one text, the same from every run, complete in itself, and lint clean but
for what is explained here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sim.toolchain import verilator_environment
from tests.support.machines import CONFIGS, verilog_of

ROOT = Path(__file__).resolve().parents[2]

NAMES = ("tiny", "uneven", "small", "small16", "uneven16")

EXPLAINED = {
    "DECLFILENAME": ("does not match MODULE name", "one file holds all modules, on purpose"),
    "UNUSEDSIGNAL": (
        "(is|are) not used: ",
        "Yosys names every intermediate value, and the bits of one that nobody takes; "
        "AxPROT says nothing to the registers",
    ),
    "PROCASSINIT": (
        "to declaration with initial value",
        "Yosys gives every variable of a combinational process a first value, and then drives it",
    ),
    "CASEINCOMPLETE": (
        "incompletely covered",
        "Yosys assigns the defaults before a case, instead of in it",
    ),
    "WIDTHEXPAND": (
        "^Operator ",
        "Amaranth extends operands as Verilog does: no bit is lost",
    ),
    "WIDTHTRUNC": (
        "^Logical operator LOGNOT |^Operator ASSIGNW .* RHS's SHIFTR ",
        "`!` asks whether a whole vector is 0; the bits that a shift moves out are not wanted",
    ),
    "CMPCONST": ("is constant", "a comparison that holds for the first or last lane only"),
    "UNSIGNED": ("is constant", "the same"),
    "SYMRSVDWORD": ("'interrupt'", "a word of C++ makes a good name for the pin"),
}
"""By kind of Verilator's warnings: which messages of it are expected, and why they are no worry."""

WARNING = re.compile(r"^%(?:Warning|Error)(?:-(\w+))?: (?:\S+:\d+:\d+: )?(.*)$", re.MULTILINE)

GENERATE = """
import sys
from tests.support.machines import verilog_of
sys.stdout.write(verilog_of(sys.argv[1]))
"""


def lint(verilog: str, top: str, folder: Path) -> list[tuple[str, str]]:
    """(kind, message) of each of Verilator's warnings and errors."""
    (folder / "machine.v").write_text(verilog)
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--top-module", top, "machine.v"],
        cwd=folder,
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [(kind, text) for kind, text in WARNING.findall(done.stdout + done.stderr)]
    return [(kind, text) for kind, text in found if not text.startswith("Exiting due to")]


def unexplained(found: list[tuple[str, str]]) -> list[str]:
    """What is in no entry of EXPLAINED."""
    return [
        f"{kind}: {text}"
        for kind, text in found
        if kind not in EXPLAINED or not re.search(EXPLAINED[kind][0], text)
    ]


@pytest.mark.parametrize("name", ["tiny", "uneven"])
def test_the_same_bytes_from_every_run(name: str, tmp_path: Path) -> None:
    texts = set()
    for seed in ("0", "4242"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", GENERATE, name],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        texts.add(done.stdout)
    assert texts == {verilog_of(name).encode()}


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_no_other_file(name: str) -> None:
    text = verilog_of(name)
    assert "`" not in text, "a directive: defines, includes, conditions"
    assert not re.findall(r"\$(?:read|f)\w+", text), "a file that is read"
    # Slashes only delimit comments; there is no division in the machine.
    assert "/" not in re.sub(r"/\*|\*/", "", text), "a path"
    assert not re.findall(r"\(\* *src\b|\.py\b", text), "a trace of the generator's sources"


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_named_as_the_configuration(name: str) -> None:
    """So that two machines can stand in one design. A backslash is no part of a name: it lets a
    name have a dot."""
    modules = re.findall(r"^module \\?([^\s(]+)", verilog_of(name), re.MULTILINE)
    assert modules[0] == f"tilewright_{name}", "as it is, without a backslash"
    assert len(modules) == len(set(modules))
    assert all(module.startswith(f"{modules[0]}.") for module in modules[1:])


@pytest.mark.parametrize("name", NAMES)
def test_no_name_reads_as_a_bit_of_another(name: str) -> None:
    """`\\sums[2] ` beside `sums`: Yosys's ABC9 confuses the two."""
    assert not re.findall(r"\\\S*\[\S* ", verilog_of(name))


def test_ports_are_named_as_vendor_tools_infer_them() -> None:
    ports = re.search(r"^module tilewright_tiny\(([^)]*)\);", verilog_of("tiny"), re.MULTILINE)
    assert ports
    names = {port.strip() for port in ports[1].split(",")}
    own = {"aclk", "aresetn", "interrupt"}
    assert own < names
    assert all(re.fullmatch(r"[ms]_axi_(aw|w|b|ar|r)[a-z]+", port) for port in names - own)


@pytest.mark.parametrize("name", NAMES)
def test_lint_finds_only_what_is_explained(name: str, tmp_path: Path) -> None:
    found = lint(verilog_of(name), CONFIGS[name].module_name, tmp_path)
    odd = unexplained(found)
    assert not odd, "\n".join(sorted(set(odd))[:20])
    assert {kind for kind, _ in found} == set(EXPLAINED), "an explanation of nothing"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("always @* if (d) q = d;", "LATCH"),
        ("assign q = q & d;", "UNOPTFLAT"),
        ("always @(posedge c) q <= d; always @(negedge c) q <= d;", "MULTIDRIVEN"),
        ("other o(.q(q));", "MODMISSING"),
        ("wire [1:0] w = {d, c}; assign q = w;", "WIDTHTRUNC"),
        ("wire w; assign q = w;", "UNDRIVEN"),
    ],
)
def test_lint_finds(body: str, kind: str, tmp_path: Path) -> None:
    output = "reg" if "always" in body else "wire"
    text = f"module top(input c, input d, output {output} q); {body} endmodule\n"
    odd = unexplained(lint(text, "top", tmp_path))
    assert kind in [each.split(":")[0] for each in odd]
