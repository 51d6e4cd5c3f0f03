"""Tables of built-in networks and of whole networks' timing."""

from collections.abc import Iterable
from dataclasses import asdict

from rich import box
from rich.table import Table

from compiler.schedule import HostTraffic
from tilewright.networks.registry import NETWORKS, totals
from tilewright.show import in_order
from tilewright.timing import LayerTiming, NetworkTiming

_NUMBERS = (
    "cycles",
    "utili-\nzation",
    "compute\nbound",
    "memory\nbound",
    "cycles /\nbound",
    "memory\nread",
    "memory\nwritten",
)
"""Heads of the columns of numbers."""


def network_rows() -> list[dict[str, object]]:
    """For JSON: every built-in network with its weights and MACs."""
    return [
        {
            "name": entry.name,
            "family": entry.family.value,
            "input": asdict(entry.input),
            "weights": totals(entry).weights,
            "macs": totals(entry).macs,
            "source": entry.source,
        }
        for entry in NETWORKS.values()
    ]


def network_table() -> Table:
    """The built-in networks, a row each."""
    table = Table(title="Built-in networks")
    for column in ("network", "family", "input"):
        table.add_column(column)
    for column in ("weights", "MACs"):
        table.add_column(column, justify="right")
    for entry in NETWORKS.values():
        counted, shape = totals(entry), entry.input
        table.add_row(
            entry.name,
            entry.family.value,
            f"{shape.height}x{shape.width}x{shape.channels}",
            f"{counted.weights:,}",
            f"{counted.macs:,}",
        )
    return table


def timing_table(timing: NetworkTiming) -> Table:
    """A network's timing, a row a layer and a row of sums; bytes are read and written.

    MACs and the bytes of storage on chip are in the JSON alone: the bounds say what follows from
    them, and lines stay short.
    """
    table = Table(
        title=f"{timing.network} on {timing.config}, one image",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in ("layer", "kind", "output"):
        table.add_column(column)
    for column in _NUMBERS:
        table.add_column(column, justify="right")
    table.add_column("beyond the bound")
    for layer in in_order(timing.layers, timing.host):
        if isinstance(layer, HostTraffic):
            moved = f"{layer.read_bytes:,}", f"{layer.written_bytes:,}"
            row = (layer.name, layer.kind, layer.output, "host", *["-"] * 4, *moved)
            table.add_row(*row)
        else:
            table.add_row(layer.name, layer.kind, layer.output, *_numbers(layer), layer.why)
    table.add_section()
    table.add_row("sum", "", "", *_sums(timing))
    if timing.host:
        read = sum(each.read_bytes for each in timing.host)
        written = sum(each.written_bytes for each in timing.host)
        table.add_row("host", *[""] * 7, f"{read:,}", f"{written:,}")
    return table


def _numbers(layer: LayerTiming) -> Iterable[str]:
    yield f"{layer.cycles:,}"
    yield f"{layer.utilization:.1%}"
    yield f"{layer.bounds.compute:,}"
    yield f"{layer.bounds.memory:,}"
    yield _ratio(layer.ratio)
    yield f"{layer.read_bytes:,}"
    yield f"{layer.written_bytes:,}"


def _sums(timing: NetworkTiming) -> Iterable[str]:
    yield f"{timing.cycles:,}"
    yield f"{timing.utilization:.1%}"
    yield f"{sum(layer.bounds.compute for layer in timing.layers):,}"
    yield f"{sum(layer.bounds.memory for layer in timing.layers):,}"
    yield _ratio(timing.ratio)
    yield f"{sum(layer.read_bytes for layer in timing.layers):,}"
    yield f"{sum(layer.written_bytes for layer in timing.layers):,}"
    yield f"higher bounds: {timing.bound:,}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"
