"""The page of what synthesis found."""

from dataclasses import replace

from arch.presets import PRESETS
from sim.resources import Resources, Sample, estimate_resources, read_samples
from tilewright.synthesis.__main__ import PAGE
from tilewright.synthesis.page import Clock, Findings, Row, errors_of, model_section, page
from tilewright.synthesis.targets import (
    BLOCK_RAMS,
    ECP5,
    FLIP_FLOPS,
    ICE40,
    ICE40_MACHINE,
    LUTS,
    MULTIPLIERS,
    Counts,
)
from tilewright.synthesis.tools import Placement

SMALL = PRESETS["small"]
PLACED = Placement(
    config=SMALL,
    goal=100,
    seed=3,
    mhz=79.96,
    used={"TRELLIS_COMB": 22741, "TRELLIS_FF": 14958, "MULT18X18D": 82, "DP16KD": 60},
    path=("core.queue.consume_TRELLIS_FF_Q_1", "core.execute.walker.left$11_TRELLIS_FF_Q_5"),
)


def counts(luts: int, flip_flops: int, multipliers: int, block_rams: float) -> Counts:
    return {
        LUTS: luts,
        FLIP_FLOPS: flip_flops,
        MULTIPLIERS: multipliers,
        BLOCK_RAMS: block_rams,
    }


def findings() -> Findings:
    pe = counts(30, 50, 1, 0)
    return Findings(
        versions={"Yosys": "0.70", "nextpnr": "0.11"},
        clocks=[
            Clock(
                least=80.0,
                floor_plan=True,
                seeds=[PLACED, replace(PLACED, seed=4, mhz=80.0, path=("a", "b"))],
            )
        ],
        rows=[
            Row(config=SMALL, target=ECP5, machine=counts(20000, 15000, 82, 60.5), pe=pe),
            Row(config=ICE40_MACHINE, target=ICE40, machine=counts(5281, 9, 17, 20), pe=pe),
        ],
        samples=read_samples(),
    )


def test_clock_rates_and_verdicts() -> None:
    text = page(findings())
    ends = "`queue.consume` to `execute.walker.left`"
    for line in (
        "| `small` | 8 x 8 | 22,741 | 14,958 | 82 | 60 | yes | 3: 79.96, 4: 80.00 | 80: 1 of 2 do "
        f"| {ends} |",
        "| Lattice ECP5 | `synth_ecp5` | `small` | 8 x 8 | 20,000 | 15,000 | 82 | 60.5 "
        "| 1 | 30 | 9 |",
    ):
        assert line in text.splitlines()
    assert all(f"--freq 100 --seed {seed} " in text for seed in (3, 4))
    assert "(2 x 4 PEs, the smallest buffers that make sense) does **not** fit: 5,281 LUTs" in text


def test_a_machine_that_fits() -> None:
    found = findings()
    row = replace(found.rows[1], machine=counts(5280, 9, 8, 30))
    text = page(replace(found, rows=[row]))
    assert "(2 x 4 PEs, the smallest buffers that make sense) fits: 5,280 LUTs" in text


def test_errors_are_relative_to_yosys() -> None:
    model = estimate_resources(SMALL)
    found = Resources(
        luts=model.luts * 2,
        flip_flops=model.flip_flops,
        multipliers=model.multipliers,
        block_rams=0,
    )
    sample = Sample(config=SMALL, held_out=True, yosys="0", counts=found)
    assert errors_of(sample) == (-0.5, 0.0, 0.0, 1.0)


def test_the_page_shows_the_committed_data() -> None:
    """Else: `make synth`."""
    assert "\n".join(model_section(read_samples())) in PAGE.read_text("utf-8")
