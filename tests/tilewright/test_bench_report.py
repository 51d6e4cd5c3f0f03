"""Reports of benchmarks."""

from rich.console import Console

from tilewright.bench_report import Measurement, Ratio, Report, report_markdown, report_tables

REPORT = Report(
    environment={"processor": "abacus, 2 cores", "seed": "1"},
    measurements=(
        Measurement(what="counting", unit="beads/s", values=(1300.0, 1200.5, 1250.0)),
        Measurement(what="building", unit="s", values=(0.0451, 0.0349)),
    ),
    ratios=(
        Ratio(what="a to b", value=2.748),
        Ratio(what="c to d", value=2.0, target=1.0),
        Ratio(what="e to f", value=0.5, target=1.0),
    ),
)


def test_markdown() -> None:
    assert report_markdown(REPORT, "make bench").splitlines()[4:] == [
        "| where | |",
        "|---|---|",
        "| processor | abacus, 2 cores |",
        "| seed | 1 |",
        "",
        "| what | median | lowest | highest | runs | unit |",
        "|---|---:|---:|---:|---:|---|",
        "| counting | 1,250 | 1,200 | 1,300 | 3 | beads/s |",
        "| building | 0.04 | 0.0349 | 0.0451 | 2 | s |",
        "",
        "| ratio of medians | | target |",
        "|---|---:|---|",
        "| a to b | 2.75 |  |",
        "| c to d | 2 | at least 1: met |",
        "| e to f | 0.5 | at least 1: NOT MET |",
    ]


def test_tables_hold_the_same() -> None:
    console = Console(width=200)
    with console.capture() as captured:
        for table in report_tables(REPORT):
            console.print(table)
    text = captured.get()
    for part in ("abacus", "counting", "1,250", "beads/s", "0.0349", "2.75", "NOT MET"):
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
