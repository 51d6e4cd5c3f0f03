"""What benchmarks found, for eyes and for files."""

import os
import platform
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from sim.toolchain import tool_versions
from tilewright.bench.sampled import Sample
from tilewright.bench.targets import Target

_PACKAGES = ("tilewright", "amaranth", "numpy", "verilator")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure, measured several times."""

    what: str
    unit: str
    values: tuple[float, ...]
    """In the order of the runs."""

    @property
    def median(self) -> float:
        """Of all runs."""
        return statistics.median(self.values)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How two medians compare; ``target`` is the least that it should be."""

    what: str
    value: float
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target, if there is one, is reached."""
        return self.target is None or self.value >= self.target


@dataclass(frozen=True, kw_only=True)
class NetworkTime:
    """What timing one built-in network took."""

    network: str
    config: str
    commands: int
    cycles: int
    seconds: float
    """CPU time of the whole command, start-up included."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures, and where they are from; ``pictures`` are file names beside it by caption."""

    environment: dict[str, str]
    targets: tuple[Target, ...]
    pictures: dict[str, str]
    samples: tuple[Sample, ...]
    measurements: tuple[Measurement, ...]
    ratios: tuple[Ratio, ...]
    networks: tuple[NetworkTime, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "environment": self.environment,
            "targets": [{**asdict(each), "met": each.met} for each in self.targets],
            "samples": [{**asdict(each), "agrees": each.run.agrees} for each in self.samples],
            "measurements": [{**asdict(each), "median": each.median} for each in self.measurements],
            "ratios": [{**asdict(each), "met": each.met} for each in self.ratios],
            "networks": [asdict(each) for each in self.networks],
        }


def environment(seed: int) -> dict[str, str]:
    """What the figures depend on besides the sources."""
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": f"{_processor()}, {cores} core{'s' if cores > 1 else ''}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "compiler": tool_versions()["g++"],
        "load before": f"{os.getloadavg()[0]:.1f} processes",
        "seed": str(seed),
    }


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table for eyes and for Markdown; the first ``texts`` columns hold text, others numbers."""

    title: str
    note: str = ""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1

    def table(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, column in enumerate(self.head):
            table.add_column(column, justify="left" if number < self.texts else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> Iterator[str]:
        """Its lines, without the title."""
        if self.note:
            yield self.note
            yield ""
        kinds = ("---" if number < self.texts else "---:" for number in range(len(self.head)))
        yield f"| {' | '.join(self.head)} |"
        yield f"|{'|'.join(kinds)}|"
        yield from (f"| {' | '.join(row)} |" for row in self.rows)


def environment_grid(where: dict[str, str]) -> Grid:
    """Where figures are from."""
    return Grid(title="Where", head=("where", ""), rows=tuple(where.items()), texts=2)


def report_tables(report: Report) -> list[Table]:
    """All but the pictures."""
    return [grid.table() for grid in _grids(report)]


def report_markdown(report: Report, command: str) -> str:
    """The same as Markdown, with the pictures; ``command`` is what made it."""
    return "\n".join(_lines(report, command)) + "\n"


def _lines(report: Report, command: str) -> Iterator[str]:
    where, targets, *others = _grids(report)
    yield "# Benchmarks"
    yield ""
    yield (
        f"Written by `{command}`. Durations are wall-clock times, speeds are per second of CPU "
        "time. Whole networks on the RTL: [benchmarks-rtl.md](benchmarks-rtl.md)."
    )
    yield ""
    yield from where.markdown()
    yield from _section(targets)
    for caption, name in report.pictures.items():
        yield ""
        yield f"![{caption}]({name})"
    for grid in others:
        yield from _section(grid)


def _section(grid: Grid) -> Iterator[str]:
    yield from ("", f"## {grid.title}", "")
    yield from grid.markdown()


def _grids(report: Report) -> list[Grid]:
    return [
        environment_grid(report.environment),
        _target_grid(report.targets),
        _sample_grid(report),
        _measurement_grid(report.measurements),
        Grid(
            title="How they compare",
            head=("ratio of medians", "", "target"),
            rows=tuple((each.what, _number(each.value), _of_ratio(each)) for each in report.ratios),
        ),
        _network_grid(report.networks),
    ]


def _target_grid(targets: Iterable[Target]) -> Grid:
    return Grid(
        title="Targets",
        note="On `gemmini16`: 16x16 PEs, one image, everything included. Cycles are those of "
        "`tilewright run NETWORK --timing-only --config gemmini16`, where each layer has its own "
        "bounds ([what they are](architecture.md#the-timing-report)).",
        head=("what", "published for the same work", "reached", "target", ""),
        texts=2,
        rows=tuple(
            (
                each.what,
                each.marks,
                f"{each.value:.4g} {each.unit}".strip(),
                f"at {'most' if each.at_most else 'least'} {each.target:g} {each.unit}".strip(),
                verdict(each.met),
            )
            for each in targets
        ),
    )


def _sample_grid(report: Report) -> Grid:
    return Grid(
        title="Command level = RTL, on sampled layers",
        note=f"Layers chosen by seed {report.environment.get('seed')}, each on the RTL by itself, "
        "on what the golden model gives for the layers before it: cycles and all other counters "
        "against the command-level simulator, the output's bytes against the golden model.",
        head=(
            "network",
            "layer",
            "kind",
            "cycles, RTL",
            "command level",
            "differing counters",
            "bytes compared",
            "mismatches",
        ),
        texts=3,
        rows=tuple(
            (
                each.network,
                each.run.name,
                each.run.kind,
                f"{each.run.cycles:,}",
                f"{each.run.expected_cycles:,}",
                f"{len(each.run.wrong_counters)}",
                f"{each.run.compared.bytes:,}",
                f"{each.run.compared.mismatches:,}",
            )
            for each in report.samples
        ),
    )


def _measurement_grid(measurements: Iterable[Measurement]) -> Grid:
    return Grid(
        title="Speed of the tools",
        note="On the digits example (`examples/digits`) unless a network is named.",
        head=("what", "median", "lowest", "highest", "runs", "unit"),
        rows=tuple(
            (
                each.what,
                *map(_number, (each.median, min(each.values), max(each.values))),
                str(len(each.values)),
                each.unit,
            )
            for each in measurements
        ),
    )


def _network_grid(networks: Iterable[NetworkTime]) -> Grid:
    return Grid(
        title="Timing whole networks",
        note="CPU time of `tilewright run NETWORK --on command --timing-only --json --config "
        "MACHINE`, start-up included, on one core.",
        head=("network", "machine", "commands", "cycles", "CPU seconds"),
        texts=2,
        rows=tuple(
            (
                each.network,
                each.config,
                f"{each.commands:,}",
                f"{each.cycles:,}",
                _number(each.seconds),
            )
            for each in networks
        ),
    )


def _of_ratio(ratio: Ratio) -> str:
    if ratio.target is None:
        return ""
    return f"at least {_number(ratio.target)}: {verdict(ratio.met)}"


def verdict(met: bool) -> str:
    """What is said of a target."""
    return "met" if met else "NOT MET"


def _number(value: float) -> str:
    """Three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
