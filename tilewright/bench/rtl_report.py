"""What runs of whole networks on the RTL showed, for eyes and for files."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table

from arch.counters import COUNTER_NAMES
from tilewright.bench.report import Grid, environment_grid, verdict
from tilewright.bench.rtl_layers import Compared, LayerRun, WholeRun

SPEED_TARGET = 200_000
"""Cycles per second that the RTL is to reach."""
TIME_TARGET = 300
"""Seconds that one network may take, all included."""

_COLUMNS = (
    "cycles",
    "RTL seconds",
    "cycles/s",
    "cycles/s of CPU time",
    "all seconds",
    "bytes compared",
    "mismatches",
    "counters compared",
    "differing",
)
_LAYER_COLUMNS = (
    "cycles, RTL",
    "command level",
    "end in the one run, RTL",
    "command level",
    "bytes compared",
    "mismatches",
    "differing counters",
)


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """Both runs of one network; ``seconds`` is all of it, from the weights on."""

    network: str
    commands: int
    whole: WholeRun
    layers: tuple[LayerRun, ...]
    seconds: float

    @property
    def compared(self) -> Compared:
        """Over both runs."""
        return sum((layer.compared for layer in self.layers), self.whole.compared)

    @property
    def speed(self) -> float:
        """Cycles of the one run per second of CPU time."""
        return self.whole.cycles / self.whole.cpu_seconds

    @property
    def counters(self) -> int:
        """Counters compared: all of the one run and of each layer's."""
        return len(COUNTER_NAMES) * (1 + len(self.layers))

    @property
    def wrong_counters(self) -> int:
        """How many of these differ."""
        layers = sum(len(layer.wrong_counters) for layer in self.layers)
        return len(self.whole.wrong_counters) + layers

    @property
    def agrees(self) -> bool:
        """Whether everything is as expected."""
        return self.whole.agrees and all(layer.agrees for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class RtlReport:
    """All networks, and where they ran."""

    environment: dict[str, str]
    config: str
    networks: tuple[NetworkRun, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        networks = [
            {**asdict(each), "agrees": each.agrees, "cycles_per_second": each.speed}
            for each in self.networks
        ]
        return {"environment": self.environment, "config": self.config, "networks": networks}


def rtl_table(report: RtlReport) -> Table:
    """A row a network."""
    return _network_grid(report).table()


def _network_grid(report: RtlReport) -> Grid:
    return Grid(
        title=f"Whole networks on the RTL of {report.config}",
        head=("network", *_COLUMNS),
        rows=tuple((each.network, *_cells(each)) for each in report.networks),
    )


def _cells(each: NetworkRun) -> tuple[str, ...]:
    return (
        f"{each.whole.cycles:,}",
        f"{each.whole.seconds:,.1f}",
        f"{each.whole.cycles / each.whole.seconds:,.0f}",
        f"{each.speed:,.0f}",
        f"{each.seconds:,.1f}",
        f"{each.compared.bytes:,}",
        f"{each.compared.mismatches:,}",
        f"{each.counters:,}",
        f"{each.wrong_counters:,}",
    )


def rtl_markdown(report: RtlReport, command: str) -> str:
    """The same as Markdown, and a row a layer; ``command`` is what made it."""
    return "\n".join(_lines(report, command)) + "\n"


def _lines(report: RtlReport, command: str) -> Iterator[str]:
    yield "# Whole networks on the RTL"
    yield ""
    yield (
        f"Written by `{command}`: 224x224 images on the generated Verilog of `{report.config}`, "
        "with seeded int8 weights, one image a network. Each network runs twice, side by side:"
    )
    yield ""
    yield (
        "- in one run: every map that it leaves in memory is compared with the golden model, every "
        "counter with the command-level simulator, and for each layer that writes to memory the "
        "cycle of its last write response;"
    )
    yield (
        "- layer by layer, each layer's commands as a program of their own, on what the RTL left "
        "in memory and on chip: every counter is compared, and every output. A map that is on chip "
        "alone is stored by one more command of the machine and compared as well. Maps between "
        "layers that run as one (`Conv+Add`) exist nowhere."
    )
    yield ""
    yield from environment_grid(report.environment).markdown()
    yield ""
    yield from _network_grid(report).markdown()
    yield ""
    yield (
        "*RTL seconds* and *cycles/s* are of the one run by the clock, the other run beside it; "
        "*all seconds* hold everything, from making the weights to the last comparison, but "
        "building the RTL, which is cached."
    )
    yield ""
    yield from _target_grid(report).markdown()
    for each in report.networks:
        yield from ("", f"## {each.network}", "")
        yield from _layer_grid(each).markdown()


def _target_grid(report: RtlReport) -> Grid:
    rows = []
    for each in report.networks:
        fast, soon = each.speed >= SPEED_TARGET, each.seconds <= TIME_TARGET
        rows += [
            (
                f"{each.network}: at least {SPEED_TARGET:,} cycles/s of CPU time",
                verdict(fast),
                f"{each.speed:,.0f}",
            ),
            (
                f"{each.network}: at most {TIME_TARGET} s",
                verdict(soon),
                f"{each.seconds:,.0f}",
            ),
            (f"{each.network}: everything equal", verdict(each.agrees), ""),
        ]
    return Grid(title="Targets", head=("target", "", "reached"), rows=tuple(rows), texts=2)


def _layer_grid(run: NetworkRun) -> Grid:
    rows = []
    for index, layer in enumerate(run.layers):
        ends = (run.whole.ends.get(index), run.whole.expected_ends.get(index))
        numbers = (
            f"{layer.cycles:,}",
            f"{layer.expected_cycles:,}",
            *("-" if end is None else f"{end:,}" for end in ends),
            f"{layer.compared.bytes:,}",
            f"{layer.compared.mismatches:,}",
            f"{len(layer.wrong_counters)}",
        )
        rows.append((layer.name, layer.kind, layer.place, *numbers))
    head = ("layer", "kind", "output in", *_LAYER_COLUMNS)
    return Grid(title=run.network, head=head, rows=tuple(rows), texts=3)
