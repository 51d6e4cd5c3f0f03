"""Tables of estimates."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from arch.sparsity import DensityFile, Tensor
from tilewright.fronts import LayerFront
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


def front_table(title: str, fronts: Sequence[LayerFront]) -> Table:
    """A row a point of each layer and dataflow, the one of least energy first."""
    units = {front.target.architecture.energy.unit for front in fronts}
    table = Table(title=f"{title}; energy in millions of {' and '.join(sorted(units))}")
    for column in ("dataflow", "layer"):
        table.add_column(column)
    for column in ("cycles", "energy", "per MAC", "utili-\nzation"):
        table.add_column(column, justify="right")
    for column in ("bound by", "least energy\nat these cycles"):
        table.add_column(column)
    for front in fronts:
        for place, each in enumerate(front.points):
            table.add_row(
                front.target.dataflow.name if place == 0 else "",
                front.layer if place == 0 else "",
                f"{each.cycles:,}",
                f"{each.total / 1e6:,.1f}",
                f"{each.total / each.problem.macs:.2f}",
                f"{each.utilization:.1%}",
                each.bound_by,
                each.proof,
                end_section=each is front.points[-1],
            )
    return table


def front_notes(fronts: Sequence[LayerFront]) -> Iterator[str]:
    """Lines below the table: which layers may have faster mappings than are shown."""
    unfinished = list(dict.fromkeys(front.layer for front in fronts if not front.complete))
    if unfinished:
        yield f"time ran out, there may be faster mappings: {', '.join(unfinished)}"


def notes(unpriced: dict[str, int], estimates: Sequence[Estimate], *, coded: bool) -> Iterator[str]:
    """Lines below the table: what is not priced, and with ``coded`` what is not coded, and why."""
    if unpriced:
        listed = ", ".join(f"{count} {operator}" for operator, count in unpriced.items())
        yield f"not priced: {listed}"
    if not coded:
        return
    for tensor in Tensor:
        # Coding does not depend on the dataflow.
        larger = {
            each.layer: each.coding[tensor] for each in estimates if each.coding.get(tensor, 0) >= 1
        }
        if larger:
            listed = ", ".join(f"{layer} ({ratio:.2f} times)" for layer, ratio in larger.items())
            yield f"{tensor} not coded, which would make it larger: {listed}"


def density_table(measured: DensityFile) -> Table:
    """A row a layer."""
    table = Table(title="densities: parts of the words that are not zero")
    table.add_column("layer")
    for tensor in Tensor:
        table.add_column(tensor.value, justify="right")
    for name, densities in measured.layers.items():
        table.add_row(name, *(f"{densities.of(tensor):.3f}" for tensor in Tensor))
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
