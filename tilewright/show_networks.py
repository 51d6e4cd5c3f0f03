"""Tables of built-in networks and of whole networks' timing."""

from collections.abc import Iterable
from dataclasses import asdict

from rich.table import Table

from compiler.schedule import HostTraffic
from tilewright.networks.registry import NETWORKS, totals
from tilewright.show import in_order
from tilewright.timing import NetworkTiming

_ON_CHIP = {
    "activation": "activation\nbuffer",
    "weight": "weight\nbuffer",
    "accumulator": "accumu-\nlators",
    "parameter": "para-\nmeters",
    "table": "tables",
}
"""Storages on chip, and the heads of the columns of their bytes."""


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
    """A network's timing, a row a layer and a row of sums; bytes are read and written."""
    table = Table(title=f"{timing.network} on {timing.config}, one image")
    for column in ("layer", "kind", "output"):
        table.add_column(column)
    for column in ("MACs", "cycles", "utili-\nzation", "memory\nread", "memory\nwritten"):
        table.add_column(column, justify="right")
    for column in _ON_CHIP.values():
        table.add_column(column, justify="right")
    table.add_column("bound by")
    for layer in in_order(timing.layers, timing.host):
        if isinstance(layer, HostTraffic):
            moved = f"{layer.read_bytes:,}", f"{layer.written_bytes:,}"
            none = ["-"] * len(_ON_CHIP)
            row = (layer.name, layer.kind, layer.output, "-", "host", "-", *moved, *none, "host")
            table.add_row(*row)
            continue
        table.add_row(
            layer.name,
            layer.kind,
            layer.output,
            f"{layer.macs:,}",
            f"{layer.cycles:,}",
            f"{layer.utilization:.1%}",
            f"{layer.read_bytes:,}",
            f"{layer.written_bytes:,}",
            *(f"{layer.storage_bytes[storage]:,}" for storage in _ON_CHIP),
            layer.bound,
        )
    table.add_section()
    table.add_row("sum", "", "", *_sums(timing), "")
    if timing.host:
        read = sum(each.read_bytes for each in timing.host)
        written = sum(each.written_bytes for each in timing.host)
        table.add_row("host", *[""] * 5, f"{read:,}", f"{written:,}", *[""] * (len(_ON_CHIP) + 1))
    return table


def _sums(timing: NetworkTiming) -> Iterable[str]:
    yield f"{timing.macs:,}"
    yield f"{timing.cycles:,}"
    yield f"{timing.utilization:.1%}"
    yield f"{sum(layer.read_bytes for layer in timing.layers):,}"
    yield f"{sum(layer.written_bytes for layer in timing.layers):,}"
    for storage in _ON_CHIP:
        yield f"{sum(layer.storage_bytes[storage] for layer in timing.layers):,}"
