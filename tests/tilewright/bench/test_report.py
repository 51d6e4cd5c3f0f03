"""Reports of benchmarks."""

from rich.console import Console

from tilewright.bench.networks import network_ratios
from tilewright.bench.report import (
    Measurement,
    NetworkTime,
    Ratio,
    Report,
    report_markdown,
    report_tables,
)
from tilewright.bench.rtl_layers import Compared, LayerRun
from tilewright.bench.sampled import Sample
from tilewright.bench.targets import Target

REPORT = Report(
    environment={"processor": "abacus, 2 cores", "seed": "1"},
    targets=(
        Target(what="beads used", value=97.25, target=94, marks="51 % (a slide rule)"),
        Target(what="counting", value=1.25, target=1, unit="s", at_most=True),
    ),
    pictures={"Beads": "beads.png"},
    samples=(
        Sample(
            network="g",
            run=LayerRun(
                name="conv1",
                kind="Conv",
                place="memory",
                compared=Compared(bytes=1024, mismatches=0),
                cycles=2048,
                expected_cycles=2048,
                wrong_counters=(),
            ),
        ),
    ),
    measurements=(
        Measurement(what="counting", unit="beads/s", values=(1300.0, 1200.5, 1250.0)),
        Measurement(what="building", unit="s", values=(0.0451, 0.0349)),
    ),
    ratios=(
        Ratio(what="a to b", value=2.748),
        Ratio(what="c to d", value=2.0, target=1.0),
        Ratio(what="e to f", value=0.5, target=1.0),
    ),
    networks=(
        NetworkTime(network="g", config="h", commands=1234, cycles=56789, seconds=0.1234),
        NetworkTime(network="resnet-50", config="gemmini16", commands=1, cycles=2, seconds=10.0),
    ),
)


def test_markdown() -> None:
    lines = [line for line in report_markdown(REPORT, "make bench").splitlines() if line]
    tables = [line for line in lines[2:] if line[0] in "|#!"]
    assert tables == [
        "| where |  |",
        "|---|---|",
        "| processor | abacus, 2 cores |",
        "| seed | 1 |",
        "## Targets",
        "| what | published for the same work | reached | target |  |",
        "|---|---|---:|---:|---:|",
        "| beads used | 51 % (a slide rule) | 97.25 % | at least 94 % | met |",
        "| counting |  | 1.25 s | at most 1 s | NOT MET |",
        "![Beads](beads.png)",
        "## Command level = RTL, on sampled layers",
        "| network | layer | kind | cycles, RTL | command level | differing counters "
        "| bytes compared | mismatches |",
        "|---|---|---|---:|---:|---:|---:|---:|",
        "| g | conv1 | Conv | 2,048 | 2,048 | 0 | 1,024 | 0 |",
        "## Speed of the tools",
        "| what | median | lowest | highest | runs | unit |",
        "|---|---:|---:|---:|---:|---:|",
        "| counting | 1,250 | 1,200 | 1,300 | 3 | beads/s |",
        "| building | 0.04 | 0.0349 | 0.0451 | 2 | s |",
        "## How they compare",
        "| ratio of medians |  | target |",
        "|---|---:|---:|",
        "| a to b | 2.75 |  |",
        "| c to d | 2 | at least 1: met |",
        "| e to f | 0.5 | at least 1: NOT MET |",
        "## Timing whole networks",
        "| network | machine | commands | cycles | CPU seconds |",
        "|---|---|---:|---:|---:|",
        "| g | h | 1,234 | 56,789 | 0.123 |",
        "| resnet-50 | gemmini16 | 1 | 2 | 10 |",
    ]


def test_networks_have_their_targets() -> None:
    of_resnet, of_slowest = network_ratios(REPORT.networks)
    assert (of_resnet.value, of_resnet.met) == (0.5, False)
    assert of_slowest.what == "30 s to the time of the slowest, resnet-50 on gemmini16"
    assert (of_slowest.value, of_slowest.met) == (3.0, True)


def test_tables_hold_the_same() -> None:
    console = Console(width=200)
    with console.capture() as captured:
        for table in report_tables(REPORT):
            console.print(table)
    text = captured.get()
    for part in ("abacus", "counting", "1,250", "beads/s", "0.0349", "2.75", "NOT MET", "56,789"):
        assert part in text
    for part in ("slide rule", "97.25 %", "conv1", "2,048"):
        assert part in text


def test_json() -> None:
    data = REPORT.as_dict()
    assert data["measurements"] == [
        {"what": "counting", "unit": "beads/s", "values": (1300.0, 1200.5, 1250.0), "median": 1250},
        {"what": "building", "unit": "s", "values": (0.0451, 0.0349), "median": 0.04},
    ]
    assert data["ratios"] == [
        {"what": "a to b", "value": 2.748, "target": None, "met": True},
        {"what": "c to d", "value": 2.0, "target": 1.0, "met": True},
        {"what": "e to f", "value": 0.5, "target": 1.0, "met": False},
    ]
