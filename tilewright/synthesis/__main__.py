"""``python -m tilewright.synthesis`` writes docs/synthesis.md and the resource model's data."""

from dataclasses import dataclass
from pathlib import Path

import typer

from arch.presets import PRESETS
from sim.resources import DATA
from tilewright.entry import run_app
from tilewright.files import whole_file
from tilewright.synthesis.page import Clock, Findings, Row, page
from tilewright.synthesis.samples import csv_text, planned, sample
from tilewright.synthesis.targets import ECP5, ICE40, ICE40_MACHINE, OTHERS
from tilewright.synthesis.tools import place, synthesise, synthesise_pe, tool_version

PAGE = Path(__file__).resolve().parents[2] / "docs" / "synthesis.md"


@dataclass(frozen=True, kw_only=True)
class Build:
    """A machine that is placed and routed."""

    name: str
    """Of the preset."""
    goal: int
    """MHz asked for. More than the least that will do: nextpnr takes pains for paths that miss."""
    least: float
    """MHz to reach."""
    seeds: tuple[int, ...]
    """Of nextpnr."""
    floor_plan: bool
    """With the floor plan of the ECP5-85F."""


BUILDS = (
    Build(name="small", goal=100, least=80.0, seeds=(1, 2, 3), floor_plan=False),
    Build(name="ecp5_85f", goal=90, least=70.0, seeds=(1, 2), floor_plan=True),
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def synthesis() -> None:
    """Synthesise, place and route, and write what was found."""
    clocks = [
        Clock(
            least=build.least,
            floor_plan=build.floor_plan,
            seeds=[
                place(PRESETS[build.name], goal=build.goal, seed=seed, floor_plan=build.floor_plan)
                for seed in build.seeds
            ],
        )
        for build in BUILDS
    ]
    machines = [(PRESETS[build.name], ECP5) for build in BUILDS]
    machines += [(PRESETS["small"], target) for target in OTHERS] + [(ICE40_MACHINE, ICE40)]
    rows = [
        Row(
            config=config,
            target=target,
            machine=synthesise(config, target),
            pe=synthesise_pe(config, target),
        )
        for config, target in machines
    ]
    samples = [sample(config, held_out=held_out) for config, held_out in planned()]
    # The page shows what the model makes of these data.
    with whole_file(DATA, "resources.csv") as part:
        part.write_text(csv_text(samples), "utf-8")
    found = Findings(
        versions={
            name: tool_version(f"yowasp-{package}")
            for name, package in (("Yosys", "yosys"), ("nextpnr", "nextpnr-ecp5"))
        },
        clocks=clocks,
        rows=rows,
        samples=samples,
    )
    with whole_file(PAGE, "synthesis.md") as part:
        part.write_text(page(found), "utf-8")
    typer.echo(f"wrote {DATA} and {PAGE}")


if __name__ == "__main__":
    run_app(app, "make synth")
