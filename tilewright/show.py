"""Tables for eyes."""

from collections.abc import Sequence

from rich.table import Table

from compiler.report import LayerReport
from tilewright.evaluate import Evaluation


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
    return table


def layer_table(name: str, config: str, reports: Sequence[LayerReport]) -> Table:
    """The compile report, a row a layer and a row of sums."""
    table = Table(title=f"{name} on {config}, layer by layer")
    for column in ("layer", "kind", "output", "tile"):
        table.add_column(column)
    for column in (
        "commands",
        "act. buffer",
        "weight buffer",
        "accumulators",
        "MACs",
        "cycles",
        "utilization",
        "memory bytes",
    ):
        table.add_column(column, justify="right")
    for each in reports:
        table.add_row(
            each.name,
            each.kind,
            each.output,
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
        *[""] * 3,
        f"{sum(each.commands for each in reports):,}",
        *[""] * 3,
        f"{sum(each.macs for each in reports):,}",
        f"{sum(each.cycles for each in reports):,}",
        "",
        f"{sum(each.memory_bytes for each in reports):,}",
    )
    return table


def _optional(value: float | None, format_: str) -> str:
    return "-" if value is None else format(value, format_)
