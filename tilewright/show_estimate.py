"""Tables of estimates."""

from collections.abc import Sequence

from rich.table import Table

from tilewright.layer_estimate import Estimate

LEVELS = ("mac", "spad", "hops", "buffer", "memory")
"""From the PEs outwards."""


def estimate_table(title: str, estimates: Sequence[Estimate]) -> Table:
    """A row a layer and dataflow, a row of sums for each dataflow; energy in millions."""
    units = {each.target.architecture.energy.unit for each in estimates}
    table = Table(title=f"{title}; energy in millions of {' and '.join(sorted(units))}")
    for column in ("dataflow", "layer"):
        table.add_column(column)
    for column in (
        "MACs",
        *LEVELS,
        "energy",
        "per MAC",
        "memory\nbytes",
        "cycles",
        "utili-\nzation",
    ):
        table.add_column(column, justify="right")
    table.add_column("bound by")
    table.add_column("proof")
    for dataflow, group in by_dataflow(estimates).items():
        for each in group:
            table.add_row(dataflow, each.layer, *_figures([each]), each.bound_by, each.proof)
        table.add_row(dataflow, "sum", *_figures(group), "", "", end_section=True)
    return table


def by_dataflow(estimates: Sequence[Estimate]) -> dict[str, list[Estimate]]:
    """The estimates of each dataflow, in order."""
    found: dict[str, list[Estimate]] = {}
    for each in estimates:
        found.setdefault(each.target.dataflow.name, []).append(each)
    return found


def _figures(group: Sequence[Estimate]) -> list[str]:
    macs = sum(each.problem.macs for each in group)
    total = sum(each.total for each in group)
    cycles = sum(each.cycles for each in group)
    pes = group[0].target.architecture.array.pes
    return [
        f"{macs:,}",
        *(f"{sum(each.energy_at(level) for each in group) / 1e6:,.1f}" for level in LEVELS),
        f"{total / 1e6:,.1f}",
        f"{total / macs:.2f}",
        f"{sum(each.memory_bytes for each in group):,.0f}",
        f"{cycles:,}",
        f"{macs / (cycles * pes):.1%}",
    ]
