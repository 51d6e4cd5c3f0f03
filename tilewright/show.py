"""Tables for eyes."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from compiler.report import LayerReport
from compiler.schedule import HostTraffic
from tilewright.evaluate import Evaluation

_UNLIMITED = 10_000
Layer = TypeVar("Layer")


def print_table(table: Table, *, on_stderr: bool = False) -> None:
    """Print ``table`` in its full width: a wrapped line is easier read than a cropped number."""
    narrow = Console(stderr=on_stderr)
    needed = Measurement.get(narrow, narrow.options.update(max_width=_UNLIMITED), table).maximum
    Console(stderr=on_stderr, width=max(narrow.width, needed)).print(table)


def evaluation_table(result: Evaluation) -> Table:
    """What a run over images showed, a row a figure."""
    table = Table(title=f"{result.model} on {result.config} ({result.on})", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = {
        "images": f"{result.images:,}",
        "correct": _optional(result.correct, ","),
        "accuracy": _optional(result.accuracy, ".2%"),
        "bytes compared": f"{result.compared_bytes:,}",
        "mismatching bytes": f"{result.mismatching_bytes:,}",
        "cycles per image": _optional(result.cycles_per_image, ",.0f"),
        "MACs per image": f"{result.macs_per_image:,}",
        "array utilization": _optional(result.array_utilization, ".1%"),
        "memory bytes per image": _optional(result.memory_bytes, ","),
        "simulated cycles per second": _optional(result.simulated_cycles_per_second, ",.0f"),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    for each in result.host:
        table.add_row(f"{each.name} ({each.kind})", f"on the host, {moved_bytes(each)}")
    return table


def moved_bytes(each: HostTraffic) -> str:
    """What the host moves, for eyes."""
    return f"{each.read_bytes:,} bytes read, {each.written_bytes:,} written"


def layer_table(
    name: str, config: str, reports: Sequence[LayerReport], host: Sequence[HostTraffic]
) -> Table:
    """The compile report, a row a layer and a row of sums; what the host runs in between."""
    table = Table(
        title=f"{name} on {config}, layer by layer",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in ("layer", "kind", "output", "is in", "tile"):
        table.add_column(column)
    for column in (
        "commands",
        "activation\nbuffer",
        "weight\nbuffer",
        "accumu-\nlators",
        "MACs",
        "cycles",
        "utili-\nzation",
        "memory\nbytes",
    ):
        table.add_column(column, justify="right")
    for each in in_order(reports, host):
        if isinstance(each, HostTraffic):
            moved = f"{each.read_bytes + each.written_bytes:,}"
            row = (each.name, each.kind, each.output, "host", *["-"] * 5, "host", "-", moved)
            table.add_row(*row)
            continue
        table.add_row(
            each.name,
            each.kind,
            each.output,
            each.output_in,
            each.tile,
            f"{each.commands:,}",
            f"{each.activation_bytes:,}",
            f"{each.weight_bytes:,}",
            f"{each.accumulator_bytes:,}",
            f"{each.macs:,}",
            f"{each.cycles:,}",
            f"{each.utilization:.1%}",
            f"{each.memory_bytes:,}",
        )
    table.add_section()
    table.add_row(
        "sum",
        *[""] * 4,
        f"{sum(each.commands for each in reports):,}",
        *[""] * 3,
        f"{sum(each.macs for each in reports):,}",
        f"{sum(each.cycles for each in reports):,}",
        "",
        f"{sum(each.memory_bytes for each in reports):,}",
    )
    if host:
        total = sum(each.read_bytes + each.written_bytes for each in host)
        table.add_row("host", *[""] * 10, f"{total:,}")
    return table


def in_order(layers: Sequence[Layer], host: Sequence[HostTraffic]) -> Iterator[Layer | HostTraffic]:
    """The machine's ``layers`` with what the ``host`` runs where it does."""
    for index in range(len(layers) + 1):
        yield from (each for each in host if each.layers_before == index)
        yield from layers[index : index + 1]


def _optional(value: float | None, format_: str) -> str:
    return "-" if value is None else format(value, format_)
