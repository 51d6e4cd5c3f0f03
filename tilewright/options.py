"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from arch.presets import PRESETS
from compiler.passes import PASSES
from sim.analytical.objective import Objective

Model = Annotated[
    Path, typer.Argument(help="ONNX file, quantised or with --calibrate float.", metavar="MODEL")
]
Config = Annotated[
    str, typer.Option("--config", "-c", help=f"Preset ({', '.join(PRESETS)}) or TOML file.")
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        help="Quantise a float model first: .npz with `images` of its training, some hundred.",
        metavar="IMAGES",
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        "--shape",
        help="Fix dimensions of the input that the file leaves open.",
        metavar="NAME=1,3,224,224",
    ),
]
SearchFor = Annotated[
    Objective | None,
    typer.Option(
        "--objective",
        help="Search every layer's mappings for the one of least energy, latency, or edp (their "
        "product), as if it ran by itself; else a formula chooses, in a thousandth of the time.",
    ),
]
SearchEnergy = Annotated[
    str | None,
    typer.Option(
        "--energy", help="With --objective: another energy table, a built-in one or a TOML file."
    ),
]
SearchSeconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        min=0,
        help="With --objective: stop each layer's search then, or at the first mapping.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        help=f"Leave out a pass of the compiler ({', '.join(each.name for each in PASSES)}); "
        "may be given several times.",
        metavar="PASS",
    ),
]
