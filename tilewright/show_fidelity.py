"""Tables of how true a quantised network is to the float one."""

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from tilewright.fidelity import Fidelity


def noise_table(result: "Fidelity") -> Table:
    """A row a quantised tensor: its signal-to-noise."""
    table = Table(
        title=f"{result.model}, signal-to-noise",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in ("layer", "operator", "output"):
        table.add_column(column)
    table.add_column("dB", justify="right")
    table.add_column("rounding\nalone", justify="right")
    for each in result.tensors:
        shape = "x".join(map(str, each.shape[1:]))
        decibels = (_decibels(each.snr_db), _decibels(each.rounding_snr_db))
        table.add_row(each.layer, each.operator, shape, *decibels)
    return table


def accuracy_table(result: "Fidelity") -> Table:
    """Accuracy before and after."""
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = {
        "images": f"{result.images:,}",
        "accuracy in float": _share(result.float_accuracy),
        "accuracy quantised": _share(result.quantised_accuracy),
        "change in points": _points(result.accuracy_change),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f}"
