"""What benchmarks found, for eyes and for files."""

import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from sim.toolchain import tool_versions

_NETWORKS = "Timing whole networks"
_NETWORK_COLUMNS = ("commands", "cycles", "CPU seconds")
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
    """All figures, and where they are from."""

    environment: dict[str, str]
    measurements: tuple[Measurement, ...]
    ratios: tuple[Ratio, ...]
    networks: tuple[NetworkTime, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "environment": self.environment,
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


def environment_markdown(where: dict[str, str]) -> Iterator[str]:
    """The lines of a table."""
    yield "| where | |"
    yield "|---|---|"
    for name, value in where.items():
        yield f"| {name} | {value} |"


def report_tables(report: Report) -> list[Table]:
    """Environment, figures, ratios and networks."""
    where = Table(show_header=False, box=None)
    for name, value in report.environment.items():
        where.add_row(name, value)
    figures = Table("what", title="Benchmarks", title_justify="left")
    for column in ("median", "lowest", "highest", "runs"):
        figures.add_column(column, justify="right")
    figures.add_column("unit")
    for each in report.measurements:
        figures.add_row(each.what, *_cells(each))
    ratios = Table("ratio of medians", title_justify="left")
    ratios.add_column("", justify="right")
    ratios.add_column("target")
    for ratio in report.ratios:
        ratios.add_row(ratio.what, number(ratio.value), _verdict(ratio))
    networks = Table("network", "machine", title=_NETWORKS, title_justify="left")
    for column in _NETWORK_COLUMNS:
        networks.add_column(column, justify="right")
    for time in report.networks:
        networks.add_row(time.network, time.config, *_network_cells(time))
    return [where, figures, ratios, networks]


def report_markdown(report: Report, command: str) -> str:
    """The same as Markdown; ``command`` is what made it."""
    return "\n".join(_markdown_lines(report, command)) + "\n"


def _markdown_lines(report: Report, command: str) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield (
        f"Written by `{command}`, which runs the digits example (`examples/digits`). Durations are "
        "wall-clock times, speeds are per second of CPU time."
    )
    yield ""
    yield from environment_markdown(report.environment)
    yield ""
    yield "| what | median | lowest | highest | runs | unit |"
    yield "|---|---:|---:|---:|---:|---|"
    for each in report.measurements:
        yield f"| {each.what} | {' | '.join(_cells(each))} |"
    yield ""
    yield "| ratio of medians | | target |"
    yield "|---|---:|---|"
    for ratio in report.ratios:
        yield f"| {ratio.what} | {number(ratio.value)} | {_verdict(ratio)} |"
    yield ""
    yield f"## {_NETWORKS}"
    yield ""
    yield (
        "CPU time of `tilewright run NETWORK --on command --timing-only --json --config MACHINE`, "
        "start-up included, on one core."
    )
    yield ""
    yield f"| network | machine | {' | '.join(_NETWORK_COLUMNS)} |"
    yield "|---|---|---:|---:|---:|"
    for time in report.networks:
        yield f"| {time.network} | {time.config} | {' | '.join(_network_cells(time))} |"


def _network_cells(time: NetworkTime) -> tuple[str, ...]:
    return f"{time.commands:,}", f"{time.cycles:,}", number(time.seconds)


def _cells(each: Measurement) -> tuple[str, ...]:
    numbers = (each.median, min(each.values), max(each.values))
    return (*map(number, numbers), str(len(each.values)), each.unit)


def _verdict(ratio: Ratio) -> str:
    if ratio.target is None:
        return ""
    return f"at least {number(ratio.target)}: {verdict(ratio.met)}"


def verdict(met: bool) -> str:
    """What is said of a target."""
    return "met" if met else "NOT MET"


def number(value: float) -> str:
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
